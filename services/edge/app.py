"""The HTTP application: routes, and the one frame around every request."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from services.edge.answers import REQUEST_ID, error_response, internal_error
from services.edge.clients import AsrClient, DiarizeClient, SummarizeClient
from services.edge.config import EdgeSettings
from services.edge.keys import KeyRing
from services.edge.live import Live, StreamLimits
from services.edge.rest import Rest
from services.edge.spool import Spool
from services.edge.tiers import Tier
from services.edge.transcription import Mesh
from services.runtime import metrics
from services.runtime.admission import Admission
from services.runtime.errors import Fault, MeshError
from services.runtime.logs import get_logger
from services.runtime.request_id import METADATA_KEY, accept_request_id

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def make_app(settings: EdgeSettings, keys: KeyRing) -> web.Application:
    """Build the application, within the event loop that will run it.

    Args:
        settings: the edge's settings.
        keys: the valid keys.
    """
    asr, diarize, summarize = (
        Tier("asr", settings.asr_target),
        Tier("diarize", settings.diarize_target),
        Tier("summarize", settings.summarize_target),
    )
    mesh = Mesh(
        AsrClient(asr, settings.request_seconds),
        DiarizeClient(diarize, settings.request_seconds),
        SummarizeClient(summarize, settings.request_seconds),
        settings.tier_wait_seconds,
        settings.max_audio_seconds,
    )
    rest = Rest(
        mesh,
        keys,
        Spool(settings.spool_dir),
        Admission("edge", places=settings.concurrency, slots=settings.concurrency),
        Admission("edge-summaries", places=settings.concurrency, slots=settings.concurrency),
        settings.max_upload_bytes,
        settings.upload_stall_seconds,
    )
    app = web.Application(middlewares=[frame])
    app.add_routes(rest.routes())
    live = Live(
        mesh.asr,
        keys,
        Admission("edge-streams", places=settings.stream_limit, slots=settings.stream_limit),
        StreamLimits(
            tier_wait_seconds=settings.tier_wait_seconds,
            recovery_seconds=settings.stream_recovery_seconds,
            idle_seconds=settings.stream_idle_seconds,
            # Some is left for closing.
            drain_seconds=0.8 * settings.drain_seconds,
        ),
    )
    app.add_routes(live.routes())
    app.on_shutdown.append(live.drain)
    app.cleanup_ctx.append(_watching(asr, diarize, summarize))
    return app


def _watching(*tiers: Tier) -> Callable[[web.Application], AsyncIterator[None]]:
    async def watching(_: web.Application) -> AsyncIterator[None]:
        watchers = [asyncio.ensure_future(tier.watch()) for tier in tiers]
        yield
        for watcher in watchers:
            watcher.cancel()
        await asyncio.wait(watchers)
        for tier in tiers:
            await tier.close()

    return watching


@web.middleware
async def frame(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give a request its id, its log line and its metrics, and turn every failure into a JSON answer."""
    request_id = accept_request_id(request.headers.get(METADATA_KEY))
    request[REQUEST_ID] = request_id
    route = _route(request)
    started = time.monotonic()
    status = 499  # the client left: what proxies log, and what is true unless an answer is made
    with (
        structlog.contextvars.bound_contextvars(request_id=request_id, key="none"),
        metrics.HTTP_INFLIGHT.labels(route).track_inprogress(),
    ):
        try:
            response = await _answer(request, handler)
            status = response.status
            if not response.prepared:
                response.headers["X-Request-Id"] = request_id
            return response
        finally:
            seconds = time.monotonic() - started
            metrics.HTTP_SECONDS.labels(route, str(status)).observe(seconds)
            # Health is asked every few seconds by whoever watches; the rest of the log would drown in it.
            log = get_logger().debug if route == "/health" else get_logger().info
            log("http", method=request.method, route=route, status=status, seconds=round(seconds, 3))


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except MeshError as error:
        return error_response(error)
    except web.HTTPException as error:
        return _from_aiohttp(error)
    except (HttpProcessingError, web.RequestPayloadError):
        return error_response(MeshError(Fault.INVALID, "The body is not what its head says.", code="bad_request"))
    except ConnectionResetError:
        raise  # nobody is there to answer to
    except Exception:  # noqa: BLE001 - the last rung: whatever it is, its text stays here
        get_logger().exception("request_failed")
        return error_response(internal_error())


def _from_aiohttp(error: web.HTTPException) -> web.Response:
    body = MeshError(Fault.NOT_FOUND, "There is no such address here.")
    if error.status == 405:
        body = MeshError(Fault.INVALID, "This address does not take that method.", code="method_not_allowed")
    elif error.status != 404:
        body = MeshError(Fault.INVALID, error.reason or "The request is wrong.", code="bad_request")
    response = error_response(body)
    response.set_status(error.status)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _route(request: web.Request) -> str:
    with contextlib.suppress(AttributeError):
        resource = request.match_info.route.resource
        if resource is not None:
            return resource.canonical
    # Never the path itself: anybody may send any path, and a metric keeps every label for ever.
    return "unmatched"
