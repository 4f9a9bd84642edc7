import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY

from services.diarize import server as diarize_server
from services.diarize.device import Device
from services.diarize.engine import Diarizer, SpeakerBounds
from services.diarize.server import DiarizeServicer, throttled
from services.runtime.admission import Admission
from services.runtime.errors import Fault, MeshError
from services.runtime.grpc_errors import CallEnd
from services.runtime.lifecycle import Loading
from services.runtime.spans import to_seconds
from speechmesh.diarize.v1 import diarize_pb2, diarize_pb2_grpc
from tests.diarize.fake_engine import FakeDiarizer
from tests.diarize.recordings import said
from tests.loopback import serving

SECOND = said((5, 1)).tobytes()
TALK = said((5, 2), (0, 1), (8, 2.5))

# The stub's asynchronous type exists for type checkers alone.
Stub = Any


def config(caller: str = "", **counts: int) -> diarize_pb2.DiarizeRequest:
    return diarize_pb2.DiarizeRequest(config=diarize_pb2.DiarizationConfig(caller=caller, **counts))


def audio(pcm: bytes) -> diarize_pb2.DiarizeRequest:
    return diarize_pb2.DiarizeRequest(audio=pcm)


def in_seconds(pcm: bytes) -> list[diarize_pb2.DiarizeRequest]:
    return [audio(pcm[start : start + len(SECOND)]) for start in range(0, len(pcm), len(SECOND))]


@contextlib.asynccontextmanager
async def serving_diarizer(
    diarizer: Diarizer | None, places: int = 4, max_audio_seconds: float = 60, buffer_seconds: float = 60
) -> AsyncIterator[Stub]:
    loading: Loading[Device] = Loading()
    if diarizer is not None:
        loading.set(Device(diarizer, workers=1))
    servicer = DiarizeServicer(
        loading,
        Admission("diarize", places, slots=places, expected_wait=lambda: loading.get().expected_wait_seconds()),
        max_audio_seconds=max_audio_seconds,
        buffer_seconds=buffer_seconds,
    )
    register = lambda server: diarize_pb2_grpc.add_DiarizeServiceServicer_to_server(servicer, server)  # noqa: E731
    async with serving(register) as address, grpc.aio.insecure_channel(address) as channel:
        yield diarize_pb2_grpc.DiarizeServiceStub(channel)


async def diarize(stub: Stub, requests: Iterable[diarize_pb2.DiarizeRequest]) -> list[diarize_pb2.DiarizeResponse]:
    return [response async for response in stub.Diarize(iter(requests))]


async def refusal(stub: Stub, requests: Iterable[diarize_pb2.DiarizeRequest]) -> MeshError:
    """Return what the failure of a call that must fail means."""
    call = stub.Diarize(iter(requests))
    end = CallEnd(call)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        async for _ in call:
            pass
    return end.explain(refused.value, "diarize")


def activities(responses: Iterable[diarize_pb2.DiarizeResponse]) -> list[diarize_pb2.SpeakerActivity]:
    return [response.activity for response in responses if response.HasField("activity")]


async def test_a_recording_gives_progress_then_activity_and_then_its_turns() -> None:
    async with serving_diarizer(FakeDiarizer()) as stub:
        responses = await diarize(stub, [config(), *in_seconds(TALK.tobytes())])

    events = [response.WhichOneof("event") for response in responses]
    assert events == ["progress"] * (len(events) - 2) + ["activity", "diarization"]
    assert len(events) > 2
    result = responses[-1].diarization
    assert [turn.speaker_index for turn in result.turns] == [0, 1]
    spans = [turn.span for turn in result.turns]
    assert [to_seconds(span.start_offset) for span in spans] == pytest.approx([0, 3], abs=0.05)
    assert [to_seconds(span.end_offset) for span in spans] == pytest.approx([2, 5.5], abs=0.05)
    assert list(result.exclusive_turns) == list(result.turns)
    assert result.model == "fake"
    assert to_seconds(result.audio_duration) == 5.5


async def test_progress_rises_to_one_in_media_time_too() -> None:
    async with serving_diarizer(FakeDiarizer()) as stub:
        responses = await diarize(stub, [config(), *in_seconds(TALK.tobytes())])

    progress = [response.progress for response in responses if response.HasField("progress")]
    for told in (
        [step.completed_ratio for step in progress],
        [to_seconds(step.processed_offset) for step in progress],
    ):
        assert told == sorted(told)
    assert progress[-1].completed_ratio == 1
    assert to_seconds(progress[-1].processed_offset) == 5.5


