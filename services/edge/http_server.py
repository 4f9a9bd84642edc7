"""An aiohttp server that answers in JSON even to what is no HTTP, and keeps what callers send out of the log.

aiohttp answers a request that it cannot parse before any middleware runs: in plain text, with the line that
offended, which it also logs. That line may be an Authorization header or an address with a token.
"""

from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from services.edge.answers import error_response, internal_error
from services.runtime.errors import Fault, MeshError
from services.runtime.logs import get_logger


class JsonRequestHandler(RequestHandler):
    """Serves one connection."""

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
    """Runs an application behind a `JsonServer`."""

    async def _make_server(self) -> web.Server:
        await super()._make_server()  # starts the application up; its server is not used
        handle: Any = self._app._handle
        return JsonServer(handle, request_factory=self._app._make_request, **self._kwargs)
