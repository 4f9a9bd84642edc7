"""What happens around every gRPC call: request id, log line, metrics, and errors turned into statuses.

One interceptor does all four, because their order matters: an error must be a status before the call is
counted and logged. grpc.aio takes async generators and coroutines that call `context.write()` as streaming
handlers (the standard health Watch is of the second kind); both are wrapped as what they are.
"""

import contextlib
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import structlog

from services.runtime import metrics
from services.runtime.errors import INTERNAL_MESSAGE, Fault, MeshError
from services.runtime.grpc_errors import abort
from services.runtime.logs import get_logger
from services.runtime.request_id import METADATA_KEY, accept_request_id

_UNTOUCHED = ("/grpc.health.v1.Health/", "/grpc.reflection.")

Handler = Any  # grpc's own handler objects carry no public type


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every call but health checks and reflection."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Return the handler of the call with our frame around it."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(_UNTOUCHED):
            return handler
        return _framed(handler, method)


def _framed(handler: Handler, method: str) -> Handler:
    serializers = {
        "request_deserializer": handler.request_deserializer,
        "response_serializer": handler.response_serializer,
    }
    if handler.response_streaming:
        behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream
        make = (
            grpc.stream_stream_rpc_method_handler if handler.request_streaming else grpc.unary_stream_rpc_method_handler
        )
        frame = _frame_generator if inspect.isasyncgenfunction(behaviour) else _frame_coroutine
        return make(frame(behaviour, method), **serializers)
    behaviour = handler.stream_unary if handler.request_streaming else handler.unary_unary
    make = grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
    return make(_frame_coroutine(behaviour, method), **serializers)


def _frame_generator(behaviour: Any, method: str) -> Any:
    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        async with _frame(method, context), contextlib.aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                yield response

    return call


def _frame_coroutine(behaviour: Any, method: str) -> Any:
    async def call(request: Any, context: Any) -> Any:
        async with _frame(method, context):
            return await behaviour(request, context)

    return call


@contextlib.asynccontextmanager
async def _frame(method: str, context: Any) -> AsyncIterator[None]:
    offered = dict(context.invocation_metadata() or ()).get(METADATA_KEY)
    request_id = accept_request_id(offered if isinstance(offered, str) else None)
    structlog.contextvars.bind_contextvars(request_id=request_id)
    started = time.monotonic()
    code = "OK"
    with metrics.RPC_INFLIGHT.labels(method).track_inprogress():
        try:
            with contextlib.suppress(grpc.aio.UsageError):
                await context.send_initial_metadata(((METADATA_KEY, request_id),))
            yield
        except MeshError as error:
            code = error.fault.value
            await abort(context, error)
        except grpc.aio.AbortError:
            code = "aborted"
            raise
        except Exception:  # noqa: BLE001 - the last rung: whatever it is, its text stays here
            code = Fault.INTERNAL.value
            get_logger().exception("rpc_failed", method=method)
            await abort(context, MeshError(Fault.INTERNAL, INTERNAL_MESSAGE))
        except BaseException:
            code = "cancelled"
            raise
        finally:
            seconds = time.monotonic() - started
            metrics.RPC_SECONDS.labels(method, code).observe(seconds)
            get_logger().info("rpc", method=method, code=code, seconds=round(seconds, 3))
