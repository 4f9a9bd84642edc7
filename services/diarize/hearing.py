"""One recording on its way: audio in as it comes, its windows through the device, who spoke when in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from services.diarize.device import Device, Heard
from services.diarize.engine import Diarization, SpeakerBounds
from services.diarize.windows import Block, WindowedAudio
from services.runtime.fair_queue import Request


class Hearing:
    """A recording that is being diarized.

    Args:
        device: computes.
        caller: whose turns it takes.
    """

    def __init__(self, device: Device, caller: str) -> None:
        self._device = device
        self._request = Request(caller)
        self._audio = WindowedAudio(device.diarizer.rules)
        self._answers: list[asyncio.Future[Heard]] = []
        self._waiting = 0
        self._over = False
        self._error: BaseException | None = None
        self._changed = asyncio.Event()
        self._worked = asyncio.Event()

    @property
    def seconds(self) -> float:
        """How much audio has come."""
        return self._audio.seconds

    @property
    def waiting(self) -> bool:
        """Whether some of it is not worked through yet."""
        return self._waiting > 0

    @property
    def done_seconds(self) -> float:
        """How much of it is worked through, roughly; never less than before."""
        if self._over and not self._waiting:
            return self.seconds
        return min(self.seconds, (len(self._answers) - self._waiting) * self._device.block_seconds)

    def feed(self, chunk: bytes) -> None:
        """Take the next samples as PCM."""
        self._listen(self._audio.feed(np.frombuffer(chunk, "<i2")))

    def finish(self) -> None:
        """Take that the recording is over."""
        self._listen(self._audio.finish())
        self._over = True

    async def wait_for_change(self) -> None:
        """Wait until more is worked through, or somebody wakes this; raise what went wrong."""
        await self._changed.wait()
        self._changed.clear()
        if self._error is not None:
            raise self._error

    async def wait_until_behind(self, seconds: float) -> None:
        """Wait until no more audio than that waits to be worked through, or nothing more will be."""
        while self._waiting * self._device.block_seconds > seconds and self._error is None:
            self._worked.clear()
            await self._worked.wait()

    def wake(self) -> None:
        """Let go whoever waits for a change."""
        self._changed.set()

    async def conclude(self, bounds: SpeakerBounds) -> Diarization:
        """Return who spoke when; all must be worked through."""
        windows = [window for answer in self._answers for window in answer.result()]
        return await self._device.conclude(windows, self.seconds, bounds)

    def cancel(self) -> None:
        """Forget it."""
        self._device.end(self._request)

    def _listen(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            answer = self._device.listen(self._request, block)
            self._answers.append(answer)
            self._waiting += 1
            answer.add_done_callback(self._take)

    def _take(self, answer: asyncio.Future[Heard]) -> None:
        self._waiting -= 1
        if not answer.cancelled() and (error := answer.exception()) is not None:
            self._error = self._error or error
            self.cancel()
        self._changed.set()
        self._worked.set()
