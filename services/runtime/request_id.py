"""The id that follows one request through every process and log line."""

import re
import uuid

METADATA_KEY = "x-request-id"
"""Name of the HTTP header and of the gRPC metadata key (both are matched without case)."""

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")


def accept_request_id(offered: str | None) -> str:
    """Return the caller's own id when it is safe to log and echo, else a new one."""
    if offered is not None and _ACCEPTED.fullmatch(offered):
        return offered
    return uuid.uuid4().hex
