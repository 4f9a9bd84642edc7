"""A diarizer without a model, for the tests of everything around it."""

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.diarize.engine import Frames, LocalSpeakers, SpeakerBounds
from services.diarize.windows import Block, WindowRules

RATE = 16_000
FRAME = 0.05
"""Seconds."""

VOICES = 33
"""Silence and 32 levels."""


class FakeDiarizer:
    """Tells speakers apart by how loud they are: a voice is a level in steps of 1/32 of full scale.

    Windows of two seconds begin every second; blocks have two, so four seconds of audio make the first one.

    Args:
        gate: the work on a block waits for it, so that a test can look at it half-way.
        broken_by: the voice that no call survives in whose blocks it is heard.
    """

    model = "fake"
    rules = WindowRules(length=2 * RATE, step=RATE, block_steps=2)
    frames = Frames(FRAME, FRAME / 2)
    blocks_at_once = 2

    def __init__(self, gate: threading.Event | None = None, broken_by: int | None = None) -> None:
        self.gate = gate
        self._broken_by = broken_by
        self.started = threading.Event()
        self.calls: list[list[Block]] = []
        """The blocks of each call of `listen`."""
        self.bounds: list[SpeakerBounds] = []

    def listen(self, blocks: Sequence[Block]) -> list[list[LocalSpeakers]]:
        self.calls.append(list(blocks))
        self.started.set()
        if self.gate is not None and not self.gate.wait(10):
            raise TimeoutError("nobody opened the gate")
        heard = [[self._window(block, offset) for offset in block.offsets] for block in blocks]
        if self._broken_by is not None and any(
            # Of a silent speaker, NaN, that is 0.
            self._broken_by in window.embeddings.argmax(axis=1)
            for windows in heard
            for window in windows
        ):
            raise RuntimeError("secret")
        return heard

    def voices(self, windows: Sequence[LocalSpeakers], bounds: SpeakerBounds) -> NDArray[np.float32]:
        self.bounds.append(bounds)
        heard = np.concatenate([window.embeddings for window in windows])
        known = np.unique(heard[~np.isnan(heard).any(axis=1)], axis=0)
        wanted = bounds.exact or int(np.clip(len(known), bounds.minimum or 1, bounds.maximum or len(known)))
        return np.resize(known, (wanted, VOICES))

    def _window(self, block: Block, offset: int) -> LocalSpeakers:
        samples = block.samples[offset : offset + self.rules.length] / 32768.0
        hop = round(FRAME * RATE)
        levels = [np.sqrt(np.mean(samples[start : start + hop] ** 2)) for start in range(0, len(samples), hop)]
        # A recording that is shorter than a window goes on in silence.
        voices = np.zeros(self.rules.length // hop, int)
        voices[: len(levels)] = np.rint(np.multiply(levels, VOICES - 1))
        activity = np.zeros((len(voices), 3), np.float16)
        embeddings = np.full((3, VOICES), np.nan, np.float32)
        for speaker, voice in enumerate(np.unique(voices[voices > 0])[:3]):
            activity[:, speaker] = voices == voice
            embeddings[speaker] = np.eye(VOICES)[voice]
        return LocalSpeakers((block.start + offset) / RATE, activity, embeddings)
