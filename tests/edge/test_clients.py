import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import grpc
import pytest

from services.edge.clients import AsrClient, DiarizeClient, Recognition, SummarizeClient
from services.edge.form import TranscribeOptions
from services.edge.summary import Section, Source, SpokenSegment, Summary, SummaryRequest
from services.edge.tiers import Tier
from services.edge.transcript import Activity, Suppressed
from services.runtime import lifecycle
from services.runtime.errors import Fault, MeshError, invalid_field
from services.runtime.interceptors import CallInterceptor
from services.runtime.spans import to_duration, to_span
from speechmesh.asr.v1 import asr_pb2, asr_pb2_grpc
from speechmesh.diarize.v1 import diarize_pb2, diarize_pb2_grpc
from speechmesh.summarize.v1 import summarize_pb2, summarize_pb2_grpc
from tests.edge.fake_summarize import MODEL, FakeSummarize
from tests.loopback import serving

OPTIONS = TranscribeOptions(
    model="base",
    language=None,
    diarize=False,
    diarize_asked=True,
    speakers=0,
    response_format="json",
    task="transcribe",
    prompt="",
    hotwords=(),
    beam_size=0,
    word_timestamps=True,
)


async def _pcm() -> AsyncIterator[bytes]:
    yield b"ab"
    yield b"cd"


class _Asr(asr_pb2_grpc.AsrServiceServicer):
    def __init__(self) -> None:
        self.received: list[Any] = []
        self.asked = 0

    async def Recognize(self, request_iterator: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        self.received = [request async for request in request_iterator]
        word = asr_pb2.Word(span=to_span(0.5, 1), text=" hi", probability=0.5)
        segment = asr_pb2.Segment(span=to_span(0.5, 1), text="hi", words=[word], language_probability=0.75)
        yield asr_pb2.RecognizeResponse(segment=segment)
        for reason in [*asr_pb2.SuppressedText.Reason.values(), 99]:
            suppressed = asr_pb2.SuppressedText(span=to_span(1, 1.5), text="Bye.", reason=reason)
            yield asr_pb2.RecognizeResponse(suppressed=suppressed)
        yield asr_pb2.RecognizeResponse(
            summary=asr_pb2.RecognitionSummary(model="base", language_code="en", audio_duration=to_duration(2))
        )

    async def ListModels(self, request: Any, context: Any) -> Any:
        self.asked += 1
        device = asr_pb2.Device(kind=asr_pb2.Device.KIND_CUDA, name="A100", memory_mib=80_000)
        return asr_pb2.ListModelsResponse(
            models=[asr_pb2.Model(id="base", runs="base", can_translate=True)], device=device
        )


class _Diarize(diarize_pb2_grpc.DiarizeServiceServicer):
    async def Diarize(self, request_iterator: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        requests = [request async for request in request_iterator]
        turn = diarize_pb2.Turn(span=to_span(0, 1.5), speaker_index=requests[0].config.speaker_count)
        if requests[0].config.caller:
            for part in (b"\x00\x80", b"\xff"):
                activity = diarize_pb2.SpeakerActivity(frame_step=to_duration(0.05), probabilities=[part, part[::-1]])
                yield diarize_pb2.DiarizeResponse(activity=activity)
        yield diarize_pb2.DiarizeResponse(diarization=diarize_pb2.Diarization(turns=[turn], exclusive_turns=[turn]))


async def _recognize(tier: Tier, options: TranscribeOptions = OPTIONS) -> Recognition:
    return await AsrClient(tier, 10).recognize(
        _pcm(), options, caller="key:17", request_id="job-17", progress=lambda ratio: None
    )


async def test_a_recording_goes_out_as_config_and_audio_and_comes_back_as_values() -> None:
    asr = _Asr()
    async with serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(asr, server)) as address:
        tier = Tier("asr", address)
        heard = await _recognize(tier)
        await tier.close()

    assert [request.audio for request in asr.received] == [b"", b"ab", b"cd"]
    assert (heard.model, heard.duration, heard.segments[0].words[0].text) == ("base", 2.0, " hi")
    assert heard.segments[0].language_probability == 0.75


async def test_all_that_was_asked_for_stands_in_the_config() -> None:
    asr = _Asr()
    more = replace(
        OPTIONS, language="de", task="translate", prompt="Minutes.", hotwords=("gRPC", "Ada Lovelace"), beam_size=3
    )
    async with serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(asr, server)) as address:
        tier = Tier("asr", address)
        await _recognize(tier)
        plain = asr.received[0].config
        await _recognize(tier, more)
        full = asr.received[0].config
        await tier.close()

    assert plain == asr_pb2.RecognitionConfig(model="base", task=asr_pb2.TASK_TRANSCRIBE, caller="key:17")
    assert full == asr_pb2.RecognitionConfig(
        model="base",
        language_code="de",
        task=asr_pb2.TASK_TRANSLATE,
        initial_prompt="Minutes.",
        hint_phrases=["gRPC", "Ada Lovelace"],
        beam_size=3,
        caller="key:17",
    )


