"""One suite for every transcriber: the fake one, and Whisper with real weights."""

import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.asr.engine import Listener, Segment, Transcriber
from services.audio.pcm import SAMPLE_RATE
from services.runtime.worker import Cancelled
from tests.asr.fake_engine import FakeTranscriber


@pytest.fixture(scope="module", params=["fake", pytest.param("whisper", marks=[pytest.mark.model, pytest.mark.slow])])
def transcriber(request: pytest.FixtureRequest) -> Transcriber:
    if request.param == "fake":
        return FakeTranscriber(languages=("en",))
    from services.asr.whisper import WhisperTranscriber

    folder: Path = request.getfixturevalue("tiny_en")
    return WhisperTranscriber("tiny.en", folder, device="cpu", compute_type="int8", threads=2)


@pytest.fixture(scope="module")
def speech(two_speakers: Path) -> NDArray[np.float32]:
    with wave.open(str(two_speakers)) as file:
        pcm = file.readframes(file.getnframes())
    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768


class Recorder:
    def __init__(self, stop_after: int | None = None) -> None:
        self.segments: list[Segment] = []
        self.progress: list[float] = []
        self._stop_after = stop_after

    @property
    def listener(self) -> Listener:
        return Listener(self.segments.append, self.progress.append, self._cancelled)

    def _cancelled(self) -> bool:
        return self._stop_after is not None and len(self.segments) >= self._stop_after


def test_speech_gives_words_with_lawful_times(transcriber: Transcriber, speech: NDArray[np.float32]) -> None:
    recorder = Recorder()

    recognition = transcriber.transcribe(speech, "en", recorder.listener)

    duration = len(speech) / SAMPLE_RATE
    words = [word for segment in recorder.segments for word in segment.words]
    times = [time for word in words for time in (word.start, word.end)]
    assert len(words) > 10
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= duration
    assert all(segment.start == segment.words[0].start for segment in recorder.segments)
    assert all(segment.end == segment.words[-1].end for segment in recorder.segments)
    assert all(0 <= word.probability <= 1 for word in words)
    assert recognition.language == "en"
    assert 0 < recognition.speech_seconds <= duration


def test_segments_are_what_their_words_say(transcriber: Transcriber, speech: NDArray[np.float32]) -> None:
    recorder = Recorder()

    transcriber.transcribe(speech, None, recorder.listener)

    for segment in recorder.segments:
        assert "".join(word.text for word in segment.words).split() == segment.text.split()
        assert 0 <= segment.confidence <= 1
        assert segment.average_log_probability <= 0


def test_progress_only_grows_and_ends_at_the_end(transcriber: Transcriber, speech: NDArray[np.float32]) -> None:
    recorder = Recorder()

    transcriber.transcribe(speech, "en", recorder.listener)

    assert recorder.progress == sorted(recorder.progress)
    assert recorder.progress[-1] == pytest.approx(len(speech) / SAMPLE_RATE, abs=1.0)


@pytest.mark.parametrize("sample_count", [0, 1, 1599, 16_000, 80_000])
def test_silence_of_any_length_gives_nothing(transcriber: Transcriber, sample_count: int) -> None:
    recorder = Recorder()

    recognition = transcriber.transcribe(np.zeros(sample_count, np.float32), None, recorder.listener)

    assert recorder.segments == []
    assert recognition.speech_seconds == 0


def test_a_cancelled_listener_stops_the_work(transcriber: Transcriber, speech: NDArray[np.float32]) -> None:
    recorder = Recorder(stop_after=1)

    with pytest.raises(Cancelled):
        transcriber.transcribe(speech, "en", recorder.listener)

    assert len(recorder.segments) <= 2
