import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable

import grpc
import pytest

from services.runtime import metrics
from services.runtime.admission import Admission
from services.runtime.callers import LONGEST_CALLER
from services.runtime.errors import Fault, MeshError
from services.runtime.grpc_errors import CallEnd
from services.runtime.lifecycle import Loading
from services.runtime.spans import to_seconds, to_span
from services.summarize.device import Device
from services.summarize.server import SummarizeServicer
from services.summarize.summarizer import Summarizer
from speechmesh.summarize.v1 import summarize_pb2, summarize_pb2_grpc
from tests.loopback import serving
from tests.summarize.fake_model import FakeModel, first_sentences
from tests.summarize.told_kinds import ToldKinds
from tests.summarize.waiting import until

TEXT = "Ana: The report about the roof is late.\nBen: Carla gets the report on Monday.\nAna: That is soon enough."
TASK = "Carla gets the report on Monday."
MOST_CHARACTERS = 5000

Request = summarize_pb2.SummarizeRequest
Response = summarize_pb2.SummarizeResponse


def servicer_of(
    places: int = 4, *, hold: threading.Event | None = None, reply: Callable[[str], str] = first_sentences
) -> tuple[SummarizeServicer, FakeModel]:
    model = FakeModel(reply)
    kinds = ToldKinds(model, [TASK])
    model.calls.clear()
    model._hold = hold
    loading: Loading[Summarizer] = Loading()
    loading.set(Summarizer(Device(model), kinds, 2000))  # type: ignore[arg-type] # told, not learned
    admission = Admission("summarize", places, places)
    return SummarizeServicer(loading, admission, max_characters=MOST_CHARACTERS), model