async def test_the_words_are_asked_for_even_when_the_answer_leaves_them_out() -> None:
    asr = _Asr()
    wordless = replace(OPTIONS, response_format="verbose_json", word_timestamps=False)
    async with serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(asr, server)) as address:
        tier = Tier("asr", address)
        heard = await _recognize(tier, wordless)
        await tier.close()

    assert asr.received[0].config.omit_words is False
    assert heard.segments[0].words


async def test_held_back_texts_come_back_with_their_reasons_also_those_of_a_newer_asr() -> None:
    async with serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(_Asr(), server)) as address:
        tier = Tier("asr", address)
        heard = await _recognize(tier)
        await tier.close()

    assert heard.suppressed[0] == Suppressed(1.0, 1.5, "Bye.", "unspecified")
    assert [suppressed.reason for suppressed in heard.suppressed] == [
        "unspecified",
        "no_speech",
        "outside_speech",
        "repetition",
        "stock_phrase",
        "unspecified",
    ]


@pytest.mark.parametrize(
    ("caller", "activity"), [("", None), ("key:17", Activity(0.05, (b"\x00\x80\xff", b"\x80\x00\xff")))]
)
async def test_turns_come_back_as_values_and_activity_where_there_is_any(
    caller: str, activity: Activity | None
) -> None:
    async with serving(
        lambda server: diarize_pb2_grpc.add_DiarizeServiceServicer_to_server(_Diarize(), server)
    ) as address:
        tier = Tier("diarize", address)
        found = await DiarizeClient(tier, 10).diarize(
            _pcm(), speakers=3, caller=caller, request_id="job-17", progress=lambda ratio: None
        )
        await tier.close()

    assert found.activity == activity
    assert [(turn.start, turn.end, turn.speaker) for turn in found.turns] == [(0.0, 1.5, 3)]


async def test_the_offer_is_asked_once_and_outlives_a_short_absence() -> None:
    asr = _Asr()
    async with serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(asr, server)) as address:
        tier = Tier("asr", address)
        tier._note(serving=True)
        client = AsrClient(tier, 10)
        first = await client.offer(1)
        second = await client.offer(1)
    tier._note(serving=False)
    client._offer_asked -= 60
    third = await client.offer(0)
    await tier.close()

    assert first == second == third
    assert asr.asked == 1
    assert first.models[0].can_translate
    assert (first.gpu_name, first.gpu_memory_mb) == ("A100", 80_000)


async def test_a_peer_that_dies_is_a_tier_that_is_unavailable() -> None:
    tier = Tier("asr", "127.0.0.1:1")
    tier._note(serving=True)

    with pytest.raises(MeshError) as failed:
        await _recognize(tier)
    await tier.close()

    assert (failed.value.fault, failed.value.code) == (Fault.UNAVAILABLE, "asr_unavailable")
    assert not tier.serving


