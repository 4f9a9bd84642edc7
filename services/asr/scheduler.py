"""Decides what the workers compute next: windows of all requests, in lanes, fairly, in batches. Pure, no clock.

A window is worked on in stages (encode, decode, align), each a job of its own, so a worker is busy with one job
or batch for some tenths of a second, a full batch of long windows for a second or two, and then asks again. That
is what makes a short request pass a long one, and a cancelled request cost at most what is running at that moment.

*Lanes.* Live (what becomes final, then what is shown meanwhile) before short before long. A lane that waits while
others are served is owed a share of the work: after jobs of `patience` seconds of audio (each stage counts) have
passed before it, it gets the next job. So nothing starves.

*Callers.* Inside a lane the caller who has had least goes first, counted in seconds of audio (start-time fair
queueing: Goyal, Vin, Cheng 1996). A caller who comes back after a while starts level with the others, not with a
credit. Among a caller's own requests the earliest deadline goes first, then the order of arrival, of live streams
the one that waits longest; inside a request, the order of time.

*Batches.* Jobs share a batch when their keys are equal. No job ever waits for a batch to fill: windows gather
while the workers are busy, because encoding goes on (each caller's turn in his order) until a decoding batch is
full or nothing is left to encode. What is left is shared among the workers that are free. And decoding, the
longest job, never holds all workers for long requests: the last one stays near the end of something short.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import math
from collections import Counter, deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Generic, TypeVar

Payload = TypeVar("Payload")

_CALLERS_REMEMBERED = 1000


class Lane(IntEnum):
    """How urgent a request is; smaller goes first."""

    LIVE = 0
    INTERIM = 1
    """Live too, but shown for a moment only: what becomes final goes first."""
    SHORT = 2
    LONG = 3


class Stage(IntEnum):
    """What is done to a window, in this order."""

    ENCODE = 0
    DECODE = 1
    ALIGN = 2


@dataclass(frozen=True)
class BatchLimits:
    """How many windows one worker takes at once; see `device.py` for the reasons."""

    encode: int
    decode: int
    decode_last: int
    """For long requests, when every other worker is decoding for long requests already."""


@dataclass(eq=False)
class Request:
    """One recording or stream, as the scheduler sees it. Its lane may change while it waits."""

    caller: str
    """Who asks; requests of one caller share his turns."""
    lane: Lane = Lane.SHORT
    deadline: float = math.inf
    """When the caller stops waiting, on the clock that `expired` is given."""
    number: int = field(default_factory=itertools.count().__next__)
    """Order of arrival."""


@dataclass(eq=False)
class Job(Generic[Payload]):
    """One window's next stage."""

    request: Request
    stage: Stage
    index: tuple[int, ...]
    """Place of the window in its request."""
    seconds: float
    """Audio it stands for; what its caller is charged."""
    key: Hashable
    """Jobs of one stage with equal keys may share a batch."""
    payload: Payload
    since: float
    """When it became ready."""
    extra: bool = False
    """Whether it is work beyond the usual stages; its caller is charged for it."""


@dataclass(frozen=True, eq=False)
class Batch(Generic[Payload]):
    """Jobs that one worker does at once; all of one stage and key."""

    stage: Stage
    jobs: tuple[Job[Payload], ...]


