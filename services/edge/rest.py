"""The REST routes: who asks, what they want, and the answer in the contract's words."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from services.edge.answers import (
    REQUEST_ID,
    error_response,
    json_response,
    wants_events,
    wants_json,
)
from services.edge.body import receive_body
from services.edge.events import Reports, answer_in_events
from services.edge.form import TranscribeOptions, parse_options
from services.edge.keys import Caller, KeyRing, opaque_name
from services.edge.offer import Offer, ServedModel
from services.edge.render import CHARSET, error_json, render
from services.edge.spool import Spool
from services.edge.summary import SummaryWishes, answer_json, parse_wishes
from services.edge.tiers import Tier
from services.edge.transcript import Transcript
from services.edge.transcription import Mesh, OnProgress, transcribe
from services.edge.upload import receive_upload, refuse_announced_size
from services.models.catalogue import Speed, load_catalogue
from services.runtime.admission import Admission
from services.runtime.errors import Fault, MeshError
from services.runtime.grpc_errors import unavailable

_MOST_SUMMARIZE_BYTES = 16 * 1024 * 1024
"""Largest body of POST /v1/summarize: 200,000 words of any language, or hours of segments with all their words."""

_REFUSAL_SECONDS = 1.0
"""How long the head of an answer in events waits for the first words; most of what is refused is refused sooner."""

_Transcribing = Callable[[OnProgress], Awaitable[Transcript]]


@dataclass(frozen=True)
class Rest:
    """The handlers and what they work with."""

    mesh: Mesh
    keys: KeyRing
    spool: Spool
    admission: Admission
    summaries: Admission
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
                work = partial(_transcribed, transcribing, options)
                return await answer_in_events(request, work, _stage("decoding", 0.0))
            transcript = await transcribing(lambda stage, ratio: None)
        return _answer(transcript, options, wrap=wants_json(request))

    async def post_summarize(self, request: web.Request) -> web.StreamResponse:
        """Sum up a transcript."""
        caller = opaque_name(self._identify(request), request.remote)
        body = await receive_body(request, _MOST_SUMMARIZE_BYTES, self.upload_stall_seconds)
        with self.summaries.place():
            return await self._summarize(request, body, caller)

    async def _summarize(self, request: web.Request, body: bytes, caller: str) -> web.StreamResponse:
        wishes = await asyncio.to_thread(parse_wishes, body, caller)
        await self.mesh.summarize.tier.wait_serving(self.mesh.tier_wait_seconds)
        work = partial(self._summed_up, wishes, request[REQUEST_ID])
        if wants_events(request):
            return await answer_in_events(request, work, {"ratio": 0.0}, patience_seconds=_REFUSAL_SECONDS)
        return json_response(await work(Reports({"ratio": 0.0})))

    async def _summed_up(self, wishes: SummaryWishes, request_id: str, reports: Reports) -> Any:
        def note(ratio: float) -> None:
            reports.progress = {"ratio": round(ratio, 3)}

        summary = await self.mesh.summarize.summarize(
            wishes.request,
            request_id=request_id,
            on_text=lambda piece: reports.add({"text": piece}),
            on_ratio=note,
        )
        return answer_json(summary, wishes)

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
        tiers = {tier.name: tier.serving for tier in (asr.tier, self.mesh.diarize.tier, self.mesh.summarize.tier)}
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


async def _transcribed(transcribing: _Transcribing, options: TranscribeOptions, reports: Reports) -> Any:
    def note(stage: str, ratio: float) -> None:
        reports.progress = _stage(stage, ratio)

    body = render(await transcribing(note), options.response_format).body
    return {"text": body} if isinstance(body, str) else body


def _stage(stage: str, ratio: float) -> dict[str, Any]:
    return {"stage": stage, "ratio": round(ratio, 3)}


def _answer(transcript: Transcript, options: TranscribeOptions, *, wrap: bool) -> web.Response:
    rendered = render(transcript, options.response_format)
    if not isinstance(rendered.body, str):
        return json_response(rendered.body)
    if wrap:
        return json_response({"text": rendered.body})
    return web.Response(text=rendered.body, content_type=rendered.content_type, charset=CHARSET)


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
