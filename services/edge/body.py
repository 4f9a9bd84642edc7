"""A JSON body: read whole, up to a limit of its route, from a sender that may stop in the middle."""

import json
from collections.abc import Collection
from typing import Any

from aiohttp import web

from services.edge.patience import Patience
from services.runtime.errors import Fault, MeshError, invalid_field


async def receive_body(request: web.Request, max_bytes: int, stall_seconds: float) -> bytes:
    """Return the body of `request`.

    Args:
        request: nothing of its body has been read.
        max_bytes: largest body that is taken, unpacked where it comes compressed.
        stall_seconds: longest pause of the sender.

    Raises:
        MeshError: TOO_LARGE as soon as that is known; INVALID when the sender stops, or is too slow on the whole.
    """
    if request.content_length is not None and request.content_length > max_bytes:
        raise _too_large(max_bytes)
    # Not by request.read(), which knows one limit for all routes and keeps the bytes as long as the request lives.
    body, patience = bytearray(), Patience(stall_seconds)
    while chunk := await _next_chunk(request, patience):
        body += chunk
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(body)


async def receive_object(
    request: web.Request, fields: Collection[str], max_bytes: int, stall_seconds: float
) -> dict[str, Any]:
    """Return the JSON object that is the body of `request`; an empty body is an empty object.

    Args:
        request: nothing of its body has been read.
        fields: the keys that it may have.
        max_bytes: largest body that is taken.
        stall_seconds: longest pause of the sender.

    Raises:
        MeshError: INVALID when it is no such object; as `receive_body`.
    """
    body = await receive_body(request, max_bytes, stall_seconds)
    try:
        value = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise MeshError(Fault.INVALID, "The body must be a JSON object.", code="invalid_json", field="body")
    for name in value:
        if name not in fields:
            known = ", ".join(fields) or "none"
            raise invalid_field(name[:64], f"There is no field {name[:64]!r}; the fields are: {known}.")
    return value


async def _next_chunk(request: web.Request, patience: Patience) -> bytes:
    try:
        return await patience.with_(request.content.readany())
    except TimeoutError:
        raise MeshError(
            Fault.INVALID, "The body stopped before its end.", code="upload_stalled", field="body"
        ) from None


def _too_large(max_bytes: int) -> MeshError:
    return MeshError(
        Fault.TOO_LARGE, f"The body is larger than {max_bytes // 2**20} MiB.", code="body_too_large", field="body"
    )
