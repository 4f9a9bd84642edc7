"""A transcriber that invents one word for each second of sound; silence gives nothing."""

import threading

import numpy as np
from numpy.typing import NDArray

from services.asr.engine import Listener, Recognition, Segment, Word
from services.audio.pcm import SAMPLE_RATE
from services.runtime.worker import Cancelled


class FakeTranscriber:
    """Obeys the contract of `Transcriber` without a model.

    Args:
        model: id that it answers under.
        languages: codes that it claims to know.
        hold: when given, every segment waits for this event (and for cancellation).
    """

    def __init__(
        self,
        model: str = "fake",
        languages: tuple[str, ...] = ("en", "de"),
        hold: threading.Event | None = None,
    ) -> None:
        self.model = model
        self.languages = languages
        self._hold = hold
        self.cancelled = threading.Event()
        self.running = threading.Event()

    def transcribe(self, samples: NDArray[np.float32], language: str | None, listener: Listener) -> Recognition:
        spoken = 0.0
        for second in range(len(samples) // SAMPLE_RATE):
            self.running.set()
            self._wait(listener)
            part = samples[second * SAMPLE_RATE : (second + 1) * SAMPLE_RATE]
            if np.abs(part).max() > 0.01:
                spoken += 1.0
                listener.segment(_segment(second, language or "en"))
            listener.progress(second + 1.0)
        return Recognition(language or "en", 1.0 if language else 0.9, spoken)

    def _wait(self, listener: Listener) -> None:
        while self._hold is not None and not self._hold.wait(0.01):
            if listener.cancelled():
                break
        if listener.cancelled():
            self.cancelled.set()
            raise Cancelled


def _segment(second: int, language: str) -> Segment:
    word = Word(f" word{second}.", second + 0.1, second + 0.9, 0.9)
    return Segment(word.start, word.end, word.text.strip(), (word,), 0.9, -0.1, 0.01, 1.0, language)