class _Changed(asr_pb2_grpc.AsrServiceServicer):
    async def Recognize(self, request_iterator: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        raise MeshError(Fault.NOT_FOUND, "There is no model 'base'.", code="no_such_model", field="model")
        yield


async def test_a_model_that_asr_serves_no_more_is_a_wrong_field() -> None:
    async with serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(_Changed(), server)) as address:
        tier = Tier("asr", address)
        with pytest.raises(MeshError) as refused:
            await _recognize(tier)
        await tier.close()

    assert (refused.value.fault, refused.value.field) == (Fault.INVALID, "model")


class _Refusing(asr_pb2_grpc.AsrServiceServicer):
    def __init__(self, field: str) -> None:
        self._field = field

    async def Recognize(self, request_iterator: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        raise invalid_field(self._field, "They have 300 tokens together; base takes 223.")
        yield


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("initial_prompt", "prompt"),
        ("hint_phrases", "hotwords"),
        ("task", "task"),
        ("beam_size", "beam_size"),
        ("language", "language"),
    ],
)
async def test_a_field_that_asr_refuses_is_named_as_the_form_names_it(there: str, here: str) -> None:
    refusing = _Refusing(there)
    async with serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(refusing, server)) as address:
        tier = Tier("asr", address)
        with pytest.raises(MeshError, match="base takes 223") as refused:
            await _recognize(tier)
        await tier.close()

    assert (refused.value.fault, refused.value.code, refused.value.field) == (Fault.INVALID, "invalid_field", here)


async def test_no_task_is_left_when_a_service_refuses() -> None:
    async with serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(_Changed(), server)) as address:
        tier = Tier("asr", address)
        with pytest.raises(MeshError):
            await _recognize(tier)
        await asyncio.sleep(0.05)
        # The loopback server has tasks of its own; ours would be the one that reads the requests.
        left = {task for task in asyncio.all_tasks() if "_consume_request_iterator" in repr(task)}
        await tier.close()

    assert left == set()


TALK = SummaryRequest(
    text="",
    segments=(
        SpokenSegment("Anna must write the letter.", "Anna", (0.5, 2.0)),
        SpokenSegment("So she does.", None, (2.5, 3.25)),
        SpokenSegment("Fine.", "Ben", None),
    ),
    style="bullet_points",
    language="de",
    caller="key:17",
)


@contextlib.asynccontextmanager
async def _summarize_client(fake: FakeSummarize) -> AsyncIterator[SummarizeClient]:
    async with serving(lambda server: summarize_pb2_grpc.add_SummarizeServiceServicer_to_server(fake, server)) as at:
        tier = Tier("summarize", at)
        yield SummarizeClient(tier, 10)
        await tier.close()


async def _sum_up(
    client: SummarizeClient,
    request: SummaryRequest,
    on_text: Callable[[str], None] = lambda piece: None,
    on_ratio: Callable[[float], None] = lambda ratio: None,
) -> Summary:
    return await client.summarize(request, request_id="job-17", on_text=on_text, on_ratio=on_ratio)


async def test_a_transcript_goes_out_in_segments_and_its_summary_comes_back_as_values() -> None:
    fake = FakeSummarize(warnings=("instructions_set_aside",))
    async with _summarize_client(fake) as client:
        summary = await _sum_up(client, TALK)

    sources = (Source(0, 1, (0.5, 3.25)),)
    assert summary == Summary(
        text="- Anna must write the\n- letter. So she does.",
        style="bullet_points",
        model=MODEL,
        language="de",
        coverage=1.0,
        part_count=3,
        sections=(Section("- Anna must write the", sources), Section("- letter. So she does.", sources)),
        notes=summary.notes,
        input_tokens=9,
        output_tokens=10,
        warnings=("instructions_set_aside",),
    )
    assert [(note.part, note.text, note.kind) for note in summary.notes] == [
        (0, "Anna must write the letter.", "task"),
        (1, "So she does.", "point"),
        (2, "Fine.", "point"),
    ]
    assert [note.source for note in summary.notes] == [
        Source(0, 0, (0.5, 2.0)),
        Source(1, 1, (2.5, 3.25)),
        Source(2, 2, None),
    ]
    assert fake.requests == [
        summarize_pb2.SummarizeRequest(
            style=summarize_pb2.SUMMARY_STYLE_BULLET_POINTS,
            language_code="de",
            caller="key:17",
            segments=[
                summarize_pb2.TranscriptSegment(
                    text="Anna must write the letter.", speaker="Anna", span=to_span(0.5, 2.0)
                ),
                summarize_pb2.TranscriptSegment(text="So she does.", span=to_span(2.5, 3.25)),
                summarize_pb2.TranscriptSegment(text="Fine.", speaker="Ben"),
            ],
        )
    ]


