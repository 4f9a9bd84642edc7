"""What tests of recognition share: recordings transcribed through real workers."""

import math
import threading
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.asr.engine import Engine
from services.asr.models import Models
from services.asr.options import RecognitionOptions
from services.asr.scheduler import BatchLimits, Scheduler
from services.asr.session import Output
from services.asr.transcriber import Transcriber
from services.asr.transcript import Recognition, Segment, Suppressed, Word
from services.asr.vad import VoiceActivity
from services.asr.windows import WindowRules
from services.asr.workers import Listener, Workers


@dataclass(frozen=True)
class Transcribed:
    """All that a transcription gave."""

    segments: tuple[Segment, ...]
    suppressed: tuple[Suppressed, ...]
    recognition: Recognition

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments)

    @property
    def words(self) -> list[Word]:
        return [word for segment in self.segments for word in segment.words]


Transcribe = Callable[..., list[Transcribed]]


@pytest.fixture
def transcribe() -> Iterator[Transcribe]:
    """Return what transcribes recordings at the same time, with an engine and what finds speech."""
    pools: list[Workers] = []

    def run(
        engine: Engine,
        listen: Callable[[], VoiceActivity],
        *recordings: NDArray[np.int16],
        options: RecognitionOptions | None = None,
    ) -> list[Transcribed]:
        workers = Workers(2, Scheduler(2, BatchLimits(1, 8, 2)), waiting_limit=1e9)
        pools.append(workers)
        transcriber = Transcriber(Models({engine.model: engine}, {}, {}), listen, workers, WindowRules())
        running = [_start(transcriber, pcm, options or RecognitionOptions()) for pcm in recordings]
        return [end() for end in running]

    yield run
    for workers in pools:
        workers.stop()


def _start(transcriber: Transcriber, pcm: NDArray[np.int16], options: RecognitionOptions) -> Callable[[], Transcribed]:
    outputs: list[Output] = []
    errors: list[BaseException | None] = []
    over = threading.Event()

    def end(error: BaseException | None) -> None:
        errors.append(error)
        over.set()

    listener = Listener(outputs.append, lambda done, total: None, end)
    transcription = transcriber.open("", options, listener, caller="", seconds_left=math.inf)
    for start in range(0, len(pcm), 1 << 19):
        transcription.feed(pcm[start : start + (1 << 19)])
    transcription.finish()

    def result() -> Transcribed:
        assert over.wait(50)
        assert errors == [None]
        return Transcribed(
            tuple(segment for output in outputs for segment in output.segments),
            tuple(held for output in outputs for held in output.suppressed),
            transcription.session.summary(),
        )

    return result


@pytest.fixture(scope="session")
def telephone(two_speakers: Path) -> NDArray[np.int16]:
    """The real two-speaker recording: 30 s, speech from 6.7 s on."""
    with wave.open(str(two_speakers)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")
