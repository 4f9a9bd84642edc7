"""The REST routes: who asks, what they want, and the answer in the contract's words."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from services.edge.answers import (
    REQUEST_ID,
    EventStream,
    error_response,
    internal_error,
    json_response,
    wants_events,
    wants_json,
)
from services.edge.clients import SummarizeClient
from services.edge.form import TranscribeOptions, parse_options
from services.edge.keys import Caller, KeyRing, opaque_name
from services.edge.offer import Offer, ServedModel
from services.edge.render import CHARSET, error_json, render
from services.edge.spool import Spool
from services.edge.tiers import Tier
from services.edge.transcript import Transcript
from services.edge.transcription import Mesh, OnProgress, transcribe
from services.edge.upload import receive_upload, refuse_announced_size
from services.models.catalogue import Speed, load_catalogue
from services.runtime.admission import Admission
from services.runtime.errors import Fault, MeshError, invalid_field
from services.runtime.grpc_errors import unavailable
from services.runtime.logs import get_logger

STYLES = ("brief", "detailed", "action_items", "bullet_points", "headline")
"""Styles of summaries."""

_STYLE_ALIASES = {"bullets": "bullet_points"}
_PROGRESS_SECONDS = 0.25

_Transcribing = Callable[[OnProgress], Awaitable[Transcript]]


@dataclass(frozen=True)
class Rest:
    """The handlers and what they work with."""

    mesh: Mesh
    summarize: SummarizeClient
    keys: KeyRing
    spool: Spool
    admission: Admission
    max_upload_bytes: int
    upload_stall_seconds: float

    def routes(self) -> list[web.RouteDef]:
        """Return every route of the contract."""
        return [
            web.post("/v1/transcribe", self.post_transcribe, expect_handler=self.expect_upload),
            web.post("/v1/summarize", self.post_summarize),
            web.get("/v1/models", self.get_models),
            web.get("/v1/languages", self.get_languages),
            web.get("/health", self.get_health),
        ]

    async def post_transcribe(self, request: web.Request) -> web.StreamResponse:
        """Transcribe an uploaded recording."""
        caller = opaque_name(self._identify(request), request.remote)
        upload = await receive_upload(request, self.spool, self.max_upload_bytes, self.upload_stall_seconds)
        with upload.file, self.admission.place():
            offer = await self.mesh.asr.offer(self.mesh.tier_wait_seconds)
            options = parse_options(upload.fields, offer.models)
            transcribing = partial(transcribe, self.mesh, upload.file, options, caller, request[REQUEST_ID])
            if wants_events(request):
                return await _answer_in_events(request, options, transcribing)
            transcript = await transcribing(lambda stage, ratio: None)
        return _answer(transcript, options, wrap=wants_json(request))

    async def post_summarize(self, request: web.Request) -> web.Response:
        """Sum up a text."""
        self._identify(request)
        text, style = _summary_wishes(await _json_object(request))
        await self.summarize.tier.wait_serving(self.mesh.tier_wait_seconds)
        summary = await self.summarize.summarize(text, style=style, request_id=request[REQUEST_ID])
        return json_response({"summary": summary.text, "style": style, "model": summary.model})

    async def get_models(self, request: web.Request) -> web.Response:
        """List the models that this deployment serves."""
        offer = await self.mesh.asr.offer(self.mesh.tier_wait_seconds)
        return json_response({"models": [_model_entry(model) for model in offer.models]})

    async def get_languages(self, request: web.Request) -> web.Response:
        """List the languages that the served models know."""
        offer = await self.mesh.asr.offer(self.mesh.tier_wait_seconds)
        names = {language.code: language.name for model in offer.models for language in model.languages}
        return json_response({"languages": [{"code": code, "name": name} for code, name in names.items()]})

    async def get_health(self, request: web.Request) -> web.Response:
        """Tell how the tiers are; 503 when speech recognition is down."""
        asr = self.mesh.asr
        tiers = {tier.name: tier.serving for tier in (asr.tier, self.mesh.diarize.tier, self.summarize.tier)}
        offer: Offer | None = None
        if asr.tier.serving:
            try:
                offer = await asr.offer(0)
            except MeshError:
                tiers[asr.tier.name] = False
        body = {
            "status": _status(tiers, asr.tier),
            "gpu_available": offer is not None and offer.gpu_name is not None,
            "gpu_name": offer.gpu_name if offer else None,
            "gpu_memory_mb": offer.gpu_memory_mb if offer else None,
            "tiers": {name: "ok" if serving else "unavailable" for name, serving in tiers.items()},
        }
        if tiers[asr.tier.name]:
            return json_response(body)
        down = unavailable(asr.tier.name)
        return json_response({**body, **error_json(down)}, status=503, headers={"Retry-After": "5"})

    async def expect_upload(self, request: web.Request) -> web.StreamResponse | None:
        """Answer `Expect: 100-continue`: who may not upload, or too much, is told before the body is sent."""
        try:
            self._identify(request)
            refuse_announced_size(request, self.max_upload_bytes)
            if request.headers["Expect"].lower() != "100-continue":
                raise MeshError(Fault.INVALID, "Only '100-continue' can be expected.", code="bad_request")
        except MeshError as error:
            return error_response(error)
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None

    def _identify(self, request: web.Request) -> Caller:
        caller = self.keys.identify(request.headers.get("Authorization"))
        structlog.contextvars.bind_contextvars(key=caller.key_id or "anonymous")
        return caller


async def _answer_in_events(
    request: web.Request, options: TranscribeOptions, transcribing: _Transcribing
) -> web.StreamResponse:
    events = EventStream(request)
    await events.open()
    latest: dict[str, Any] = {"stage": "decoding", "ratio": 0.0}

    def note(stage: str, ratio: float) -> None:
        latest.update(stage=stage, ratio=round(ratio, 3))

    working = asyncio.ensure_future(transcribing(note))
    try:
        while not working.done():
            await events.send("progress", latest)
            await asyncio.wait({working}, timeout=_PROGRESS_SECONDS)
        await events.send("result", _event_of(working.result(), options))
    except MeshError as error:
        await events.fail(error)
    except ConnectionResetError:
        return events.response  # the client has left; what was being done for it ends below
    except Exception:  # noqa: BLE001 - the head is out: a failure must still be the last event
        get_logger().exception("request_failed")
        await events.fail(internal_error())
    finally:
        await _end(working)
    return await events.close()


def _event_of(transcript: Transcript, options: TranscribeOptions) -> Any:
    body = render(transcript, options.response_format).body
    return {"text": body} if isinstance(body, str) else body


async def _end(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    await asyncio.wait({task})


def _answer(transcript: Transcript, options: TranscribeOptions, *, wrap: bool) -> web.Response:
    rendered = render(transcript, options.response_format)
    if not isinstance(rendered.body, str):
        return json_response(rendered.body)
    if wrap:
        return json_response({"text": rendered.body})
    return web.Response(text=rendered.body, content_type=rendered.content_type, charset=CHARSET)


async def _json_object(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise _bad_body("The body is not valid JSON") from None
    if not isinstance(body, dict):
        raise _bad_body("The body is JSON, but not an object")
    return body


def _bad_body(complaint: str) -> MeshError:
    message = f'{complaint}; send an object such as {{"text": "...", "style": "brief"}}.'
    return MeshError(Fault.INVALID, message, code="invalid_json", field="body")


def _summary_wishes(body: dict[str, Any]) -> tuple[str, str]:
    for name in body:
        if name not in ("text", "style"):
            raise invalid_field(name[:64], f"There is no field {name[:64]!r}; the fields are: text, style.")
    text, style = body.get("text"), body.get("style", "brief")
    if not isinstance(text, str) or not text.strip() or not _is_unicode(text):
        raise invalid_field("text", "The field 'text' must be a string that is not empty: the text to sum up.")
    if not isinstance(style, str) or _STYLE_ALIASES.get(style, style) not in STYLES:
        allowed = ", ".join([*STYLES, *_STYLE_ALIASES])
        raise invalid_field("style", f"The field 'style' must be one of: {allowed}.")
    return text, _STYLE_ALIASES.get(style, style)


def _is_unicode(text: str) -> bool:
    # JSON can carry half a character ("\\ud800"); nothing behind us can.
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _model_entry(model: ServedModel) -> dict[str, Any]:
    speeds = {entry.id: entry.speed for entry in load_catalogue().models}
    entry: dict[str, Any] = {
        "id": model.id,
        "name": model.name,
        "languages": len(model.languages),
        "speed": (speeds.get(model.id) or Speed.STANDARD).value,
    }
    if model.runs != model.id:
        entry["runs"] = model.runs
    return entry


def _status(tiers: dict[str, bool], asr: Tier) -> str:
    if not tiers[asr.name]:
        return "unavailable"
    return "ok" if all(tiers.values()) else "degraded"
