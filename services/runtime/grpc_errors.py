"""`MeshError` to a gRPC status with details, and back on the calling side.

A status carries one google.rpc.ErrorInfo (reason = the error's code, domain = `speechmesh`, metadata = the
wrong field) and, where a retry makes sense, a google.rpc.RetryInfo; after AIP-193. A status without our
ErrorInfo comes from the transport, not from a service: its text is never shown to anybody.
"""

from collections.abc import Coroutine
from typing import Any, NoReturn

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from services.runtime.errors import INTERNAL_MESSAGE, TABLE, Fault, MeshError
from services.runtime.spans import to_duration, to_seconds

DOMAIN = "speechmesh"

_FAULTS = {grpc.StatusCode[codes.grpc]: fault for fault, codes in TABLE.items()}

# What a peer that died, stopped or was never there looks like from here.
_TRANSPORT_LOSS = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.ABORTED}


def to_status(error: MeshError) -> status_pb2.Status:
    """Return the google.rpc.Status that says `error`."""
    code = grpc.StatusCode[TABLE[error.fault].grpc]
    status = status_pb2.Status(code=code.value[0], message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.code.upper(), domain=DOMAIN)
    if error.field:
        info.metadata["field"] = error.field
    status.details.add().Pack(info)
    if error.retry_after_seconds is not None:
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=to_duration(error.retry_after_seconds)))
    return status


async def abort(context: "grpc.aio.ServicerContext[Any, Any]", error: MeshError) -> NoReturn:
    """End the call with the status that says `error`."""
    rich = rpc_status.to_status(to_status(error))
    await context.abort(rich.code, rich.details or "", rich.trailing_metadata)
    raise AssertionError("abort returned")


def from_rpc_error(error: grpc.aio.AioRpcError, tier: str) -> MeshError:
    """Return what a failed call to `tier` means for our own caller."""
    rich = rpc_status.from_call(error)  # an AioRpcError serves as the call
    info, retry_after = _details(rich) if rich is not None else (None, None)
    if info is None:
        return _from_transport(error.code(), tier)
    fault = _FAULTS.get(error.code(), Fault.INTERNAL)
    return MeshError(
        fault,
        error.details() or INTERNAL_MESSAGE,
        code=info.reason.lower(),
        field=info.metadata.get("field"),
        retry_after_seconds=retry_after,
    )


class CallEnd:
    """Remembers the status that really ended a call with a stream of requests.

    When the other side ends a call while we are still writing, grpc.aio reports our failed write as INTERNAL
    and loses the true status, which was there first (seen with grpcio 1.85 in every fifth such call). The
    done callback runs in between.

    Args:
        call: a call that was just made.
    """

    def __init__(self, call: Any) -> None:
        self._status: tuple[grpc.StatusCode, grpc.aio.Metadata, str] | None = None
        call.add_done_callback(self._note)

    def explain(self, error: grpc.aio.AioRpcError, tier: str) -> MeshError:
        """Return what the failure of the call to `tier` means for our own caller."""
        if self._status is not None:
            code, trailing, details = self._status
            error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details)
        return from_rpc_error(error, tier)

    def _note(self, call: Any) -> None:
        if self._status is None:
            self._status = (_now(call.code()), _now(call.trailing_metadata()), _now(call.details()))


def _now(value: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine that has nothing to wait for returns; awaiting it would come too late."""
    try:
        value.send(None)
    except StopIteration as done:
        return done.value
    finally:
        value.close()
    raise AssertionError("the status of a call that is done had to be waited for")


def unavailable(tier: str) -> MeshError:
    """Return the error for a tier that is down, loading or draining."""
    return MeshError(Fault.UNAVAILABLE, f"The {tier} tier is temporarily unavailable.", code=f"{tier}_unavailable")


def _from_transport(code: grpc.StatusCode, tier: str) -> MeshError:
    if code in _TRANSPORT_LOSS:
        return unavailable(tier)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return MeshError(Fault.TOO_SLOW, f"The {tier} tier did not answer in time.", code=f"{tier}_too_slow")
    return MeshError(Fault.INTERNAL, INTERNAL_MESSAGE)


def _details(rich: status_pb2.Status) -> tuple[error_details_pb2.ErrorInfo | None, float | None]:
    info: error_details_pb2.ErrorInfo | None = None
    retry_after: float | None = None
    for detail in rich.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            candidate = error_details_pb2.ErrorInfo()
            detail.Unpack(candidate)
            info = candidate if candidate.domain == DOMAIN else info
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo()
            detail.Unpack(retry)
            retry_after = to_seconds(retry.retry_delay)
    return info, retry_after
