"""Calls to the services behind the edge; protobuf stops here."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from services.edge.asr_stream import AsrStream
from services.edge.form import TranscribeOptions
from services.edge.messages import to_seconds_span, to_segment, to_summarize_request, to_summary, to_suppressed
from services.edge.offer import Language, Offer, ServedModel
from services.edge.summary import Summary, SummaryRequest
from services.edge.tiers import Tier
from services.edge.transcript import Activity, Segment, Suppressed, Turn
from services.runtime.errors import Fault, MeshError, invalid_field
from services.runtime.request_id import METADATA_KEY
from services.runtime.spans import to_seconds
from speechmesh.asr.v1 import asr_pb2, asr_pb2_grpc
from speechmesh.common.v1 import common_pb2
from speechmesh.diarize.v1 import diarize_pb2, diarize_pb2_grpc
from speechmesh.summarize.v1 import summarize_pb2, summarize_pb2_grpc

Pcm = AsyncIterator[bytes]
OnProgress = Callable[["Done"], None]

_MODELS_FRESH_SECONDS = 5.0
_GPU = asr_pb2.Device.KIND_CUDA

_OUR_NAMES = {"initial_prompt": "prompt", "hint_phrases": "hotwords", "language_code": "language"}
"""What our callers know the fields by that have another name behind us."""

_MOST_MESSAGE_BYTES = 16 * 1024 * 1024
"""Of one message: what every service takes (`runtime.lifecycle`)."""


@dataclass(frozen=True)
class Done:
    """How far a service has come with a recording."""

    seconds: float
    """Of the recording."""
    ratio: float
    """Share of all of it, 0 to 1; 0 while the service has not got all of it."""


@dataclass(frozen=True)
class Recognition:
    """What asr heard in a recording."""

    segments: tuple[Segment, ...]
    language: str
    language_probability: float
    duration: float
    model: str
    suppressed: tuple[Suppressed, ...]
    """What it held back."""


@dataclass(frozen=True)
class Diarization:
    """Who spoke when."""

    turns: tuple[Turn, ...]
    exclusive_turns: tuple[Turn, ...]
    activity: Activity | None
    """None where diarize does not send it."""


class AsrClient:
    """Calls asr."""

    def __init__(self, tier: Tier, request_seconds: float) -> None:
        self.tier = tier
        self._stub: Any = asr_pb2_grpc.AsrServiceStub(tier.channel)
        self._request_seconds = request_seconds
        self._offer: Offer | None = None
        self._offer_asked = -_MODELS_FRESH_SECONDS

    async def offer(self, wait_seconds: float) -> Offer:
        """Return what asr serves; what it last said, when it is down for the moment.

        Raises:
            MeshError: UNAVAILABLE when it is down and never said anything.
        """
        if self._offer is not None and time.monotonic() - self._offer_asked < _MODELS_FRESH_SECONDS:
            return self._offer
        try:
            self._offer = await self._ask_offer(wait_seconds if self._offer is None else 0)
            self._offer_asked = time.monotonic()
        except MeshError:
            if self._offer is None:
                raise
        return self._offer

    async def _ask_offer(self, wait_seconds: float) -> Offer:
        await self.tier.wait_serving(wait_seconds)
        call = self._stub.ListModels(asr_pb2.ListModelsRequest(), timeout=5)
        with self.tier.errors(call):
            return _offer(await call)

    async def recognize(
        self, pcm: Pcm, options: TranscribeOptions, *, caller: str, request_id: str, progress: OnProgress
    ) -> Recognition:
        """Recognize the recording that `pcm` yields in chunks; `caller` is served in turn with others.

        Raises:
            MeshError: what asr answered, with fields under the names of our form, or that it is gone.
        """
        try:
            return await self._recognize(pcm, _config(options, caller), request_id, progress)
        except MeshError as error:
            raise self._explain(error) from error

    def _explain(self, error: MeshError) -> MeshError:
        """Return what a refusal of asr means for our own caller: in the words of our form."""
        if error.fault is Fault.NOT_FOUND:
            # It serves other models since it was last asked: to our caller a wrong field, not a missing page.
            self._offer = None
            return invalid_field("model", error.message)
        return _in_our_words(error)

    def stream(
        self,
        configure: Callable[[], Awaitable[TranscribeOptions]],
        *,
        caller: str,
        request_id: str,
        wait_seconds: float,
        recovery_seconds: float,
    ) -> AsrStream:
        """Return a live stream that is not begun yet; see `AsrStream`.

        Args:
            configure: returns its options, when it begins.
            caller: is served in turn with others.
            request_id: goes with every call.
            wait_seconds: how long to wait for asr at the beginning.
            recovery_seconds: how long to look for another asr when one is lost.
        """

        def call(requests: AsyncIterator[asr_pb2.StreamingRecognizeRequest]) -> Any:
            return _call(self.tier, self._stub.StreamingRecognize, requests, request_id, None)

        async def config() -> asr_pb2.RecognitionConfig:
            return _config(await configure(), caller)

        return AsrStream(
            self.tier,
            call,
            config,
            wait_seconds=wait_seconds,
            recovery_seconds=recovery_seconds,
            explain=self._explain,
        )

    async def _recognize(
        self, pcm: Pcm, config: asr_pb2.RecognitionConfig, request_id: str, progress: OnProgress
    ) -> Recognition:

        async def requests() -> AsyncIterator[asr_pb2.RecognizeRequest]:
            yield asr_pb2.RecognizeRequest(config=config)
            async for chunk in pcm:
                yield asr_pb2.RecognizeRequest(audio=chunk)

        segments: list[Segment] = []
        suppressed: list[Suppressed] = []
        summary: asr_pb2.RecognitionSummary | None = None
        async with _call(self.tier, self._stub.Recognize, requests(), request_id, self._request_seconds) as responses:
            async for response in responses:
                match response.WhichOneof("event"):
                    case "segment":
                        segments.append(to_segment(response.segment))
                    case "suppressed":
                        suppressed.append(to_suppressed(response.suppressed))
                    case "progress":
                        progress(_done(response.progress))
                    case "summary":
                        summary = response.summary
        assert summary is not None, "asr ended without a summary"
        return _recognition(segments, suppressed, summary)


class DiarizeClient:
    """Calls diarize."""

    def __init__(self, tier: Tier, request_seconds: float) -> None:
        self.tier = tier
        self._stub: Any = diarize_pb2_grpc.DiarizeServiceStub(tier.channel)
        self._request_seconds = request_seconds

    async def diarize(
        self, pcm: Pcm, *, speakers: int, caller: str, request_id: str, progress: OnProgress
    ) -> Diarization:
        """Diarize the recording that `pcm` yields in chunks; `speakers` 0 finds out how many there are.

        Raises:
            MeshError: what diarize answered, or that it is gone.
        """

        async def requests() -> AsyncIterator[diarize_pb2.DiarizeRequest]:
            config = diarize_pb2.DiarizationConfig(speaker_count=speakers, caller=caller)
            yield diarize_pb2.DiarizeRequest(config=config)
            async for chunk in pcm:
                yield diarize_pb2.DiarizeRequest(audio=chunk)

        found: diarize_pb2.Diarization | None = None
        activity: list[diarize_pb2.SpeakerActivity] = []
        async with _call(self.tier, self._stub.Diarize, requests(), request_id, self._request_seconds) as responses:
            async for response in responses:
                event = response.WhichOneof("event")
                if event == "diarization":
                    found = response.diarization
                elif event == "activity":
                    activity.append(response.activity)
                elif event == "progress":
                    progress(_done(response.progress))
        assert found is not None, "diarize ended without a result"
        return Diarization(_turns(found.turns), _turns(found.exclusive_turns), _activity(activity))


class SummarizeClient:
    """Calls summarize."""

    def __init__(self, tier: Tier, request_seconds: float) -> None:
        self.tier = tier
        self._stub: Any = summarize_pb2_grpc.SummarizeServiceStub(tier.channel)
        self._request_seconds = request_seconds

    async def summarize(
        self,
        request: SummaryRequest,
        *,
        request_id: str,
        on_text: Callable[[str], None],
        on_ratio: Callable[[float], None],
    ) -> Summary:
        """Sum up a transcript.

        Args:
            request: what is to be summed up, and how.
            request_id: goes with the call.
            on_text: takes the pieces of the summary as they come; joined, they are its text.
            on_ratio: is told how far the work has come, 0 to 1, never less than before.

        Raises:
            MeshError: TOO_LARGE when the transcript does not fit into a message; what summarize answered, with
                fields under our own names, or that it is gone.
        """
        # Hours of segments take a while, in which other requests want to be answered.
        message = await asyncio.to_thread(_fitting, request)
        summary: summarize_pb2.Summary | None = None
        try:
            async with _call(self.tier, self._stub.Summarize, message, request_id, self._request_seconds) as responses:
                async for response in responses:
                    match response.WhichOneof("event"):
                        case "text_delta":
                            on_text(response.text_delta)
                        case "completed_ratio":
                            on_ratio(response.completed_ratio)
                        case "summary":
                            summary = response.summary
        except MeshError as error:
            raise _in_our_words(error) from error
        assert summary is not None, "summarize ended without a summary"
        return to_summary(summary, request.style)


@contextlib.asynccontextmanager
async def _call(
    tier: Tier, method: Any, request: Any, request_id: str, seconds: float | None
) -> AsyncIterator[AsyncIterator[Any]]:
    """Make a streaming call that never outlives this block: who leaves early cancels the work downstream."""
    call = method(request, metadata=((METADATA_KEY, request_id),), timeout=seconds)
    try:
        with tier.errors(call):
            yield call
    finally:
        call.cancel()


def _in_our_words(error: MeshError) -> MeshError:
    """Return a service's refusal with the wrong field, if one is, under the name that our callers know."""
    if error.field not in _OUR_NAMES:
        return error
    return MeshError(error.fault, error.message, code=error.code, field=_OUR_NAMES[error.field])


