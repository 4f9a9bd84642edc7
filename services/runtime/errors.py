"""Errors, said once: what went wrong, and what that is on each wire.

    MeshError      an expected failure; its text may be shown to the caller
    anything else  our fault; leaves the process as INTERNAL with a fixed text, the trace goes to the log

A fault says whose move it is, not which transport carries it. `TABLE` is the only place where a fault
becomes a gRPC status, an HTTP status or a WebSocket close code; `runtime.grpc_errors` and the edge read it in
both directions.
"""

from dataclasses import dataclass
from enum import Enum

INTERNAL_MESSAGE = "Something went wrong on our side; the request id helps us to find it."


class Fault(Enum):
    """What kind of failure it is."""

    INVALID = "invalid"
    """The request is wrong; sending it again will not help."""
    UNAUTHENTICATED = "unauthenticated"
    """The key is malformed, unknown or revoked."""
    PAYMENT_REQUIRED = "payment_required"
    """No credits are left."""
    NOT_FOUND = "not_found"
    """There is no such thing."""
    IDLE = "idle"
    """The caller has sent nothing for too long."""
    TOO_LARGE = "too_large"
    """More bytes or seconds than this caller may send."""
    OVERLOADED = "overloaded"
    """A limit or a full queue; come back later."""
    UNAVAILABLE = "unavailable"
    """A tier is down, loading or draining; come back later."""
    TOO_SLOW = "too_slow"
    """The deadline passed before the work was done."""
    INTERNAL = "internal"
    """Our fault."""


@dataclass(frozen=True)
class WireCodes:
    """One row of the table."""

    grpc: str
    """Name of the `grpc.StatusCode`."""
    http: int
    """HTTP status."""
    websocket: int
    """WebSocket close code."""
    retry: bool
    """Whether the same request may succeed later."""


TABLE: dict[Fault, WireCodes] = {
    Fault.INVALID: WireCodes("INVALID_ARGUMENT", 400, 4400, retry=False),
    Fault.UNAUTHENTICATED: WireCodes("UNAUTHENTICATED", 401, 4401, retry=False),
    Fault.PAYMENT_REQUIRED: WireCodes("FAILED_PRECONDITION", 402, 4402, retry=False),
    Fault.NOT_FOUND: WireCodes("NOT_FOUND", 404, 4400, retry=False),
    Fault.IDLE: WireCodes("CANCELLED", 408, 4408, retry=True),
    Fault.TOO_LARGE: WireCodes("OUT_OF_RANGE", 413, 4400, retry=False),
    Fault.OVERLOADED: WireCodes("RESOURCE_EXHAUSTED", 429, 4429, retry=True),
    Fault.UNAVAILABLE: WireCodes("UNAVAILABLE", 503, 1013, retry=True),
    # The contract knows no 504: a tier that is too slow is one that is not available now.
    Fault.TOO_SLOW: WireCodes("DEADLINE_EXCEEDED", 503, 1013, retry=True),
    Fault.INTERNAL: WireCodes("INTERNAL", 500, 1011, retry=False),
}

DEFAULT_RETRY_AFTER_SECONDS = 5.0


class MeshError(Exception):
    """A failure that the caller may know about.

    Args:
        fault: whose move it is.
        message: one readable sentence; it is shown to the caller.
        code: machine-readable, lower snake case; the fault's own name unless given.
        field: the request field that is wrong, if one is.
        retry_after_seconds: when it makes sense to come back; only for faults that allow a retry.
    """

    def __init__(
        self,
        fault: Fault,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message
        self.code = code or fault.value
        self.field = field
        if retry_after_seconds is None and TABLE[fault].retry:
            retry_after_seconds = DEFAULT_RETRY_AFTER_SECONDS
        self.retry_after_seconds = retry_after_seconds


def invalid_field(field: str, message: str) -> MeshError:
    """Return the error for one wrong field of a request; `message` says what is allowed."""
    return MeshError(Fault.INVALID, message, code="invalid_field", field=field)