async def test_activity_comes_in_parts_that_join_to_rows_of_equal_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diarize_server, "ACTIVITY_FRAMES", 7)

    async with serving_diarizer(FakeDiarizer()) as stub:
        parts = activities(await diarize(stub, [config(), *in_seconds(TALK.tobytes())]))

    starts = [to_seconds(part.start_offset) for part in parts]
    assert starts == pytest.approx([7 * 0.05 * number for number in range(len(parts))])
    assert {to_seconds(part.frame_step) for part in parts} == {0.05}
    assert len(parts) == 16  # 110 frames in 5.5 s
    rows = [b"".join(row) for row in zip(*(part.probabilities for part in parts), strict=True)]
    assert [len(row) for row in rows] == [110, 110]
    first, second = rows
    assert (set(first[3:37]), set(first[43:])) == ({255}, {0})
    assert (set(second[:57]), set(second[63:])) == ({0}, {255})


async def test_work_begins_before_the_recording_is_complete() -> None:
    diarizer = FakeDiarizer()

    async def requests() -> AsyncIterator[diarize_pb2.DiarizeRequest]:
        yield config()
        for request in in_seconds(TALK.tobytes()[: 4 * len(SECOND)]):
            yield request
        assert await asyncio.to_thread(diarizer.started.wait, 10)
        yield audio(SECOND)

    async with serving_diarizer(diarizer) as stub:
        responses = [response async for response in stub.Diarize(requests())]

    assert to_seconds(responses[-1].diarization.audio_duration) == 5
    assert len(diarizer.calls) == 2


async def test_no_more_is_read_than_the_buffer_holds_until_the_work_comes_nearer() -> None:
    diarizer = FakeDiarizer(gate=threading.Event())
    async with serving_diarizer(diarizer, max_audio_seconds=1_000, buffer_seconds=60) as stub:
        call = stub.Diarize(iter([config(), *[audio(20 * SECOND)] * 40]))
        assert await asyncio.to_thread(diarizer.started.wait, 10)
        await asyncio.sleep(0.3)
        waiting = REGISTRY.get_sample_value("speechmesh_diarize_queue_blocks")
        assert diarizer.gate is not None
        diarizer.gate.set()
        responses = [response async for response in call]

    assert waiting is not None
    assert waiting * 2 <= 60 + 20  # seconds: the buffer, and the message that filled it
    assert to_seconds(responses[-1].diarization.audio_duration) == 800


async def test_the_bounds_reach_the_engine() -> None:
    diarizer = FakeDiarizer()
    async with serving_diarizer(diarizer) as stub:
        await diarize(stub, [config(speaker_count=3), audio(SECOND)])
        assert diarizer.bounds[-1] == SpeakerBounds(exact=3)
        await diarize(stub, [config(min_speaker_count=2, max_speaker_count=5), audio(SECOND)])
        assert diarizer.bounds[-1] == SpeakerBounds(minimum=2, maximum=5)


async def test_callers_take_turns() -> None:
    diarizer = FakeDiarizer(gate=threading.Event())
    async with serving_diarizer(diarizer) as stub:
        long = stub.Diarize(iter([config("a"), *in_seconds(41 * SECOND)]))
        assert await asyncio.to_thread(diarizer.started.wait, 10)
        short = stub.Diarize(iter([config("b"), audio(said((8, 2)).tobytes())]))
        assert (await short.read()).HasField("progress")  # it is heard of when all its audio is there
        assert diarizer.gate is not None
        diarizer.gate.set()
        for call in (long, short):
            while await call.read() != grpc.aio.EOF:
                pass

    of_the_short = [int(block.samples[0]) == 8 * 1_024 for call in diarizer.calls for block in call]
    assert sum(of_the_short) == 1
    assert of_the_short.index(True) < 5
    assert len(of_the_short) == 21


@pytest.mark.parametrize("pcm", [b"", bytes(32_000)])
async def test_a_recording_in_which_nobody_speaks_has_no_turns(pcm: bytes) -> None:
    async with serving_diarizer(FakeDiarizer()) as stub:
        responses = await diarize(stub, [config(), *in_seconds(pcm)])

    assert not responses[-1].diarization.turns
    assert responses[-1].diarization.model == "fake"
    assert activities(responses) == []
    assert responses[-2].progress.completed_ratio == 1


@pytest.mark.parametrize(
    ("requests", "field"),
    [
        ([], "config"),
        ([audio(SECOND)], "config"),
        ([diarize_pb2.DiarizeRequest()], "config"),
        ([config(), config()], "audio"),
        ([config(), diarize_pb2.DiarizeRequest()], "audio"),
        ([config(), audio(b"\0\0\0")], "audio"),
        ([config(), audio(bytes(1024 * 1024 + 2))], "audio"),
        ([config(speaker_count=-1)], "speaker_count"),
        ([config(speaker_count=2, max_speaker_count=2)], "speaker_count"),
        ([config(min_speaker_count=3, max_speaker_count=2)], "min_speaker_count"),
        ([config(max_speaker_count=51)], "max_speaker_count"),
        ([config(caller="x" * 129)], "caller"),
    ],
)
async def test_a_malformed_request_is_refused_and_its_field_named(
    requests: list[diarize_pb2.DiarizeRequest], field: str
) -> None:
    async with serving_diarizer(FakeDiarizer()) as stub:
        error = await refusal(stub, requests)

    assert (error.fault, error.field) == (Fault.INVALID, field)


