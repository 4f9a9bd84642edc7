"""One decoder, several listeners: chunks to each service as fast as the slowest reads, and how far all of them are."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from services.audio import pcm
from services.edge.clients import Done
from services.edge.media import Chunk
from services.edge.pace import Pace

T = TypeVar("T")

OnProgress = Callable[[str, float], None]
"""Takes the stage (`decoding`, `transcribing`, then `summarizing`) and the share of it that is done, 0 to 1."""

_MOST_BELIEVED = 0.95
"""Of what a file says about its length; that a service is done, it says itself."""

_UNPACED_BYTES = pcm.byte_count(600)

# At 256 KiB a chunk: how far the decoder may run ahead of the slowest of the services.
_CHUNKS_AHEAD = 4


class Feed:
    """A short queue of chunks to one service; full, it holds up the decoder."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(_CHUNKS_AHEAD)
        self._closed = False

    async def put(self, chunk: bytes | None) -> None:
        """Add a chunk, None at the end; wait while the queue is full."""
        if not self._closed:
            await self._queue.put(chunk)

    def close(self) -> None:
        """Take nothing more, and let go whoever waits at either end: the service has answered."""
        self._closed = True
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield what was put."""
        while (chunk := await self._queue.get()) is not None:
            yield chunk


async def fed(feed: Feed, answering: Awaitable[T]) -> T:
    """Wait for a service's answer; once it has answered, or failed, it is fed no more."""
    try:
        return await answering
    finally:
        feed.close()


async def pump(chunks: AsyncIterator[Chunk], feeds: list[list[Feed]]) -> None:
    """Give each chunk to those who listen to its channel."""
    async for chunk in chunks:
        for feed in feeds[chunk.channel]:
            await feed.put(chunk.pcm)
    for channel in feeds:
        for feed in channel:
            await feed.put(None)


async def unhurried(chunks: AsyncIterator[Chunk], pace: Pace) -> AsyncIterator[Chunk]:
    """Yield the chunks of a recording, at `pace` where it is a long one.

    Its decoder is faster than any service behind, whose queues would be full in an instant; until they are, all others
    would wait for the processor.
    """
    ahead = 0
    async for chunk in chunks:
        ahead += len(chunk.pcm)
        if ahead > _UNPACED_BYTES:
            await pace.took(len(chunk.pcm))
        yield chunk


class Shares:
    """The mean of several services' progress.

    Args:
        progress: is told.
        duration: of the recording in seconds, as far as the file says; None where it does not.
    """

    def __init__(self, progress: OnProgress, duration: float | None) -> None:
        self._progress = progress
        self._duration = duration
        self._done: list[float] = []

    def share(self) -> Callable[[Done], None]:
        """Return what one more service tells its progress."""
        index = len(self._done)
        self._done.append(0.0)

        def report(done: Done) -> None:
            # A service knows the whole only once it has got it; a file that says how long it is may be wrong.
            told = min(done.seconds / self._duration, _MOST_BELIEVED) if self._duration else 0.0
            self._done[index] = max(self._done[index], told, done.ratio)
            self._progress("transcribing", sum(self._done) / len(self._done))

        return report