def _fitting(request: SummaryRequest) -> summarize_pb2.SummarizeRequest:
    message = to_summarize_request(request)
    if message.ByteSize() > _MOST_MESSAGE_BYTES:
        limit = f"{_MOST_MESSAGE_BYTES // 2**20} MiB"
        raise MeshError(Fault.TOO_LARGE, f"The transcript is larger than {limit} in UTF-8.", code="text_too_large")
    return message


def _offer(answer: asr_pb2.ListModelsResponse) -> Offer:
    gpu = answer.device.kind == _GPU
    return Offer(
        models=tuple(
            ServedModel(
                model.id,
                model.display_name,
                model.runs,
                tuple(Language(language.code, language.name) for language in model.languages),
                model.can_translate,
            )
            for model in answer.models
        ),
        gpu_name=(answer.device.name or "NVIDIA GPU") if gpu else None,
        gpu_memory_mb=answer.device.memory_mib if gpu else None,
    )


def _config(options: TranscribeOptions, caller: str) -> asr_pb2.RecognitionConfig:
    # The words are wanted even when the caller does without: they are what gets speakers.
    return asr_pb2.RecognitionConfig(
        model=options.model,
        language_code=options.language or "",
        task=asr_pb2.Task.Value(f"TASK_{options.task.upper()}"),
        initial_prompt=options.prompt,
        hint_phrases=options.hotwords,
        beam_size=options.beam_size,
        caller=caller,
    )


def _recognition(
    segments: list[Segment], suppressed: list[Suppressed], summary: asr_pb2.RecognitionSummary
) -> Recognition:
    return Recognition(
        tuple(segments),
        summary.language_code,
        summary.language_probability,
        to_seconds(summary.audio_duration),
        summary.model,
        tuple(suppressed),
    )


def _done(progress: common_pb2.Progress) -> Done:
    return Done(to_seconds(progress.processed_offset), progress.completed_ratio)


def _activity(parts: list[diarize_pb2.SpeakerActivity]) -> Activity | None:
    """Return the parts as one; None where there are none, as of a service that does not send them."""
    if not parts:
        return None
    rows = zip(*(part.probabilities for part in parts), strict=True)
    return Activity(to_seconds(parts[0].frame_step), tuple(b"".join(row) for row in rows))


def _turns(turns: Any) -> tuple[Turn, ...]:
    return tuple(Turn(*to_seconds_span(turn.span), turn.speaker_index) for turn in turns)
