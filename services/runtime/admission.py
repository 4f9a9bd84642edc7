"""How many requests a process takes, and how many of them run at once."""

import asyncio
import contextlib
import time
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
        self._mean_seconds = 5.0
        self._expected_wait = expected_wait

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place in the queue; raises MeshError (OVERLOADED) when none is left."""
        if self._taken >= self._places:
            metrics.QUEUE_REFUSED.labels(self._service).inc()
            raise MeshError(
                Fault.OVERLOADED,
                "Too many requests are waiting; try again later.",
                code="queue_full",
                retry_after_seconds=self.expected_wait_seconds(),
            )
        self._taken += 1
        metrics.QUEUE_PLACES.labels(self._service).set(self._taken)
        try:
            yield
        finally:
            self._taken -= 1
            metrics.QUEUE_PLACES.labels(self._service).set(self._taken)

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
                # A moving mean over about the last ten requests: recent enough to follow the load.
                self._mean_seconds += (busy - self._mean_seconds) / 10

    def expected_wait_seconds(self) -> float:
        """Return when a place should be free again, judged by how long recent requests took."""
        if self._expected_wait is not None:
            return max(1.0, self._expected_wait())
        return max(1.0, self._mean_seconds / self._slot_count)
