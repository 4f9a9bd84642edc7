"""The device and those who share it: blocks of all requests, computed in batches by a few workers.

Everything but the networks runs on the event loop, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from services.audio.pcm import SAMPLE_RATE
from services.diarize.engine import MAX_SPEAKERS, Diarization, Diarizer, LocalSpeakers, SpeakerBounds
from services.diarize.reconstruction import reconstruct
from services.diarize.windows import Block
from services.runtime import metrics
from services.runtime.fair_queue import FairQueue, Request
from services.runtime.logs import get_logger
from services.runtime.pace import Pace

Heard = list[LocalSpeakers]


@dataclass(frozen=True, eq=False)
class _Job:
    """A block that waits."""

    block: Block
    answer: asyncio.Future[Heard]
    since: float


class Device:
    """One diarizer, shared.

    Args:
        diarizer: what computes.
        workers: how many batches are computed at once.
        clock: tells the time in seconds.
    """

    def __init__(self, diarizer: Diarizer, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.diarizer = diarizer
        self._clock = clock
        self._queue: FairQueue[_Job] = FairQueue()
        self._networks = ThreadPoolExecutor(workers, thread_name_prefix="diarize-networks")
        # Grouping the voices of a long recording takes a second or two, which nobody else has to wait for.
        self._grouping = ThreadPoolExecutor(1, thread_name_prefix="diarize-grouping")
        self._workers = workers
        self._working = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._pace = Pace(workers)

    @property
    def block_seconds(self) -> float:
        """Audio from the start of a block to the start of the next."""
        return self.diarizer.rules.block_steps * self.diarizer.rules.step / SAMPLE_RATE

    def listen(self, request: Request, block: Block) -> asyncio.Future[Heard]:
        """Queue a block; the answer comes when it was its turn."""
        answer: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()
        self._queue.add(request, _Job(block, answer, self._clock()))
        self._measure_queue()
        if self._working < self._workers:
            self._working += 1
            working = asyncio.create_task(self._work())
            self._tasks.add(working)
            working.add_done_callback(self._tasks.discard)
        return answer

    async def conclude(self, windows: Sequence[LocalSpeakers], duration: float, bounds: SpeakerBounds) -> Diarization:
        """Return who spoke when in a recording of which all windows were heard, of `duration` seconds."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._grouping, _concluded, self.diarizer, windows, duration, bounds)

    def end(self, request: Request) -> None:
        """Forget a request: what waits leaves the queue at once, what is being computed is thrown away."""
        for job in self._queue.end(request):
            job.answer.cancel()
        self._measure_queue()

    def expected_wait_seconds(self) -> float:
        """Return when one of the requests that are under way should be done, judged by the pace so far."""
        waiting = len(self._queue) * self.block_seconds
        return self._pace.seconds_for(waiting) / max(1, self._queue.waiting_requests())

    async def _work(self) -> None:
        while batch := self._queue.take(self.diarizer.blocks_at_once):
            self._measure_queue()
            await self._compute([job for _, job in batch])
        # Here and not when the task is over: what is queued in between would find nobody.
        self._working -= 1

    async def _compute(self, jobs: Sequence[_Job]) -> None:
        began = self._clock()
        for job in jobs:
            metrics.QUEUE_WAIT_SECONDS.labels("diarize").observe(began - job.since)
        try:
            loop = asyncio.get_running_loop()
            blocks = [job.block for job in jobs]
            heard = await loop.run_in_executor(self._networks, self.diarizer.listen, blocks)
            assert len(heard) == len(blocks), "the diarizer left blocks out"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is these requests' and nobody else's
            await self._failed(jobs, error)
            return
        self._measure(jobs, self._clock() - began)
        for job, windows in zip(jobs, heard, strict=True):
            if not job.answer.done():
                job.answer.set_result(windows)

    async def _failed(self, jobs: Sequence[_Job], error: Exception) -> None:
        get_logger().error("batch_failed", blocks=len(jobs), exc_info=error)
        if len(jobs) == 1:
            if not jobs[0].answer.done():
                jobs[0].answer.set_exception(error)
            return
        # One bad block, or too little memory for all at once: that is not the others' fault.
        for job in jobs:
            if not job.answer.done():
                await self._compute([job])

    def _measure(self, jobs: Sequence[_Job], seconds: float) -> None:
        step = self.diarizer.rules.step / SAMPLE_RATE
        self._pace.observe(sum(len(job.block.offsets) * step for job in jobs), seconds)
        metrics.BUSY_SECONDS.labels("diarize").inc(seconds)
        metrics.DIARIZE_BATCH_SECONDS.observe(seconds)
        metrics.DIARIZE_REAL_TIME_FACTOR.set(self._pace.real_time_factor)

    def _measure_queue(self) -> None:
        metrics.DIARIZE_QUEUE_BLOCKS.set(len(self._queue))


def _concluded(
    diarizer: Diarizer, windows: Sequence[LocalSpeakers], duration: float, bounds: SpeakerBounds
) -> Diarization:
    if not any(window.voiced for window in windows):
        return Diarization((), ())
    fewest, most = max(bounds.exact, bounds.minimum), bounds.exact or bounds.maximum or MAX_SPEAKERS
    results: list[tuple[int, Diarization]] = []
    # Who is told how many speakers there are gets better ones when they are looked for freely first.
    for asked in dict.fromkeys((SpeakerBounds(), bounds)):
        result = reconstruct(windows, diarizer.voices(windows, asked), diarizer.frames, duration, bounds)
        found = len(result.activity.probabilities)
        results.append((max(fewest - found, found - most, 0), result))
        if not results[-1][0]:
            break
    return min(results, key=lambda result: result[0])[1]
