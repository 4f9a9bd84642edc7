"""Blocking work in a thread, its results as an async stream, and cancellation that reaches it."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Cancelled(Exception):
    """Raised by work that stopped because nobody wants the result any more."""


class Work(Generic[Item]):
    """What blocking work gets to talk to the event loop; both methods may be called from its thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, queue: "asyncio.Queue[Item | None]") -> None:
        self._loop = loop
        self._queue = queue
        self._cancelled = threading.Event()

    def emit(self, item: Item) -> None:
        """Hand `item` to the consumer."""
        self._loop.call_soon_threadsafe(self._queue.put_nowait, item)

    def cancelled(self) -> bool:
        """Say whether nobody wants the rest any more; work looks here between its steps."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ask the work to stop at its next step."""
        self._cancelled.set()


async def stream_from_thread(run: Callable[[Work[Item]], None]) -> AsyncGenerator[Item, None]:
    """Run `run` in a thread and yield what it emits; its exception is raised here at the end, but Cancelled.

    A consumer that leaves early cancels the work and waits until the thread has really stopped: what it
    occupied (a slot, a model) is free when this generator is closed, not before.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Item | None] = asyncio.Queue()
    work = Work(loop, queue)
    thread = asyncio.ensure_future(asyncio.to_thread(run, work))
    # Everything emitted was put into the queue before: call_soon keeps its order.
    thread.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (item := await queue.get()) is not None:
            yield item
        with contextlib.suppress(Cancelled):
            await thread
    finally:
        work.cancel()
        await _settle(thread)


async def _settle(thread: "asyncio.Future[None]") -> None:
    """Wait for a cancelled thread; a further cancellation is passed on once it has ended."""
    interrupted: asyncio.CancelledError | None = None
    while not thread.done():
        try:
            await asyncio.wait([thread])
        except asyncio.CancelledError as error:
            interrupted = error
    if not thread.cancelled():
        thread.exception()
    if interrupted is not None:
        raise interrupted