async def test_a_text_goes_out_as_it_is_and_nothing_has_sources() -> None:
    fake = FakeSummarize()
    async with _summarize_client(fake) as client:
        summary = await _sum_up(client, SummaryRequest("Ann: Hi.", (), "headline", None, ""))

    assert (summary.text, summary.language) == ("Ann: Hi.", "en")
    assert summary.sections == (Section("Ann: Hi.", ()),)
    assert summary.notes[0].source is None
    assert fake.requests == [
        summarize_pb2.SummarizeRequest(text="Ann: Hi.", style=summarize_pb2.SUMMARY_STYLE_HEADLINE)
    ]


async def test_the_pieces_of_a_summary_come_as_they_are_written_and_are_its_text() -> None:
    fake = FakeSummarize(hold=True)
    pieces: list[str] = []
    ratios: list[float] = []
    begun = asyncio.Event()

    def take(piece: str) -> None:
        pieces.append(piece)
        begun.set()

    async with _summarize_client(fake) as client:
        working = asyncio.ensure_future(_sum_up(client, TALK, take, ratios.append))
        await asyncio.wait_for(begun.wait(), 10)
        early = (list(pieces), list(ratios))
        fake.released.set()
        summary = await working

    assert early == (["-"], [0.25])
    assert len(pieces) > 2
    assert "".join(pieces) == summary.text
    assert ratios == [0.25, 1.0]


async def test_who_no_longer_waits_for_a_summary_cancels_it() -> None:
    fake = FakeSummarize(hold=True)
    async with _summarize_client(fake) as client:
        working = asyncio.ensure_future(_sum_up(client, TALK))
        await asyncio.wait_for(fake.running.wait(), 10)
        working.cancel()

        assert await asyncio.wait_for(fake.cancelled.wait(), 10)


async def test_a_language_that_summarize_does_not_know_is_a_wrong_field_under_our_name() -> None:
    async with _summarize_client(FakeSummarize()) as client:
        with pytest.raises(MeshError, match="no language 'xx'") as refused:
            await _sum_up(client, replace(TALK, language="xx"))

    assert (refused.value.fault, refused.value.field) == (Fault.INVALID, "language")


async def test_a_full_queue_of_summarize_is_told_with_when_to_come_back() -> None:
    full = MeshError(Fault.OVERLOADED, "Too many are waiting.", code="queue_full", retry_after_seconds=7)
    async with _summarize_client(FakeSummarize(failure=full)) as client:
        with pytest.raises(MeshError) as refused:
            await _sum_up(client, TALK)

    assert (refused.value.code, refused.value.retry_after_seconds) == ("queue_full", 7.0)


async def test_the_largest_message_that_is_sent_passes_the_limits_of_a_service() -> None:
    server = grpc.aio.server(interceptors=[CallInterceptor()], options=lifecycle.SERVER_OPTIONS)
    fake = FakeSummarize()
    summarize_pb2_grpc.add_SummarizeServiceServicer_to_server(fake, server)
    tier = Tier("summarize", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    await server.start()
    client = SummarizeClient(tier, 10)
    # The field's number, the length of its value in four bytes, and the style.
    most = 16 * 1024 * 1024 - 7
    try:
        await _sum_up(client, SummaryRequest("a" * most, (), "headline", None, ""))
        with pytest.raises(MeshError) as refused:
            await _sum_up(client, SummaryRequest("a" * (most + 1), (), "headline", None, ""))
    finally:
        await tier.close()
        await server.stop(0)

    assert [(request.ByteSize(), len(request.text)) for request in fake.requests] == [(16 * 1024 * 1024, most)]
    assert (refused.value.fault, refused.value.code) == (Fault.TOO_LARGE, "text_too_large")
