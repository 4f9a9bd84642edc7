"""How many requests a process takes, and how many of them run at once."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator

from services.runtime import metrics
from services.runtime.errors import Fault, MeshError


class Admission:
    """A bounded queue of requests in front of a few slots.

    A request first takes a place (refused at once when all are taken: a full queue is told, never grown),
    then, with its input complete, waits for a slot in the order of arrival.

    Args:
        service: label of the metrics.
        places: requests taken at once, running or waiting.
        slots: requests that run at once.
        expected_wait: tells when a place should be free again, in seconds, where something knows it better
            than the mean time of recent requests.
    """

    def __init__(self, service: str, places: int, slots: int, expected_wait: Callable[[], float] | None = None) -> None:
        self._service = service
        self._places = places
        self._slots = asyncio.Semaphore(slots)
        self._slot_count = slots
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._mean_seconds = 5.0
        self._expected_wait = expected_wait

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place in the queue; raises MeshError (OVERLOADED) when none is left."""
        if self._taken >= self._places:
            raise self._full()
        self._count(1)
        try:
            yield
        finally:
            self._give_back()

    @contextlib.asynccontextmanager
    async def place_within(self, seconds: float) -> AsyncIterator[None]:
        """Hold a place, as `place`; wait for one so long at most, in the order of arrival.

        For requests that it would be a pity to send away. As many may wait as there are places.
        """
        if self._taken < self._places:
            self._count(1)
        elif len(self._waiting) < self._places:
            await self._wait(seconds)
        else:
            raise self._full()
        began = time.monotonic()
        try:
            yield
        finally:
            self._remember(time.monotonic() - began)
            self._give_back()

    @contextlib.contextmanager
    def more(self, places: int) -> Iterator[None]:
        """Hold more places, for a request that has one and turns out to need them.

        It gets them at once, also when there are too few, and whoever comes next waits the longer: were it to wait
        while it holds one, two such requests could wait for each other.
        """
        self._count(places)
        try:
            yield
        finally:
            for _ in range(places):
                self._give_back()

    async def _wait(self, seconds: float) -> None:
        """Wait until somebody hands over his place."""
        handed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(handed)
        try:
            async with asyncio.timeout(seconds):
                await handed
        except BaseException as error:
            if handed.done() and not handed.cancelled():
                self._give_back()  # it came as he left
            elif handed in self._waiting:
                self._waiting.remove(handed)
            if isinstance(error, TimeoutError):
                raise self._full() from None
            raise

    def _give_back(self) -> None:
        while self._waiting and self._taken <= self._places:
            handed = self._waiting.popleft()
            if not handed.done():  # else he has left
                # Handed over without being free in between: nobody who comes now is served before.
                handed.set_result(None)
                return
        self._count(-1)

    def _count(self, more: int) -> None:
        self._taken += more
        metrics.QUEUE_PLACES.labels(self._service).set(self._taken)

    def _full(self) -> MeshError:
        metrics.QUEUE_REFUSED.labels(self._service).inc()
        return MeshError(
            Fault.OVERLOADED,
            "Too many requests are waiting; try again later.",
            code="queue_full",
            retry_after_seconds=self.expected_wait_seconds(),
        )

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it."""
        waiting_since = time.monotonic()
        async with self._slots:
            started = time.monotonic()
            metrics.QUEUE_WAIT_SECONDS.labels(self._service).observe(started - waiting_since)
            try:
                yield
            finally:
                busy = time.monotonic() - started
                metrics.BUSY_SECONDS.labels(self._service).inc(busy)
                self._remember(busy)

    def _remember(self, seconds: float) -> None:
        # A moving mean over about the last ten requests: recent enough to follow the load.
        self._mean_seconds += (seconds - self._mean_seconds) / 10

    def expected_wait_seconds(self) -> float:
        """Return when a place should be free again, judged by how long recent requests took."""
        if self._expected_wait is not None:
            return max(1.0, self._expected_wait())
        return max(1.0, self._mean_seconds / self._slot_count)
