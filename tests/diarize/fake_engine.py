"""A diarizer without a model, for the tests of everything around it."""

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from services.diarize.engine import Diarization, SpeakerBounds, Turn
from services.runtime.worker import Cancelled

BLOCK = 16_000


class FakeDiarizer:
    """Gives every loud second to the next speaker, in turn.

    `steps` blocks of pretended work come first; each waits for `gate`, so that a test can hold it half-way.
    """

    model = "fake"

    def __init__(self, steps: int = 4, gate: threading.Event | None = None) -> None:
        self.steps = steps
        self.gate = gate
        self.started = threading.Event()
        self.stopped = threading.Event()
        self.bounds: list[SpeakerBounds] = []

    def diarize(
        self,
        samples: NDArray[np.float32],
        bounds: SpeakerBounds,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> Diarization:
        self.bounds.append(bounds)
        try:
            self._pretend(progress, cancelled)
        finally:
            self.stopped.set()
        turns = self._turns(samples, bounds)
        return Diarization(turns, turns)

    def _pretend(self, progress: Callable[[float], None], cancelled: Callable[[], bool]) -> None:
        for step in range(self.steps):
            if cancelled():
                raise Cancelled
            progress(step / self.steps)
            self.started.set()
            while self.gate is not None and not self.gate.wait(0.01) and not cancelled():
                pass
        progress(1.0)

    @staticmethod
    def _turns(samples: NDArray[np.float32], bounds: SpeakerBounds) -> tuple[Turn, ...]:
        speakers = bounds.exact or min(max(2, bounds.minimum), bounds.maximum or 2)
        turns = list[Turn]()
        for start in range(0, len(samples), BLOCK):
            block = samples[start : start + BLOCK]
            if np.sqrt(np.mean(np.square(block))) > 0.01:
                end = start + len(block)
                turns.append(Turn(start / BLOCK, end / BLOCK, len(turns) % speakers))
        return tuple(turns)
