"""How answers leave: JSON errors, plain bodies, the SDK's wrapping."""

import json
import math
from typing import Any

from aiohttp import web

from services.accounts.claims import Standing
from services.edge.rate_limits import rate_limit_headers
from services.edge.render import error_json
from services.runtime.errors import INTERNAL_MESSAGE, TABLE, Fault, MeshError

REQUEST_ID = web.RequestKey("request_id", str)
"""Where a request carries its id."""

STANDING = web.RequestKey("standing", Standing)
"""Where a request carries how its caller stands against his plan; missing where that was not looked at."""

REPEATED = web.RequestKey("repeated", bool)
"""Set where the answer is the one that an equal request got."""

_SDK_AGENT = "stt-ai-"
_LONG_LIST = 100
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def error_response(error: MeshError) -> web.Response:
    """Return the HTTP answer that says `error`."""
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_seconds)))
    if error.fault is Fault.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    return json_response(error_json(error), status=TABLE[error.fault].http, headers=headers)


def json_response(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Answer with `body` as JSON."""
    return web.Response(
        body=dump_json(body), status=status, headers=headers, content_type="application/json", charset="utf-8"
    )


def internal_error() -> MeshError:
    """Return the error that hides an unexpected failure."""
    return MeshError(Fault.INTERNAL, INTERNAL_MESSAGE)


async def add_heads(request: web.Request, response: web.StreamResponse) -> None:
    """Give an answer the headers that every answer has: the request's id, and how its caller stands."""
    if REQUEST_ID in request:
        response.headers["X-Request-Id"] = request[REQUEST_ID]
    if request.get(REPEATED):
        response.headers["Idempotency-Replayed"] = "true"
    if STANDING in request:
        response.headers.update(rate_limit_headers(request[STANDING]))


def wants_json(request: web.Request) -> bool:
    """Say whether texts must be wrapped in JSON: asked for, or by the SDKs, which parse every answer."""
    return "application/json" in request.headers.get("Accept", "").lower() or request.headers.get(
        "User-Agent", ""
    ).lower().startswith(_SDK_AGENT)


def wants_events(request: web.Request) -> bool:
    """Say whether the caller asked for server-sent events."""
    return "text/event-stream" in request.headers.get("Accept", "").lower()


def dump_json(body: Any) -> bytes:
    """Return `body` as JSON in UTF-8, letters of every script as they are."""
    # A caller's own broken text may come back in an error: half a character must not break the answer.
    return _as_json(body).encode("utf-8", "replace")


def _as_json(value: Any) -> str:
    """Return JSON; of a long list one item at a time, for the encoder lets no other thread run until it returns."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_ENCODER.encode(str(name))}:{_as_json(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list) and len(value) > _LONG_LIST:
        return "[" + ",".join(map(_ENCODER.encode, value)) + "]"
    return _ENCODER.encode(value)
