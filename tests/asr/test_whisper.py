"""Whisper with real weights: what the contract suite cannot ask of a fake."""

import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.asr.engine import Listener, Segment
from services.asr.whisper import WhisperTranscriber, _blocks
from services.models.catalogue import model_folder

pytestmark = [pytest.mark.model, pytest.mark.slow]


@pytest.fixture(scope="module")
def base(models_dir: Path) -> WhisperTranscriber:
    folder = model_folder(models_dir, "base")
    return WhisperTranscriber("base", folder, device="cpu", compute_type="int8", threads=2)


@pytest.fixture(scope="module")
def tiny(tiny_en: Path) -> WhisperTranscriber:
    return WhisperTranscriber("tiny.en", tiny_en, device="cpu", compute_type="int8", threads=2)


def _listen(transcriber: WhisperTranscriber, samples: NDArray[np.float32], language: str | None) -> tuple[str, str]:
    segments: list[Segment] = []
    listener = Listener(segments.append, lambda done: None, lambda: False)
    recognition = transcriber.transcribe(samples, language, listener)
    return " ".join(segment.text for segment in segments), recognition.language


@pytest.fixture(scope="module")
def speech(two_speakers: Path) -> NDArray[np.float32]:
    with wave.open(str(two_speakers)) as file:
        pcm = file.readframes(file.getnframes())
    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768


def test_a_model_lists_the_languages_of_its_own_vocabulary(base: WhisperTranscriber, tiny: WhisperTranscriber) -> None:
    assert len(base.languages) == 99
    assert tiny.languages == ("en",)


def test_the_real_recording_is_heard_and_its_language_found(
    base: WhisperTranscriber, speech: NDArray[np.float32]
) -> None:
    text, language = _listen(base, speech, None)

    assert language == "en"
    for phrase in ("I didn't know you were there", "Diane in New Jersey", "originally from Chicago"):
        assert phrase in text


def test_noise_gives_no_words(base: WhisperTranscriber) -> None:
    noise = np.random.default_rng(1).normal(0, 0.05, 20 * 16_000).astype(np.float32)

    assert _listen(base, noise, None)[0] == ""


def test_times_count_from_the_start_of_the_file_not_of_the_speech(
    tiny: WhisperTranscriber, speech: NDArray[np.float32]
) -> None:
    segments: list[Segment] = []
    late = np.concatenate([np.zeros(60 * 16_000, np.float32), speech])

    tiny.transcribe(late, "en", Listener(segments.append, lambda done: None, lambda: False))

    # Speech begins at 6.7 s; "Oh, hello. I didn't know" at 8.4 s is what every model hears.
    (oh,) = [word for segment in segments for word in segment.words if word.text.strip() == "Oh,"][:1]
    assert 68 < oh.start < 69


def test_long_recordings_are_worked_on_in_blocks() -> None:
    speech = [{"start": start * 16_000, "end": (start + 4) * 16_000} for start in range(0, 50, 5)]

    blocks = list(_blocks(speech, 10.0))

    assert [chunk for block in blocks for chunk in block] == speech
    assert [len(block) for block in blocks] == [2, 2, 2, 2, 2]
    assert list(_blocks(speech[:1], 1.0)) == [speech[:1]]


def test_a_recording_of_many_blocks_keeps_its_times(
    tiny: WhisperTranscriber, speech: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.asr.whisper._BLOCK_SECONDS", 30.0)
    segments: list[Segment] = []

    tiny.transcribe(np.tile(speech, 3), "en", Listener(segments.append, lambda done: None, lambda: False))

    words = [word for segment in segments for word in segment.words]
    heard = [word.start for word in words if word.text.strip(" .,") == "Jersey"]
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)
    # It is said at 13.5 s, 21 s and 30 s of every repetition.
    assert len([start for start in heard if any(abs(start - at) < 1.5 for at in (13.5, 43.5, 73.5))]) == 3