async def test_a_recording_longer_than_the_limit_is_refused() -> None:
    async with serving_diarizer(FakeDiarizer(), max_audio_seconds=1.5) as stub:
        error = await refusal(stub, [config(), audio(SECOND), audio(SECOND)])

    assert (error.fault, error.field) == (Fault.TOO_LARGE, "audio")


async def test_a_refusal_does_not_wait_for_the_work_on_what_came_before() -> None:
    diarizer = FakeDiarizer(gate=threading.Event())
    async with serving_diarizer(diarizer) as stub:
        error = await asyncio.wait_for(refusal(stub, [config(), *in_seconds(10 * SECOND), audio(b"\0")]), 5)
        assert diarizer.gate is not None
        diarizer.gate.set()

    assert (error.fault, error.field) == (Fault.INVALID, "audio")


async def test_a_call_is_refused_while_the_model_loads() -> None:
    async with serving_diarizer(None) as stub:
        error = await refusal(stub, [config(), audio(SECOND)])

    assert (error.fault, error.code) == (Fault.UNAVAILABLE, "loading")


@pytest.mark.parametrize("seconds", [1, 30])
async def test_a_failing_engine_is_an_internal_error_without_its_text(seconds: int) -> None:
    async with serving_diarizer(FakeDiarizer(broken_by=5)) as stub:
        error = await refusal(stub, [config(), *in_seconds(seconds * SECOND)])

    assert error.fault is Fault.INTERNAL
    assert "secret" not in error.message


async def test_a_request_that_fails_leaves_the_others_alone() -> None:
    async with serving_diarizer(FakeDiarizer(broken_by=5)) as stub:
        failing = asyncio.ensure_future(refusal(stub, [config(), *in_seconds(30 * SECOND)]))
        others = [diarize(stub, [config(), *in_seconds(said((8, 10)).tobytes())]) for _ in range(2)]

        for responses in await asyncio.gather(*others):
            assert len(responses[-1].diarization.turns) == 1
        assert (await failing).fault is Fault.INTERNAL


async def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    gate = threading.Event()
    diarizer = FakeDiarizer(gate=gate)
    async with serving_diarizer(diarizer, places=1) as stub:
        running = asyncio.ensure_future(diarize(stub, [config(), audio(SECOND)]))
        assert await asyncio.to_thread(diarizer.started.wait, 5)
        error = await refusal(stub, [config(), audio(SECOND)])
        gate.set()
        assert (await running)[-1].diarization.turns

    assert (error.fault, error.code) == (Fault.OVERLOADED, "queue_full")
    assert error.retry_after_seconds is not None
    assert error.retry_after_seconds >= 1


async def test_a_client_that_leaves_stops_the_work_and_frees_its_place() -> None:
    diarizer = FakeDiarizer(gate=threading.Event())
    async with serving_diarizer(diarizer, places=1) as stub:
        call = stub.Diarize(iter([config(), *in_seconds(41 * SECOND)]))
        assert await asyncio.to_thread(diarizer.started.wait, 5)
        call.cancel()
        # The place is free before anything more is computed.
        other = await admitted(stub, [config(), audio(said((8, 2)).tobytes())])
        assert diarizer.gate is not None
        diarizer.gate.set()

        assert (await other)[-1].diarization.turns
    assert [len(blocks) for blocks in diarizer.calls] == [len(diarizer.calls[0]), 1]


async def admitted(
    stub: Stub, requests: list[diarize_pb2.DiarizeRequest]
) -> "asyncio.Future[list[diarize_pb2.DiarizeResponse]]":
    """Return a call that is not refused for want of a place: the server notices a moment after a client has left."""
    for _ in range(250):
        call = asyncio.ensure_future(diarize(stub, requests))
        await asyncio.wait([call], timeout=0.2)
        if not call.done() or call.exception() is None:
            return call
        await asyncio.sleep(0.02)
    pytest.fail("the place was never freed")


def test_progress_is_due_at_most_four_times_a_second() -> None:
    now = 0.0
    due = throttled(clock=lambda: now)

    told = []
    for tick in range(101):
        now = tick / 100
        if due():
            told.append(now)

    assert told == [0.0, 0.25, 0.5, 0.75, 1.0]
