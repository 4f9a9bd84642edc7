"""What the workers' threads report of one request, as messages for the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, Generic, TypeVar

from services.asr.session import Output
from services.asr.workers import Listener

Message = TypeVar("Message")


class Answers(Generic[Message]):
    """The messages of one request.

    Args:
        convert: makes messages of what is new.
        progress: makes messages of how far it has come: the seconds that are done with, and how many there are in
            all, once that is known.
    """

    def __init__(
        self,
        convert: Callable[[Any], Iterable[Message]],
        progress: Callable[[float, float | None], Iterable[Message]] = lambda done, total: (),
    ) -> None:
        self._convert = convert
        self._progress = progress
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue()
        self._ended = False
        self._error: BaseException | None = None
        self._done = 0.0
        self._progressed = asyncio.Event()
        self._taken = asyncio.Event()
        self.left = False
        """Whether it was left, not ended."""
        later = asyncio.get_running_loop().call_soon_threadsafe
        self.listener = Listener(
            output=lambda output: _ignore(later(self._put_output, output)),
            progress=lambda done, total: _ignore(later(self._put_progress, done, total)),
            ended=lambda error: _ignore(later(self._end, error)),
        )

    async def until_the_end(self, feeding: asyncio.Task[None]) -> AsyncGenerator[Message, None]:
        """Yield the messages in order; raise what ended the feeding or the transcription."""
        # When the audio ends in an error, no end of the transcription will come.
        feeding.add_done_callback(self._fed)
        while (answer := await self._queue.get()) is not None:
            self._taken.set()
            yield answer
        if self._error is not None:
            raise self._error

    async def wait_for_progress(self, seconds: float) -> None:
        """Wait until so much of the recording is done with, or nothing more will be."""
        while self._done < seconds and not self._ended:
            self._progressed.clear()
            await self._progressed.wait()

    async def wait_for_reader(self, most: int) -> None:
        """Wait until no more than so many messages wait to be read, or nothing more comes."""
        while self._queue.qsize() > most and not self._ended:
            self._taken.clear()
            await self._taken.wait()

    def leave(self) -> None:
        """Take that nothing more is to be told, unless it has ended already."""
        self.left = not self._ended
        self._end(None)

    def _end(self, error: BaseException | None) -> None:
        if self._ended:
            return
        self._ended = True
        self._error = error
        self._queue.put_nowait(None)
        self._progressed.set()
        self._taken.set()

    def _put_output(self, output: Output) -> None:
        for message in self._convert(output):
            self._queue.put_nowait(message)

    def _put_progress(self, done: float, total: float | None) -> None:
        self._done = done
        self._progressed.set()
        for message in self._progress(done, total):
            self._queue.put_nowait(message)

    def _fed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end(error)


def _ignore(handle: object) -> None:
    """Take the handle of a scheduled call, which nobody wants."""