@contextlib.asynccontextmanager
async def stub_of(servicer: SummarizeServicer) -> "AsyncIterator[summarize_pb2_grpc.SummarizeServiceAsyncStub]":
    register = summarize_pb2_grpc.add_SummarizeServiceServicer_to_server
    async with (
        serving(lambda server: register(servicer, server)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield summarize_pb2_grpc.SummarizeServiceStub(channel)


async def summarize(request: Request, servicer: SummarizeServicer | None = None) -> list[Response]:
    async with stub_of(servicer or servicer_of()[0]) as stub:
        call = stub.Summarize(request)
        end = CallEnd(call)
        try:
            return [answer async for answer in call]
        except grpc.aio.AioRpcError as error:
            raise end.explain(error, "summarize") from error


async def whole(request: Request, servicer: SummarizeServicer | None = None) -> summarize_pb2.Summary:
    return (await summarize(request, servicer))[-1].summary


def segments() -> list[summarize_pb2.TranscriptSegment]:
    lines = [line.split(": ") for line in TEXT.split("\n")]
    return [
        summarize_pb2.TranscriptSegment(text=text, speaker=name, span=to_span(10 * number, 10 * number + 4))
        for number, (name, text) in enumerate(lines)
    ]


async def test_the_text_comes_in_pieces_then_as_a_whole_with_all_that_is_known_of_it() -> None:
    *answers, last = await summarize(Request(text=TEXT))

    deltas = [answer.text_delta for answer in answers if answer.WhichOneof("event") == "text_delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == last.summary.text
    assert last.summary.model == "fake"
    assert last.summary.language_code == "en"
    assert last.summary.coverage == 1.0
    assert len(last.summary.parts) == 1
    assert last.summary.input_token_count > 0 < last.summary.output_token_count
    assert " ".join(section.text for section in last.summary.sections) == last.summary.text


async def test_progress_never_falls() -> None:
    answers = await summarize(Request(text=TEXT))
    ratios = [answer.completed_ratio for answer in answers if answer.WhichOneof("event") == "completed_ratio"]

    assert ratios
    assert ratios == sorted(ratios)


@pytest.mark.parametrize(
    ("style", "begins"),
    [
        (summarize_pb2.SUMMARY_STYLE_UNSPECIFIED, "The report"),
        (summarize_pb2.SUMMARY_STYLE_BRIEF, "The report"),
        (summarize_pb2.SUMMARY_STYLE_DETAILED, "The report"),
        (summarize_pb2.SUMMARY_STYLE_ACTION_ITEMS, "- Ben: Carla gets"),
        (summarize_pb2.SUMMARY_STYLE_BULLET_POINTS, "- The report"),
        (summarize_pb2.SUMMARY_STYLE_HEADLINE, "The report"),
    ],
)
async def test_every_style_has_its_shape(style: summarize_pb2.SummaryStyle, begins: str) -> None:
    assert (await whole(Request(text=TEXT, style=style))).text.startswith(begins)


async def test_two_equal_requests_get_equal_answers() -> None:
    servicer, _ = servicer_of()

    assert await whole(Request(text=TEXT), servicer) == await whole(Request(text=TEXT), servicer)


async def test_segments_are_read_with_their_speakers_and_are_the_sources() -> None:
    summary = await whole(Request(segments=segments(), style=summarize_pb2.SUMMARY_STYLE_ACTION_ITEMS))

    (section,) = summary.sections
    (source,) = section.sources
    assert section.text == f"- Ben: {TASK}"
    assert (source.first_segment_index, source.last_segment_index) == (1, 1)
    assert (to_seconds(source.span.start_offset), to_seconds(source.span.end_offset)) == (10, 14)
    assert summary.parts[0].notes[0].source == source
    assert summary.parts[0].notes[0].kind == summarize_pb2.NOTE_KIND_TASK


async def test_segments_without_times_are_sources_without_times() -> None:
    untimed = [summarize_pb2.TranscriptSegment(text=segment.text) for segment in segments()]
    summary = await whole(Request(segments=untimed))

    assert summary.sections[0].sources
    assert not summary.sections[0].sources[0].HasField("span")


async def test_a_text_has_no_sources() -> None:
    assert not (await whole(Request(text=TEXT))).sections[0].sources


async def test_a_text_beside_segments_is_taken_when_it_says_the_same() -> None:
    both = Request(text=TEXT, segments=segments())

    assert await whole(both) == await whole(Request(segments=segments()))


@pytest.mark.parametrize(
    ("request_", "fault", "field"),
    [
        (Request(text=""), Fault.INVALID, "text"),
        (Request(text=" \n\t"), Fault.INVALID, "text"),
        (Request(segments=[summarize_pb2.TranscriptSegment(text=" ")]), Fault.INVALID, "segments"),
        (Request(text="Something else is said here.", segments=segments()), Fault.INVALID, "text"),
        (
            Request(segments=[summarize_pb2.TranscriptSegment(text="Well", span=to_span(4, 2))]),
            Fault.INVALID,
            "segments",
        ),
        (Request(text=TEXT, language_code="xx"), Fault.INVALID, "language_code"),
        (Request(text=TEXT, caller="x" * (LONGEST_CALLER + 1)), Fault.INVALID, "caller"),
        (Request(text="x" * (MOST_CHARACTERS + 1)), Fault.TOO_LARGE, "text"),
    ],
)
async def test_a_wrong_request_names_what_is_wrong(request_: Request, fault: Fault, field: str) -> None:
    with pytest.raises(MeshError) as refused:
        await summarize(request_)

    assert (refused.value.fault, refused.value.field) == (fault, field)


async def test_a_style_that_is_none_is_refused() -> None:
    request = Request(text=TEXT)
    request.style = 99  # type: ignore[assignment] # a number that is no style can be sent, too
    with pytest.raises(MeshError, match="There is no style 99") as refused:
        await summarize(request)

    assert refused.value.field == "style"


async def test_while_loading_calls_are_told_to_come_back() -> None:
    loading = SummarizeServicer(Loading(), Admission("summarize", 1, 1), max_characters=MOST_CHARACTERS)
    with pytest.raises(MeshError, match="still loading") as refused:
        await summarize(Request(text=TEXT), loading)

    assert refused.value.fault is Fault.UNAVAILABLE


async def test_one_too_many_is_told_at_once() -> None:
    hold = threading.Event()
    servicer, model = servicer_of(1, hold=hold)
    running = asyncio.ensure_future(whole(Request(text=TEXT), servicer))
    await until(lambda: bool(model.calls))

    with pytest.raises(MeshError) as refused:
        await summarize(Request(text=TEXT), servicer)

    hold.set()
    assert (refused.value.code, refused.value.fault) == ("queue_full", Fault.OVERLOADED)
    assert refused.value.retry_after_seconds
    assert (await running).text


async def test_several_are_written_at_once() -> None:
    servicer, model = servicer_of()
    async with stub_of(servicer) as stub:

        async def read() -> str:
            return [answer async for answer in stub.Summarize(Request(text=TEXT))][-1].summary.text

        texts = await asyncio.gather(*(read() for _ in range(4)))

    assert len(set(texts)) == 1
    assert max(len(step) for step in model.steps) == 4


async def test_a_caller_who_leaves_frees_the_rows_and_the_place_and_is_counted() -> None:
    left = metrics.SUMMARIZE_CANCELLED._value.get()
    servicer, model = servicer_of(1, reply=lambda prompt: "word " * 100_000)
    async with stub_of(servicer) as stub:
        call = stub.Summarize(Request(text=TEXT))
        reading = asyncio.ensure_future(call.read())
        await until(lambda: bool(model.steps))
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
        await until(lambda: metrics.SUMMARIZE_CANCELLED._value.get() == left + 1)
        steps = len(model.steps)

        assert metrics.SUMMARIZE_CANCELLED._value.get() == left + 1
        assert metrics.SUMMARIZE_ROWS._value.get() == 0
        model._reply = first_sentences
        assert [answer async for answer in stub.Summarize(Request(text=TEXT))][-1].summary.text
        assert model.steps[steps:]


async def test_an_error_of_the_model_leaves_without_its_text() -> None:
    servicer, model = servicer_of()
    model.fail_when(lambda call: True)
    with pytest.raises(MeshError) as failed:
        await summarize(Request(text=TEXT), servicer)

    assert failed.value.fault is Fault.INTERNAL
    assert "the model failed" not in failed.value.message
