"""An answer as server-sent events: while the work goes on, `progress` and `delta`; at its end `result` or `error`."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from services.edge.answers import dump_json, internal_error
from services.edge.render import error_json
from services.runtime.errors import TABLE, MeshError
from services.runtime.logs import get_logger

_PROGRESS_SECONDS = 0.25


class Reports:
    """What a request's work tells while it goes on: how far it has come, and pieces of its result.

    Args:
        progress: how far it has come at the beginning.
    """

    def __init__(self, progress: Any) -> None:
        self.progress = progress
        """How far it has come now; what it was in between is not kept."""
        self._pieces: list[Any] = []
        self._news = asyncio.Event()

    def add(self, piece: Any) -> None:
        """Tell the next piece; all are kept until they are taken."""
        self._pieces.append(piece)
        self._news.set()

    def take(self) -> list[Any]:
        """Return the pieces that were not taken yet."""
        pieces, self._pieces = self._pieces, []
        self._news.clear()
        return pieces

    async def wait(self, working: "asyncio.Future[Any]", seconds: float) -> None:
        """Wait until there is a piece or the work is done, `seconds` at most."""
        coming = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait({working, coming}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            coming.cancel()


class EventStream:
    """The events of one answer.

    Args:
        request: what it answers; the head of the answer goes out at `open`.
    """

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}
        )

    async def open(self) -> None:
        """Send the head of the answer."""
        await self.response.prepare(self._request)

    async def send(self, event: str, data: Any) -> None:
        """Send one event with `data` as JSON."""
        await self._send(event, dump_json(data))

    async def send_result(self, data: Any) -> None:
        """Send the last event of an answer that came about; hours of words take a while to be written as JSON."""
        await self._send("result", await asyncio.to_thread(dump_json, data))

    async def _send(self, event: str, data: bytes) -> None:
        await self.response.write(b"event: " + event.encode() + b"\ndata: " + data + b"\n\n")

    async def fail(self, error: MeshError) -> None:
        """Send the last event of an answer that failed."""
        body = {**error_json(error), "status": TABLE[error.fault].http}
        if error.retry_after_seconds is not None:
            body["retry_after"] = math.ceil(error.retry_after_seconds)
        await self.send("error", body)

    async def close(self) -> web.StreamResponse:
        """End the answer and return it."""
        await self.response.write_eof()
        return self.response


async def answer_in_events(
    request: web.Request,
    work: Callable[[Reports], Awaitable[Any]],
    progress: Any,
    *,
    patience_seconds: float = 0.0,
    leaves: Callable[[], None] = lambda: None,
) -> web.StreamResponse:
    """Do the work and answer with events: `progress` a few times a second, a `delta` for every piece, then `result`
    or `error`. A client that leaves cancels the work.

    Args:
        request: what is answered.
        work: does it, tells how it goes, and returns the result.
        progress: how far it has come at the beginning.
        patience_seconds: how long the head of the answer waits for the first piece, so that work that fails soon
            fails with a status of its own.
        leaves: is called when the result has begun to leave.

    Raises:
        MeshError: the work failed before the head was out.
    """
    reports = Reports(progress)
    working = asyncio.ensure_future(work(reports))
    try:
        if patience_seconds:
            await reports.wait(working, patience_seconds)
            if working.done():
                working.result()
        return await _tell(EventStream(request), working, reports, leaves)
    finally:
        await _end(working)


async def _tell(
    events: EventStream, working: "asyncio.Future[Any]", reports: Reports, leaves: Callable[[], None]
) -> web.StreamResponse:
    await events.open()
    try:
        await _tell_how_it_goes(events, working, reports)
        await events.send_result(working.result())
        leaves()
    except MeshError as error:
        await events.fail(error)
    except ConnectionResetError:
        return events.response  # the client has left, and the work ends with the answer
    except Exception:  # noqa: BLE001 - the head is out: a failure must still be the last event
        get_logger().exception("request_failed")
        await events.fail(internal_error())
    return await events.close()


async def _tell_how_it_goes(events: EventStream, working: "asyncio.Future[Any]", reports: Reports) -> None:
    """Send what is told until the work is done: every piece, and the progress whether it has changed or not, which
    finds out who has left.
    """
    progress_due = 0.0
    while not working.done():
        if time.monotonic() >= progress_due:
            await events.send("progress", reports.progress)
            progress_due = time.monotonic() + _PROGRESS_SECONDS
        await _tell_pieces(events, reports)
        await reports.wait(working, _PROGRESS_SECONDS)
    await _tell_pieces(events, reports)


async def _tell_pieces(events: EventStream, reports: Reports) -> None:
    for piece in reports.take():
        await events.send("delta", piece)


async def _end(working: "asyncio.Future[Any]") -> None:
    working.cancel()
    await asyncio.wait({working})
    if not working.cancelled():
        working.exception()  # told already, or nobody is left to tell
