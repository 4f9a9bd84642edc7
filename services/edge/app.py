"""The HTTP application: routes, and the one frame around every request."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from services.accounts.ledger import Ledger
from services.accounts.plans import Plans, load_plans
from services.accounts.register import Register
from services.accounts.schema import require_newest
from services.accounts.store import Store
from services.edge.account_routes import AccountRoutes, Accounts
from services.edge.admin import Admin
from services.edge.answers import REQUEST_ID, add_heads, error_response, internal_error
from services.edge.clients import AsrClient, DiarizeClient, SummarizeClient
from services.edge.config import EdgeSettings
from services.edge.decoders import Decoders
from services.edge.identity import Identity
from services.edge.live import Live, StreamLimits
from services.edge.metering import Metering
from services.edge.pace import Pace
from services.edge.rest import Rest
from services.edge.spool import Spool
from services.edge.tiers import Tier
from services.edge.transcription import Mesh
from services.edge.upload import UploadRules
from services.runtime import metrics
from services.runtime.admission import Admission
from services.runtime.errors import Fault, MeshError
from services.runtime.logs import get_logger
from services.runtime.request_id import METADATA_KEY, accept_request_id

DECODERS = web.AppKey("decoders", Decoders)
"""What decodes for the public application; started early, it keeps nobody waiting."""

ACCOUNTS = web.AppKey("accounts", Accounts)
"""Where the public application carries what its admin's works with too."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def make_app(settings: EdgeSettings, clock: Callable[[], float] = time.time) -> web.Application:
    """Build the application, within the event loop that will run it.

    Args:
        settings: the edge's settings.
        clock: tells the time, in seconds since 1970.

    Raises:
        MeshError: INVALID when the plans cannot be used, or the database of the accounts has another schema;
            UNAVAILABLE when it cannot be reached.
    """
    plans = load_plans(settings.plans_file)
    store = Store(settings.database_url.get_secret_value(), connections=settings.database_connections)
    try:
        await require_newest(store)
        accounts = await _accounts(settings, store, plans, clock)
    except BaseException:
        await store.close()
        raise
    metering = Metering(accounts.ledger, settings.lease_seconds)
    app = _with_mesh(settings, accounts, metering)
    app.add_routes(AccountRoutes(accounts, metering, settings.allow_sign_up).routes())
    app[ACCOUNTS] = accounts
    app.cleanup_ctx.append(_metering(metering, store))
    return app


def make_admin_app(accounts: Accounts, token_digest: bytes) -> web.Application:
    """Build the application of the admin API.

    Args:
        accounts: those of the public application, which ends them.
        token_digest: SHA-256 of the token.
    """
    app = _framed()
    app.add_routes(Admin(accounts, token_digest).routes())
    return app


def _framed() -> web.Application:
    app = web.Application(middlewares=[frame])
    app.on_response_prepare.append(add_heads)
    return app


async def _accounts(settings: EdgeSettings, store: Store, plans: Plans, clock: Callable[[], float]) -> Accounts:
    register = Register(store, clock)
    identity = Identity(
        register,
        plans,
        address_secret=await register.address_secret(),
        allow_anonymous=settings.allow_anonymous,
        trusted_proxies=settings.trusted_proxies,
    )
    edge = f"edge_{secrets.token_hex(8)}"
    ledger = Ledger(store, edge=edge, lease_seconds=settings.lease_seconds, clock=clock)
    return Accounts(store, register, ledger, plans, identity, settings.upload_stall_seconds)


def _with_mesh(settings: EdgeSettings, accounts: Accounts, metering: Metering) -> web.Application:
    asr, diarize, summarize = (
        Tier("asr", settings.asr_target),
        Tier("diarize", settings.diarize_target),
        Tier("summarize", settings.summarize_target),
    )
    decoders = Decoders()
    mesh = Mesh(
        decoders,
        Admission("edge", places=settings.concurrency, slots=settings.concurrency),
        AsrClient(asr, settings.request_seconds),
        DiarizeClient(diarize, settings.request_seconds),
        SummarizeClient(summarize, settings.request_seconds),
        settings.tier_wait_seconds,
        settings.max_audio_seconds,
    )
    rest = Rest(
        mesh,
        accounts.identity,
        metering,
        Spool(
            settings.spool_dir,
            settings.spool_max_bytes,
            keep_free_bytes=settings.spool_free_bytes,
            wait_seconds=settings.spool_wait_seconds,
        ),
        Admission("edge-uploads", places=settings.upload_limit, slots=settings.upload_limit),
        Admission("edge-summaries", places=settings.concurrency, slots=settings.concurrency),
        UploadRules(settings.upload_stall_seconds, Pace(settings.upload_bytes_per_second)),
        settings.queue_seconds,
    )
    app = _framed()
    app.add_routes(rest.routes())
    live = Live(
        mesh.asr,
        accounts.identity,
        metering,
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
    app[DECODERS] = decoders
    app.cleanup_ctx.append(_decoding(decoders))
    app.cleanup_ctx.append(_watching(asr, diarize, summarize))
    return app


def _metering(metering: Metering, store: Store) -> Callable[[web.Application], AsyncIterator[None]]:
    async def living(_: web.Application) -> AsyncIterator[None]:
        keeping = asyncio.ensure_future(metering.keep_alive())
        yield
        keeping.cancel()
        await asyncio.wait({keeping})
        await metering.told()
        await store.close()

    return living


def _decoding(decoders: Decoders) -> Callable[[web.Application], AsyncIterator[None]]:
    async def decoding(_: web.Application) -> AsyncIterator[None]:
        yield
        await decoders.close()

    return decoding


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
