"""What the workers' threads report of one request, as messages for the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
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
        self._error: BaseException | None = None
        self._done = 0.0
        self._progressed = asyncio.Event()
        later = asyncio.get_running_loop().call_soon_threadsafe
        self.listener = Listener(
            output=lambda output: _ignore(later(self._put_output, output)),
            progress=lambda done, total: _ignore(later(self._put_progress, done, total)),
            ended=lambda error: _ignore(later(self.end, error)),
        )

    async def until_the_end(self, feeding: asyncio.Task[None]) -> AsyncIterator[Message]:
        """Yield the messages in order; raise what ended the feeding or the transcription."""
        # When the audio ends in an error, no end of the transcription will come.
        feeding.add_done_callback(self._fed)
        while (answer := await self._queue.get()) is not None:
            yield answer
        if self._error is not None:
            raise self._error

    async def wait_for_progress(self, seconds: float) -> None:
        """Wait until so much of the recording is done with, or nothing more will be."""
        while self._done < seconds and self._error is None:
            self._progressed.clear()
            await self._progressed.wait()

    def end(self, error: BaseException | None) -> None:
        """Take that nothing more comes, because of `error` if there is one."""
        self._error = self._error or error
        self._queue.put_nowait(None)
        self._progressed.set()

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
            self.end(error)


def _ignore(handle: object) -> None:
    """Take the handle of a scheduled call, which nobody wants."""
