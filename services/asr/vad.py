"""Voice activity detection while the audio arrives, with Silero VAD v6.

faster-whisper, which ships the network, wants the whole recording at once. The network itself is recurrent: fed
with its state and the last samples of the frame before, it gives the same probabilities for any division of the
audio.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from services.asr.windows import FRAME_SAMPLES, Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CONTEXT_SAMPLES = 64
_STATE_SHAPE = (1, 1, 128)
# 32 s of audio at once: enough to fill the network's matrices, little enough to stay in the cache.
_FRAMES_AT_ONCE = 1000


@dataclass(frozen=True, eq=False)
class VoiceState:
    """What is remembered of a recording so far; arrays of float32."""

    hidden: NDArray[np.float32]
    """The network's state, shape (1, 1, 128)."""
    cell: NDArray[np.float32]
    """Its other half, shape (1, 1, 128)."""
    context: NDArray[np.float32]
    """Last samples of the frame before, shape (64,)."""
    rest: NDArray[np.float32]
    """Samples of the frame that is not complete, shape (0..511,)."""


def at_the_start() -> VoiceState:
    """Return the state before the first sample."""
    hidden, cell = np.zeros(_STATE_SHAPE, np.float32), np.zeros(_STATE_SHAPE, np.float32)
    return VoiceState(hidden, cell, np.zeros(_CONTEXT_SAMPLES, np.float32), np.zeros(0, np.float32))


class VoiceActivity:
    """Listens to one recording.

    Args:
        session: the network; shared by all recordings, it keeps no state.
        state: where another one stood, to go on from there; None at the start of a recording.
        known: how many of the first samples to come that other one has heard already; they are passed over.
    """

    def __init__(self, session: Any, state: VoiceState | None = None, known: int = 0) -> None:
        self._session = session
        state = state or at_the_start()
        self._hidden, self._cell, self._context, self._rest = state.hidden, state.cell, state.context, state.rest
        self._known = known

    @property
    def state(self) -> VoiceState:
        """Where it stands."""
        return VoiceState(self._hidden, self._cell, self._context, self._rest)

    def feed(self, pcm: NDArray[np.int16]) -> list[Frame]:
        """Take the next samples (shape (n,), 16 kHz mono); return the frames they complete."""
        known = min(self._known, len(pcm))
        self._known -= known
        pcm = pcm[known:]
        samples = np.concatenate([self._rest, pcm.astype(np.float32) / np.float32(32768)])
        whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
        self._rest = samples[whole:].copy()
        return self._judge(samples[:whole].reshape(-1, FRAME_SAMPLES))

    def finish(self) -> list[Frame]:
        """Return the last, incomplete frame, filled up with silence, if there is one."""
        if not len(self._rest):
            return []
        last = np.pad(self._rest, (0, FRAME_SAMPLES - len(self._rest)))
        self._rest = self._rest[:0]
        return self._judge(last.reshape(1, FRAME_SAMPLES))

    def _judge(self, frames: NDArray[np.float32]) -> list[Frame]:
        judged: list[Frame] = []
        for start in range(0, len(frames), _FRAMES_AT_ONCE):
            block = frames[start : start + _FRAMES_AT_ONCE]
            tails = np.concatenate([self._context[np.newaxis], block[:-1, -_CONTEXT_SAMPLES:]])
            self._context = block[-1, -_CONTEXT_SAMPLES:].copy()
            inputs = {"input": np.concatenate([tails, block], axis=1), "h": self._hidden, "c": self._cell}
            speech, self._hidden, self._cell = self._session.run(None, inputs)
            levels = np.mean(np.square(block), axis=1)
            judged += map(Frame, np.ravel(speech).tolist(), levels.tolist())
        return judged
