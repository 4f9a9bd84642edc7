"""The audio of a live stream that may have to be sent again: all since the last position that was told. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from services.audio.pcm import SAMPLE_BYTES, SAMPLE_RATE


class Mark(Enum):
    """What is said between two samples."""

    FLUSH = auto()
    END = auto()


@dataclass(frozen=True)
class Audio:
    """Samples that come next."""

    pcm: bytes


class Replay:
    """What a client sent, from a position on, and how much of it was passed on since the last rewind.

    Positions are in samples from the start of the stream.
    """

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._start = 0
        self._passed = 0
        self._flushes: list[int] = []
        self._flushes_passed = 0
        self._ended = False

    @property
    def received_seconds(self) -> float:
        """How much audio the client has sent in all."""
        return self._end / SAMPLE_RATE

    @property
    def waiting_seconds(self) -> float:
        """How much audio was not passed on yet."""
        return (self._end - self._passed) / SAMPLE_RATE

    @property
    def kept_seconds(self) -> float:
        """How much audio is kept."""
        return (self._end - self._start) / SAMPLE_RATE

    @property
    def _end(self) -> int:
        return self._start + len(self._pcm) // SAMPLE_BYTES

    def append(self, pcm: bytes) -> None:
        """Take the next samples."""
        self._pcm += pcm

    def flush(self) -> None:
        """Take that what was said so far is to become final."""
        if self._end not in self._flushes[-1:]:
            self._flushes.append(self._end)

    def end(self) -> None:
        """Take that nothing more comes."""
        self._ended = True

    def next(self, most_bytes: int) -> Audio | Mark | None:
        """Return what is to be passed on next, audio of at most so many bytes; None when there is nothing now.

        After END nothing comes.
        """
        flushes = self._flushes[self._flushes_passed :]
        if flushes and flushes[0] <= self._passed:
            self._flushes_passed += 1
            return Mark.FLUSH
        until = min([self._end, self._passed + most_bytes // SAMPLE_BYTES, *flushes[:1]])
        if until > self._passed:
            first, last = ((place - self._start) * SAMPLE_BYTES for place in (self._passed, until))
            self._passed = until
            return Audio(bytes(self._pcm[first:last]))
        return Mark.END if self._ended else None

    def forget_before(self, position: int) -> None:
        """Take that nothing before a position is needed again. What was not passed on is kept in any case."""
        dropped = max(0, min(position, self._passed) - self._start)
        del self._pcm[: dropped * SAMPLE_BYTES]
        self._start += dropped
        # A flush at the start itself does no harm when it is said again.
        gone = sum(place < self._start for place in self._flushes[: self._flushes_passed])
        self._flushes = self._flushes[gone:]
        self._flushes_passed -= gone

    def rewind(self) -> None:
        """Begin again with the first sample that is kept."""
        self._passed = self._start
        self._flushes_passed = 0