class Scheduler(Generic[Payload]):
    """The queue of one device.

    Args:
        workers: how many take from it.
        limits: most windows in a batch.
        patience: seconds of audio that may pass before a waiting lane.
    """

    def __init__(self, workers: int, limits: BatchLimits, patience: float = 120.0) -> None:
        self._workers = workers
        self._limits = limits
        self._patience = patience
        self._lanes = {lane: _LaneQueue[Payload]() for lane in Lane}
        self._owed = dict.fromkeys(Lane, 0.0)
        self._running: set[Batch[Payload]] = set()

    def add(self, job: Job[Payload]) -> None:
        """Queue a job."""
        self._lanes[job.request.lane].add(job)

    def move(self, request: Request, lane: Lane) -> None:
        """Put a request, with what it has waiting, into another lane."""
        jobs = self._lanes[request.lane].remove(request)
        request.lane = lane
        for job in jobs:
            self._lanes[lane].add(job)

    def take(self) -> Batch[Payload] | None:
        """Return what a free worker shall do, or None when nothing waits; it says `finish` when that is done."""
        waiting = [lane for lane in Lane if len(self._lanes[lane])]
        if not waiting:
            return None
        # The most urgent, unless one below it has been passed over for long enough; the longest suffering first.
        starved = [lane for lane in waiting[1:] if self._owed[lane] >= self._patience]
        chosen = max(starved, key=lambda lane: self._owed[lane]) if starved else waiting[0]
        free = max(1, self._workers - len(self._running))
        batch = self._lanes[chosen].take(self._limits, self._most_decoded(chosen), free)
        self._running.add(batch)
        self._settle(chosen, sum(job.seconds for job in batch.jobs))
        return batch

    def finish(self, batch: Batch[Payload]) -> None:
        """Take that a worker is done with a batch."""
        self._running.discard(batch)

    def _most_decoded(self, lane: Lane) -> int:
        decoding = [batch for batch in self._running if batch.stage is Stage.DECODE]
        long = sum(batch.jobs[0].request.lane is Lane.LONG for batch in decoding)
        last = lane is Lane.LONG and long >= self._workers - 1
        return self._limits.decode_last if last else self._limits.decode

    def _settle(self, chosen: Lane, cost: float) -> None:
        for lane in Lane:
            if lane == chosen or not len(self._lanes[lane]):
                self._owed[lane] = 0.0
            elif lane > chosen:
                self._owed[lane] += cost

    def cancel(self, request: Request) -> list[Job[Payload]]:
        """Take everything of a request out of the queue and return it."""
        return self._lanes[request.lane].remove(request)

    def expired(self, now: float) -> list[Request]:
        """Return the requests with jobs waiting whose deadline has passed."""
        return [request for lane in self._lanes.values() for request in lane.requests() if request.deadline <= now]

    def limit(self, stage: Stage) -> int:
        """Return the most windows of a stage in one batch."""
        return {Stage.ENCODE: self._limits.encode, Stage.DECODE: self._limits.decode, Stage.ALIGN: 1}[stage]

    def depth(self, lane: Lane) -> int:
        """Return how many windows wait in a lane."""
        return len(self._lanes[lane])

    def waiting_seconds(self, lane: Lane) -> float:
        """Return how much audio waits in a lane."""
        return self._lanes[lane].seconds()

    def waiting_for_each(self, lane: Lane, most: float) -> float:
        """Return how much audio waits in a lane when nobody has more than `most` seconds: what a newcomer of that
        length finds before him.
        """
        return sum(min(seconds, most) for seconds in self._lanes[lane].seconds_by_caller().values())

    def waiting_requests(self) -> int:
        """Return how many requests have something waiting."""
        return sum(len(lane.requests()) for lane in self._lanes.values())


