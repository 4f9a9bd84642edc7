"""Cuts a recording that arrives in parts into overlapping windows, and keeps no more of it than they need. Pure."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.audio.pcm import SAMPLE_RATE


@dataclass(frozen=True)
class WindowRules:
    """Where windows lie, in samples."""

    length: int
    """Of a window."""
    step: int
    """From the start of one to the start of the next; at most `length`."""
    block_steps: int
    """How many successive windows are worked on at once, as a block."""


@dataclass(frozen=True, eq=False)
class Block:
    """Some successive windows of a recording, and the audio that they share."""

    start: int
    """Of the first window, in samples from the start of the recording."""
    samples: NDArray[np.int16]
    """Audio from `start` to the end of the last window, or of a recording that is shorter; shape (samples,)."""
    offsets: tuple[int, ...]
    """Where each window begins, in samples from `start`; rising."""


class WindowedAudio:
    """The windows of one recording, in blocks.

    Windows begin every `step` samples. What is left over at the end gets one more, which ends with the recording; a
    recording shorter than a window has one, which ends with it too.
    """

    def __init__(self, rules: WindowRules) -> None:
        self._rules = rules
        self._parts: deque[NDArray[np.int16]] = deque()
        # Samples from the start of the recording to the first one that is kept.
        self._forgotten = 0
        self._received = 0
        # Where the next block begins.
        self._next = 0

    @property
    def seconds(self) -> float:
        """How much audio has come."""
        return self._received / SAMPLE_RATE

    def feed(self, pcm: NDArray[np.int16]) -> list[Block]:
        """Take the next samples, shape (n,), 16 kHz mono; return the blocks that are now complete."""
        self._parts.append(pcm)
        self._received += len(pcm)
        rules, complete = self._rules, []
        offsets = tuple(number * rules.step for number in range(rules.block_steps))
        while self._next + offsets[-1] + rules.length <= self._received:
            complete.append(self._block(offsets))
            self._next += rules.block_steps * rules.step
            self._forget(self._next)
        return complete

    def finish(self) -> list[Block]:
        """Take that the recording is over; return the last block, if there is one."""
        rules = self._rules
        # What the blocks before reach to.
        covered = self._next - rules.step + rules.length if self._next else 0
        if covered >= self._received:
            return []
        whole = max(0, (self._received - self._next - rules.length) // rules.step + 1)
        starts = [self._next + number * rules.step for number in range(whole)]
        if not starts or starts[-1] + rules.length < self._received:
            starts.append(max(0, self._received - rules.length))
        self._next = starts[0]
        return [self._block(tuple(start - starts[0] for start in starts))]

    def _block(self, offsets: tuple[int, ...]) -> Block:
        start, place = self._next, self._forgotten
        samples = np.empty(min(offsets[-1] + self._rules.length, self._received - start), np.int16)
        for part in self._parts:
            begin, end = max(start, place), min(start + len(samples), place + len(part))
            if begin < end:
                samples[begin - start : end - start] = part[begin - place : end - place]
            place += len(part)
        return Block(start, samples, offsets)

    def _forget(self, until: int) -> None:
        # The last window ends with the recording, and so may begin before the next block.
        until -= self._rules.length
        while self._parts and self._forgotten + len(self._parts[0]) <= until:
            self._forgotten += len(self._parts.popleft())
