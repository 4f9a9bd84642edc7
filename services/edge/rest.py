"""The REST routes: who asks, what they want, and the answer in the contract's words."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from services.accounts.claims import Answer, Work
from services.edge.answers import (
    REPEATED,
    REQUEST_ID,
    dump_json,
    error_response,
    json_response,
    wants_events,
    wants_json,
)
from services.edge.body import receive_body
from services.edge.events import Reports, answer_in_events
from services.edge.form import parse_options
from services.edge.identity import Caller, Identity
from services.edge.metering import Admitted, Metering, repeat_of
from services.edge.offer import Offer, ServedModel
from services.edge.render import CHARSET, JSON, Rendered, error_json, render
from services.edge.spool import Spool, discarding
from services.edge.summary import SummaryWishes, answer_json, parse_wishes
from services.edge.transcription import Mesh, transcribe
from services.edge.upload import Upload, UploadRules, receive_upload
from services.edge.upload_head import refuse_announced_size, refuse_other_heads, refuse_stringified_form
from services.models.catalogue import Speed, load_catalogue
from services.runtime.admission import Admission
from services.runtime.errors import Fault, MeshError
from services.runtime.grpc_errors import unavailable

_MOST_SUMMARIZE_BYTES = 16 * 1024 * 1024
"""Largest body of POST /v1/summarize: 200,000 words of any language, or hours of segments with all their words."""

_REFUSAL_SECONDS = 1.0
"""How long the head of an answer in events waits for the first words; most of what is refused is refused sooner."""


@dataclass(frozen=True)
class Rest:
    """The handlers and what they work with."""

    mesh: Mesh
    identity: Identity
    metering: Metering
    spool: Spool
    uploads: Admission
    summaries: Admission
    upload_rules: UploadRules
    queue_seconds: float
    """How long a recording that has come waits for a place."""

    def routes(self) -> list[web.RouteDef]:
        """Return the routes that do the work, and those that say what there is."""
        return [
            web.post("/v1/transcribe", self.post_transcribe, expect_handler=self.expect_upload),
            web.post("/v1/summarize", self.post_summarize),
            web.get("/v1/models", self.get_models),
            web.get("/v1/languages", self.get_languages),
            web.get("/health", self.get_health),
        ]

    async def post_transcribe(self, request: web.Request) -> web.StreamResponse:
        """Transcribe an uploaded recording."""
        caller = await self.identity.identify(request)
        most, repeat = caller.plan.max_file_bytes, repeat_of(request)
        refuse_announced_size(request, most)
        refuse_other_heads(request)
        await refuse_stringified_form(request, self.upload_rules.stall_seconds)
        async with self.metering.admit(request, caller, Work.FILE, repeat) as admitted:
            with self.uploads.place():
                upload = await receive_upload(
                    request,
                    discarding if admitted.is_answered else self.spool.open,
                    most,
                    self.upload_rules,
                    fingerprint=admitted.repeatable,
                )
            with upload.file:
                kept = admitted.kept_answer(upload.fingerprint)
                if kept is not None:
                    return await _answer_again(request, kept)
                async with self.mesh.admission.place_within(self.queue_seconds):
                    return await self._transcribe(request, upload, caller, admitted)

    async def _transcribe(
        self, request: web.Request, upload: Upload, caller: Caller, admitted: Admitted
    ) -> web.StreamResponse:
        offer = await self.mesh.asr.offer(self.mesh.tier_wait_seconds)
        options = parse_options(upload.fields, offer.models)
        admitted.model = options.model

        async def work(reports: Reports) -> Result:
            def note(stage: str, ratio: float) -> None:
                reports.progress = _stage(stage, ratio)

            transcript = await transcribe(
                self.mesh, upload.file, options, caller.holder, request[REQUEST_ID], note, admitted.cover
            )
            # Hours of words take a while here, too.
            rendered = await asyncio.to_thread(render, transcript, options.response_format)
            return Result(rendered, transcript.heard_seconds, transcript.model)

        answering = Answering(request, admitted, upload.fingerprint)
        return await answering.answer(work, _stage("decoding", 0.0))

    async def post_summarize(self, request: web.Request) -> web.StreamResponse:
        """Sum up a transcript."""
        caller = await self.identity.identify(request)
        async with self.metering.admit(request, caller, Work.SUMMARY, repeat_of(request)) as admitted:
            body = await receive_body(request, _MOST_SUMMARIZE_BYTES, self.upload_rules.stall_seconds)
            fingerprint = hashlib.sha256(body).digest() if admitted.repeatable else b""
            kept = admitted.kept_answer(fingerprint)
            if kept is not None:
                return await _answer_again(request, kept)
            with self.summaries.place():
                return await self._summarize(Answering(request, admitted, fingerprint), body, caller)

    async def _summarize(self, answering: "Answering", body: bytes, caller: Caller) -> web.StreamResponse:
        wishes = await asyncio.to_thread(parse_wishes, body, caller.holder)
        await self.mesh.summarize.tier.wait_serving(self.mesh.tier_wait_seconds)

        async def work(reports: Reports) -> Result:
            summary = await self._summed_up(wishes, answering.request[REQUEST_ID], reports)
            return Result(Rendered(summary, JSON), 0.0, summary["model"])

        return await answering.answer(work, {"ratio": 0.0}, patience_seconds=_REFUSAL_SECONDS)

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
        tiers["accounts"] = self.metering.reachable
        works = tiers[asr.tier.name] and tiers["accounts"]
        body = {
            "status": "unavailable" if not works else "ok" if all(tiers.values()) else "degraded",
            "gpu_available": offer is not None and offer.gpu_name is not None,
            "gpu_name": offer.gpu_name if offer else None,
            "gpu_memory_mb": offer.gpu_memory_mb if offer else None,
            "tiers": {name: "ok" if serving else "unavailable" for name, serving in tiers.items()},
        }
        if works:
            return json_response(body)
        down = unavailable("accounts" if tiers[asr.tier.name] else asr.tier.name)
        return json_response({**body, **error_json(down)}, status=503, headers={"Retry-After": "5"})

    async def expect_upload(self, request: web.Request) -> web.StreamResponse | None:
        """Answer `Expect: 100-continue`: who has a wrong key, or too much, is told before the body is sent."""
        try:
            caller = await self.identity.identify(request)
            refuse_announced_size(request, caller.plan.max_file_bytes)
            refuse_other_heads(request)
            if request.headers["Expect"].lower() != "100-continue":
                raise MeshError(Fault.INVALID, "Only '100-continue' can be expected.", code="bad_request")
        except MeshError as error:
            return error_response(error)
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None


def _stage(stage: str, ratio: float) -> dict[str, Any]:
    return {"stage": stage, "ratio": round(ratio, 3)}


@dataclass(frozen=True)
class Result:
    """What came of a request."""

    rendered: Rendered
    seconds: float
    """Of audio that is charged."""
    model: str
    """What has done the work."""


@dataclass(frozen=True)
class Answering:
    """Does the work of a request, charges it, and sends what came of it, in this order.

    Args:
        request: what is answered.
        admitted: its place.
        fingerprint: of what is asked; empty where nobody can ask for the answer again.
    """

    request: web.Request
    admitted: Admitted
    fingerprint: bytes

    async def answer(
        self,
        work: Callable[[Reports], Awaitable[Result]],
        progress: Any,
        *,
        patience_seconds: float = 0.0,
    ) -> web.StreamResponse:
        """Answer, in events where they are asked for; return when the answer has left.

        Args:
            work: does the work, and tells how it goes.
            progress: how far it has come at the beginning.
            patience_seconds: how long the head of an answer in events waits for the first piece.
        """
        if wants_events(self.request):
            return await answer_in_events(
                self.request,
                lambda reports: self._event(work, reports),
                progress,
                patience_seconds=patience_seconds,
                leaves=self.admitted.leaves,
            )
        result = await work(Reports(progress))
        response = await asyncio.to_thread(_response, self.request, result.rendered)
        await self._settle(result)
        await response.prepare(self.request)
        self.admitted.leaves()
        await response.write_eof()
        return response

    async def _event(self, work: Callable[[Reports], Awaitable[Result]], reports: Reports) -> Any:
        result = await work(reports)
        event = _event(result.rendered)
        await self._settle(result)
        return event

    async def _settle(self, result: Result) -> None:
        answer = None
        if self.admitted.repeatable:
            body = result.rendered.body
            kept = body.encode() if isinstance(body, str) else await asyncio.to_thread(dump_json, body)
            answer = Answer(self.fingerprint, result.rendered.content_type, kept)
        await self.admitted.settle(result.seconds, result.model, answer)


async def _answer_again(request: web.Request, kept: Answer) -> web.StreamResponse:
    """Send what an equal request was answered."""
    request[REPEATED] = True
    is_json = kept.content_type == JSON
    if wants_events(request):

        async def told(_: Reports) -> Any:
            return await asyncio.to_thread(json.loads, kept.body) if is_json else {"text": kept.body.decode()}

        return await answer_in_events(request, told, {})
    if wants_json(request) and not is_json:
        return json_response({"text": kept.body.decode()})
    return web.Response(body=kept.body, content_type=kept.content_type, charset=CHARSET)


def _event(rendered: Rendered) -> Any:
    return {"text": rendered.body} if isinstance(rendered.body, str) else rendered.body


def _response(request: web.Request, rendered: Rendered) -> web.Response:
    if not isinstance(rendered.body, str):
        return json_response(rendered.body)
    if wants_json(request):
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
