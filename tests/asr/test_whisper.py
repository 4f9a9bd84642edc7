"""Whisper with real weights and real voice activity detection: what the contract suite cannot ask of a fake."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.asr.options import RecognitionOptions
from services.asr.silero import Silero
from services.asr.whisper import WhisperEngine, compression_ratio
from services.audio.pcm import SAMPLE_RATE
from services.models.catalogue import model_folder
from tests.asr.conftest import Transcribe

_RATE = SAMPLE_RATE


@pytest.fixture(scope="module")
def base(models_dir: Path) -> WhisperEngine:
    folder = model_folder(models_dir, "base")
    return WhisperEngine("base", folder, device="cpu", compute_type="int8", workers=2, threads=1)


@pytest.fixture(scope="module")
def tiny(tiny_en: Path) -> WhisperEngine:
    return WhisperEngine("tiny.en", tiny_en, device="cpu", compute_type="int8", workers=2, threads=1)


def _noise(kind: str, seconds: int) -> NDArray[np.int16]:
    rng = np.random.default_rng(1)
    count = seconds * _RATE
    time = np.arange(count) / _RATE
    white = rng.normal(0, 1, count)
    sounds = {
        "white": white * 0.05,
        "brown": np.cumsum(white) / np.abs(np.cumsum(white)).max() * 0.3,
        "hum": 0.2 * np.sign(np.sin(2 * np.pi * 50 * time)) * 0.3,
        "beeps": 0.3 * np.sin(2 * np.pi * 1000 * time) * (time % 2 < 0.3),
        "arpeggio": 0.2 * np.sin(2 * np.pi * 220 * 2 ** (np.floor(time * 4) % 8 / 6) * time) * np.exp(-(time * 4 % 1)),
        "silence": np.zeros(count),
    }
    return (sounds[kind] * 32767).astype(np.int16)


@pytest.mark.model
@pytest.mark.slow
def test_a_model_lists_the_languages_of_its_own_vocabulary(base: WhisperEngine, tiny: WhisperEngine) -> None:
    assert len(base.languages) == 99
    assert tiny.languages == ("en",)
    assert (base.can_translate, tiny.can_translate) == (True, False)


@pytest.mark.model
@pytest.mark.slow
def test_the_real_recording_is_heard_and_its_language_found(
    base: WhisperEngine, telephone: NDArray[np.int16], transcribe: Transcribe
) -> None:
    (heard,) = transcribe(base, Silero().listen, telephone)

    assert heard.recognition.language == "en"
    assert heard.recognition.language_probability > 0.8
    for phrase in ("I didn't know you were there", "Diane in New Jersey", "originally from Chicago"):
        assert phrase in heard.text


@pytest.mark.model
@pytest.mark.slow
def test_the_same_recording_alone_and_among_others_gives_the_same_to_the_bit(
    base: WhisperEngine, telephone: NDArray[np.int16], transcribe: Transcribe
) -> None:
    (alone,) = transcribe(base, Silero().listen, telephone)
    others = [telephone[start * _RATE : (start + 9) * _RATE] for start in range(5, 20, 3)]

    among = transcribe(base, Silero().listen, *others[:3], telephone, *others[3:])

    assert among[3] == alone


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["white", "brown", "hum", "beeps", "arpeggio", "silence"])
def test_sounds_that_are_no_speech_give_no_words(base: WhisperEngine, transcribe: Transcribe, kind: str) -> None:
    (heard,) = transcribe(base, Silero().listen, _noise(kind, 20))

    assert heard.words == []


@pytest.mark.model
@pytest.mark.slow
def test_times_count_from_the_start_of_the_file_and_do_not_drift(
    tiny: WhisperEngine, telephone: NDArray[np.int16], transcribe: Transcribe
) -> None:
    (heard,) = transcribe(tiny, Silero().listen, np.concatenate([np.zeros(60 * _RATE, np.int16), *[telephone] * 4]))

    times = [time for word in heard.words for time in (word.start, word.end)]
    assert times == sorted(times)
    # "Oh, hello. I didn't know" at 8.4 s of the recording is what every model hears.
    starts = [word.start - 60 for word in heard.words if word.text.strip() == "Oh,"]
    firsts = [min(starts, key=lambda start: abs(start - 30 * number - 8.4)) - 30 * number for number in range(4)]
    assert all(8.2 < first < 8.7 for first in firsts)
    assert max(firsts) - min(firsts) < 0.1


@pytest.mark.model
@pytest.mark.slow
def test_two_languages_in_one_recording_are_told_apart(
    base: WhisperEngine, telephone: NDArray[np.int16], dev_data: Path, transcribe: Transcribe
) -> None:
    from faster_whisper.audio import decode_audio

    german = [decode_audio(str(path), sampling_rate=_RATE) for path in sorted((dev_data / "single/de").iterdir())[:3]]
    spoken = (np.concatenate(german) * 32767).astype(np.int16)
    pause = np.zeros(_RATE, np.int16)
    (heard,) = transcribe(base, Silero().listen, np.concatenate([telephone, pause, spoken, pause, telephone]))

    turns = [0.0, 30.5, 31.5 + len(spoken) / _RATE, 62.0 + len(spoken) / _RATE]
    languages = [
        {segment.evidence.language for segment in heard.segments if start <= segment.start < end}
        for start, end in pairwise(turns)
    ]
    assert languages == [{"en"}, {"de"}, {"en"}]


@pytest.mark.model
@pytest.mark.slow
def test_hints_change_how_a_name_is_written(
    base: WhisperEngine, telephone: NDArray[np.int16], transcribe: Transcribe
) -> None:
    options = RecognitionOptions(language="en", hint_phrases=("Dianne", "New Jersey"))

    (heard,) = transcribe(base, Silero().listen, telephone, options=options)

    assert "Dianne" in heard.text


def test_text_that_repeats_itself_compresses_well() -> None:
    assert compression_ratio("no " * 50) > 2.4 > compression_ratio("I didn't know you were there.")
    assert compression_ratio("") == 0
