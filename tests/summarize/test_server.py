import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator

import grpc
import pytest

from services.runtime.admission import Admission
from services.runtime.errors import Fault, MeshError
from services.runtime.grpc_errors import CallEnd
from services.runtime.lifecycle import Loading
from services.summarize.engine import Summarizer
from services.summarize.server import SummarizeServicer
from speechmesh.summarize.v1 import summarize_pb2, summarize_pb2_grpc
from tests.loopback import serving
from tests.summarize.fake_engine import FakeSummarizer

TEXT = "Ana sends the report to Ben. Ben reads it."


def servicer_of(summarizer: Summarizer, places: int = 4) -> SummarizeServicer:
    loading: Loading[Summarizer] = Loading()
    loading.set(summarizer)
    return SummarizeServicer(loading, Admission("summarize", places, 1))


@contextlib.asynccontextmanager
async def stub_of(servicer: SummarizeServicer) -> "AsyncIterator[summarize_pb2_grpc.SummarizeServiceAsyncStub]":
    register = summarize_pb2_grpc.add_SummarizeServiceServicer_to_server
    async with (
        serving(lambda server: register(servicer, server)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield summarize_pb2_grpc.SummarizeServiceStub(channel)


async def summarize(
    servicer: SummarizeServicer,
    text: str = TEXT,
    style: int = summarize_pb2.SUMMARY_STYLE_UNSPECIFIED,
) -> list[summarize_pb2.SummarizeResponse]:
    request = summarize_pb2.SummarizeRequest(text=text)
    request.style = style  # type: ignore[assignment] # a number that is no style can be sent, too
    async with stub_of(servicer) as stub:
        call = stub.Summarize(request)
        end = CallEnd(call)
        try:
            return [answer async for answer in call]
        except grpc.aio.AioRpcError as error:
            raise end.explain(error, "summarize") from error


async def test_the_text_comes_in_pieces_and_then_as_a_whole() -> None:
    *deltas, last = await summarize(servicer_of(FakeSummarizer("qwen")))

    assert len(deltas) > 1
    assert all(answer.WhichOneof("event") == "text_delta" for answer in deltas)
    assert "".join(answer.text_delta for answer in deltas) == last.summary.text
    assert last.summary.text == "Ana sends the report to Ben. Ben reads"
    assert last.summary.model == "qwen"
    assert (last.summary.input_token_count, last.summary.output_token_count) == (9, 8)


@pytest.mark.parametrize(
    ("style", "begins"),
    [
        (summarize_pb2.SUMMARY_STYLE_UNSPECIFIED, "Ana"),
        (summarize_pb2.SUMMARY_STYLE_BRIEF, "Ana"),
        (summarize_pb2.SUMMARY_STYLE_DETAILED, "Ana"),
        (summarize_pb2.SUMMARY_STYLE_ACTION_ITEMS, "- Ana"),
        (summarize_pb2.SUMMARY_STYLE_BULLET_POINTS, "- Ana"),
        (summarize_pb2.SUMMARY_STYLE_HEADLINE, "Ana"),
    ],
)
async def test_every_style_has_its_shape(style: int, begins: str) -> None:
    answers = await summarize(servicer_of(FakeSummarizer()), style=style)

    assert answers[-1].summary.text.startswith(begins)


async def test_two_equal_requests_get_equal_answers() -> None:
    servicer = servicer_of(FakeSummarizer())

    assert await summarize(servicer) == await summarize(servicer)


@pytest.mark.parametrize(
    ("text", "style", "fault", "field"),
    [
        ("", 0, Fault.INVALID, "text"),
        (" \n\t", 0, Fault.INVALID, "text"),
        (TEXT, 99, Fault.INVALID, "style"),
        ("word " * 1001, 0, Fault.TOO_LARGE, "text"),
    ],
)
async def test_a_wrong_request_names_what_is_wrong(text: str, style: int, fault: Fault, field: str) -> None:
    with pytest.raises(MeshError) as refused:
        await summarize(servicer_of(FakeSummarizer()), text, style)

    assert (refused.value.fault, refused.value.field) == (fault, field)


async def test_a_text_too_long_is_out_of_range_and_says_both_numbers() -> None:
    async with stub_of(servicer_of(FakeSummarizer())) as stub:
        with pytest.raises(grpc.aio.AioRpcError, match="1001 tokens; up to 1000 fit") as refused:
            await stub.Summarize(summarize_pb2.SummarizeRequest(text="word " * 1001)).read()

    assert refused.value.code() is grpc.StatusCode.OUT_OF_RANGE


async def test_while_loading_calls_are_told_to_come_back() -> None:
    with pytest.raises(MeshError, match="still loading") as refused:
        await summarize(SummarizeServicer(Loading(), Admission("summarize", 1, 1)))

    assert refused.value.fault is Fault.UNAVAILABLE


async def test_one_too_many_is_told_at_once() -> None:
    hold = threading.Event()
    summarizer = FakeSummarizer(hold=hold)
    servicer = servicer_of(summarizer, places=1)
    running = asyncio.ensure_future(summarize(servicer))
    assert await asyncio.to_thread(summarizer.running.wait, 5)

    with pytest.raises(MeshError) as refused:
        await summarize(servicer)

    hold.set()
    assert refused.value.code == "queue_full"
    assert refused.value.fault is Fault.OVERLOADED
    assert refused.value.retry_after_seconds
    assert (await running)[-1].summary.text.startswith("Ana")


async def test_others_wait_for_their_turn() -> None:
    hold = threading.Event()
    summarizer = FakeSummarizer(hold=hold)
    servicer = servicer_of(summarizer)
    calls = [asyncio.ensure_future(summarize(servicer, f"Caller {number} talks.")) for number in range(3)]
    assert await asyncio.to_thread(summarizer.running.wait, 5)
    _, waiting = await asyncio.wait(calls, timeout=0.1)
    hold.set()

    answers = await asyncio.gather(*calls)
    assert len(waiting) == 3
    assert [answer[-1].summary.text for answer in answers] == [f"Caller {number} talks." for number in range(3)]


async def test_a_caller_who_leaves_stops_the_model_and_frees_the_place() -> None:
    hold = threading.Event()
    summarizer = FakeSummarizer(hold=hold)
    async with stub_of(servicer_of(summarizer, places=1)) as stub:
        request = summarize_pb2.SummarizeRequest(text=TEXT)
        call = stub.Summarize(request)
        reading = asyncio.ensure_future(call.read())
        assert await asyncio.to_thread(summarizer.running.wait, 5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await asyncio.to_thread(summarizer.cancelled.wait, 5)
        hold.set()

        answers = await _retried(stub, request)

    assert answers[-1].summary.model == "fake"


async def _retried(
    stub: "summarize_pb2_grpc.SummarizeServiceAsyncStub", request: summarize_pb2.SummarizeRequest
) -> list[summarize_pb2.SummarizeResponse]:
    for _ in range(100):
        with contextlib.suppress(grpc.aio.AioRpcError):
            return [answer async for answer in stub.Summarize(request)]
        await asyncio.sleep(0.02)
    raise AssertionError("the place was never freed")