class _LaneQueue(Generic[Payload]):
    """The jobs of one lane."""

    def __init__(self) -> None:
        self._jobs: dict[Request, dict[Stage, list[Job[Payload]]]] = {}
        self._counts = dict.fromkeys(Stage, 0)
        self._seconds = 0.0
        # Audio that callers have been served since they came, counted from the level at which they came; the
        # level is where the last one served stood, and what it forgets about the absent, nobody is owed.
        self._served: dict[str, float] = {}
        self._level = 0.0
        # How much each caller has to encode.
        self._backlog: Counter[str] = Counter()

    def __len__(self) -> int:
        return sum(self._counts.values())

    def seconds(self) -> float:
        return self._seconds

    def seconds_by_caller(self) -> dict[str, float]:
        waiting: dict[str, float] = {}
        for request, stages in self._jobs.items():
            seconds = sum(job.seconds for jobs in stages.values() for job in jobs)
            waiting[request.caller] = waiting.get(request.caller, 0.0) + seconds
        return waiting

    def requests(self) -> list[Request]:
        return list(self._jobs)

    def add(self, job: Job[Payload]) -> None:
        stages = self._jobs.setdefault(job.request, {stage: [] for stage in Stage})
        bisect.insort(stages[job.stage], job, key=lambda job: job.index)
        self._counts[job.stage] += 1
        self._seconds += job.seconds
        caller = job.request.caller
        # Where others shared a batch that he had no window for, the level may stand above who waits: he is owed that.
        if not self._backlog[caller]:
            self._served[caller] = max(self._served.get(caller, 0.0), self._level)
        if job.stage is Stage.ENCODE:
            self._backlog[caller] += 1

    def remove(self, request: Request) -> list[Job[Payload]]:
        jobs = [job for stage in self._jobs.get(request, {}).values() for job in stage]
        for job in jobs:
            self._drop(job)
        return jobs

    def take(self, limits: BatchLimits, most_decoded: int, free: int) -> Batch[Payload]:
        stage, size = self._next(limits, most_decoded, free)
        first = next(self._in_order(stage))
        alike = (job for job in self._in_order(stage) if job.key == first.key)
        jobs = tuple(itertools.islice(alike, size))
        for job in jobs:
            self._drop(job)
            self._charge(job)
        return Batch(stage, jobs)

    def _next(self, limits: BatchLimits, most_decoded: int, free: int) -> tuple[Stage, int]:
        """Return which stage is due, and how many of its windows at once.

        What is begun is finished first, but a decoding batch may fill while there is something to encode.
        """
        if self._counts[Stage.ALIGN]:
            return Stage.ALIGN, 1
        if not self._counts[Stage.ENCODE]:
            return Stage.DECODE, min(most_decoded, math.ceil(self._counts[Stage.DECODE] / free))
        # Encoded windows are large: with many keys no batch may ever fill, and yet their number is bounded.
        full = self._counts[Stage.DECODE] >= 4 * limits.decode
        if full or (most_decoded == limits.decode and self._has_batch_of(limits.decode)):
            return Stage.DECODE, most_decoded
        return Stage.ENCODE, limits.encode

    def _has_batch_of(self, size: int) -> bool:
        keys = Counter(job.key for stages in self._jobs.values() for job in stages[Stage.DECODE])
        return max(keys.values(), default=0) >= size

    def _in_order(self, stage: Stage) -> Iterator[Job[Payload]]:
        """Yield the jobs of a stage: whose caller has had least goes first, at every step."""
        requests = [request for request, stages in self._jobs.items() if stages[stage]]
        requests.sort(key=lambda request: (request.deadline, self._since(request, stage), request.number))
        queues: dict[str, deque[Job[Payload]]] = {}
        for request in requests:
            queues.setdefault(request.caller, deque()).extend(self._jobs[request][stage])
        turns = [(self._served[caller], queue[0].request.number, caller) for caller, queue in queues.items()]
        heapq.heapify(turns)
        while turns:
            served, number, caller = turns[0]
            job = queues[caller].popleft()
            yield job
            if queues[caller]:
                heapq.heapreplace(turns, (served + job.seconds, number, caller))
            else:
                heapq.heappop(turns)

    def _since(self, request: Request, stage: Stage) -> float:
        # Streams come back for ever: by arrival, a caller's first ones would always go before his others.
        return self._jobs[request][stage][0].since if request.lane in (Lane.LIVE, Lane.INTERIM) else 0.0

    def _charge(self, job: Job[Payload]) -> None:
        # A window is paid for when it is encoded; the other stages follow from that, unless it goes round again.
        if job.stage is Stage.ENCODE or job.extra:
            self._level = max(self._level, self._served[job.request.caller])
            self._served[job.request.caller] += job.seconds
            if len(self._served) > _CALLERS_REMEMBERED:
                self._forget()

    def _forget(self) -> None:
        # Those who came once for one window each stand above the level for ever, as nobody else raises it.
        waiting = {request.caller for request in self._jobs}
        self._served = {caller: served for caller, served in self._served.items() if caller in waiting}

    def _drop(self, job: Job[Payload]) -> None:
        stages = self._jobs[job.request]
        stages[job.stage].remove(job)
        self._counts[job.stage] -= 1
        if job.stage is Stage.ENCODE:
            self._backlog[job.request.caller] -= 1
            if not self._backlog[job.request.caller]:
                del self._backlog[job.request.caller]
        self._seconds -= job.seconds
        if not any(stages.values()):
            del self._jobs[job.request]
