"""An aiohttp server that answers in JSON even to what is no HTTP, keeps what callers send out of the log, and waits
for no head for long.

aiohttp answers a request that it cannot parse before any middleware runs: in plain text, with the line that
offended, which it also logs. That line may be an Authorization header or an address with a token.

And it waits an hour for a request: so long may a connection be idle that a proxy in front keeps for its next one. A
connection that has never sent a request, or has stopped in the middle of a head, is no such connection.
"""

import asyncio
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from services.edge.answers import error_response, internal_error
from services.runtime.errors import Fault, MeshError
from services.runtime.logs import get_logger

HEAD_SECONDS: Final = 30.0
"""How long the head of a request may take; it is a few packets. Apache waits 20 to 40 seconds for one, nginx 60."""


class JsonRequestHandler(RequestHandler):
    """Serves one connection.

    Args:
        manager: the server that it is one of.
        head_seconds: how long the head of a request may take: the first one from when the connection is made, others
            from their first byte. A first byte that comes in one piece with what precedes it is not noticed; then the
            connection counts as idle.
        kw: of aiohttp's.
    """

    def __init__(self, manager: web.Server, *, head_seconds: float, **kw: Any) -> None:
        super().__init__(manager, **kw)
        self._head_seconds = head_seconds
        self._waiting_for_head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve, and to wait for the first head."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take what comes; see whether it is a part of a head, or the end of one."""
        heads = self._request_count
        super().data_received(data)
        if self._request_count != heads:
            self._stop_waiting_for_head()
        elif data and self._is_idle() and self._waiting_for_head is None:
            self._wait_for_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop serving, and waiting."""
        self._stop_waiting_for_head()
        super().connection_lost(exc)

    def _is_idle(self) -> bool:
        # Neither while a request is at work, nor while what its refused body still brings is thrown away.
        return self._waiter is not None and not self._waiter.done()

    def _wait_for_head(self) -> None:
        self._waiting_for_head = self._loop.call_later(self._head_seconds, self.force_close)

    def _stop_waiting_for_head(self) -> None:
        if self._waiting_for_head is not None:
            self._waiting_for_head.cancel()
            self._waiting_for_head = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that never reached the application; what it was is not told, neither here nor there."""
        get_logger().warning("http_refused", status=status, reason=type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        error = internal_error()
        if status < 500:
            error = MeshError(Fault.INVALID, "The request is not valid HTTP.", code="bad_request")
        response = error_response(error)
        response.set_status(status)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log what went wrong outside of a request; a body that is not what its head says is the caller's doing."""
        error = kw.get("exc_info")
        if isinstance(error, HttpProcessingError | web.RequestPayloadError):
            get_logger().warning("http_body_refused", reason=type(error).__name__)
        else:
            super().log_exception(*args, **kw)


class JsonServer(web.Server):
    """Makes a `JsonRequestHandler` for each connection."""

    def __call__(self) -> JsonRequestHandler:
        """Return the handler of a new connection."""
        return JsonRequestHandler(self, loop=self._loop, **self._kwargs)


class JsonRunner(web.AppRunner):
    """Runs an application behind a `JsonServer`.

    Args:
        app: the application.
        head_seconds: as a `JsonRequestHandler` takes it.
        kw: of aiohttp's.
    """

    def __init__(self, app: web.Application, *, head_seconds: float = HEAD_SECONDS, **kw: Any) -> None:
        super().__init__(app, **kw)
        self._head_seconds = head_seconds

    async def _make_server(self) -> web.Server:
        await super()._make_server()  # starts the application up; its server is not used
        handle: Any = self._app._handle
        return JsonServer(
            handle, request_factory=self._app._make_request, head_seconds=self._head_seconds, **self._kwargs
        )
