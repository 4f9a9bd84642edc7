import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc
import numpy as np
import pytest

from services.diarize.engine import Diarizer
from services.diarize.server import DiarizeServicer, throttled
from services.runtime.admission import Admission
from services.runtime.errors import Fault, MeshError
from services.runtime.grpc_errors import CallEnd
from services.runtime.lifecycle import Loading
from services.runtime.spans import to_seconds
from speechmesh.diarize.v1 import diarize_pb2, diarize_pb2_grpc
from tests.diarize.fake_engine import FakeDiarizer
from tests.loopback import serving

SECOND = (np.sin(np.arange(16_000) / 10) * 8_000).astype("<i2").tobytes()
SILENT_SECOND = bytes(32_000)

# The stub's asynchronous type exists for type checkers alone.
Stub = Any


def config(**counts: int) -> diarize_pb2.DiarizeRequest:
    return diarize_pb2.DiarizeRequest(config=diarize_pb2.DiarizationConfig(**counts))


def audio(pcm: bytes) -> diarize_pb2.DiarizeRequest:
    return diarize_pb2.DiarizeRequest(audio=pcm)


@contextlib.asynccontextmanager
async def serving_diarizer(
    diarizer: Diarizer | None, places: int = 4, max_audio_seconds: float = 60
) -> AsyncIterator[Stub]:
    loading: Loading[Diarizer] = Loading()
    if diarizer is not None:
        loading.set(diarizer)
    servicer = DiarizeServicer(loading, Admission("diarize", places, slots=1), max_audio_seconds)
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


async def test_a_recording_gives_progress_and_then_its_turns() -> None:
    async with serving_diarizer(FakeDiarizer()) as stub:
        responses = await diarize(stub, [config(), audio(SECOND), audio(SILENT_SECOND), audio(SECOND[:16_000])])

    events = [response.WhichOneof("event") for response in responses]
    assert events == ["progress"] * (len(events) - 1) + ["diarization"]
    assert len(events) > 1
    result = responses[-1].diarization
    turns = [
        (to_seconds(turn.span.start_offset), to_seconds(turn.span.end_offset), turn.speaker_index)
        for turn in result.turns
    ]
    assert turns == [(0, 1, 0), (2, 2.5, 1)]
    assert list(result.exclusive_turns) == list(result.turns)
    assert result.model == "fake"
    assert to_seconds(result.audio_duration) == 2.5


async def test_progress_rises_to_one_in_media_time_too() -> None:
    async with serving_diarizer(FakeDiarizer()) as stub:
        responses = await diarize(stub, [config(), audio(SECOND), audio(SECOND)])

    progress = [response.progress for response in responses[:-1]]
    assert [step.completed_ratio for step in progress] == sorted(step.completed_ratio for step in progress)
    assert progress[-1].completed_ratio == 1
    assert to_seconds(progress[-1].processed_offset) == 2


async def test_the_bounds_reach_the_engine() -> None:
    diarizer = FakeDiarizer()
    async with serving_diarizer(diarizer) as stub:
        await diarize(stub, [config(speaker_count=3), audio(SECOND)])
        await diarize(stub, [config(min_speaker_count=2, max_speaker_count=5), audio(SECOND)])

    exact, between = diarizer.bounds
    assert (exact.exact, exact.minimum, exact.maximum) == (3, 0, 0)
    assert (between.exact, between.minimum, between.maximum) == (0, 2, 5)


async def test_a_recording_without_audio_has_no_turns() -> None:
    async with serving_diarizer(FakeDiarizer()) as stub:
        responses = await diarize(stub, [config()])

    assert not responses[-1].diarization.turns
    assert responses[-1].diarization.model == "fake"


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


async def test_a_call_is_refused_while_the_model_loads() -> None:
    async with serving_diarizer(None) as stub:
        error = await refusal(stub, [config(), audio(SECOND)])

    assert (error.fault, error.code) == (Fault.UNAVAILABLE, "loading")


async def test_a_failing_engine_is_an_internal_error_without_its_text() -> None:
    class Broken(FakeDiarizer):
        def _pretend(self, progress: Callable[[float], None], cancelled: Callable[[], bool]) -> None:
            raise RuntimeError("secret")

    async with serving_diarizer(Broken()) as stub:
        error = await refusal(stub, [config(), audio(SECOND)])

    assert error.fault is Fault.INTERNAL
    assert "secret" not in error.message


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


async def test_a_client_that_leaves_stops_the_engine_and_frees_its_place() -> None:
    diarizer = FakeDiarizer(gate=threading.Event())
    async with serving_diarizer(diarizer, places=1) as stub:
        call = stub.Diarize(iter([config(), audio(SECOND)]))
        assert await asyncio.to_thread(diarizer.started.wait, 5)
        call.cancel()

        assert await asyncio.to_thread(diarizer.stopped.wait, 5)
        diarizer.gate = None
        for _ in range(100):  # the server notices a moment after the engine
            with contextlib.suppress(grpc.aio.AioRpcError):
                assert (await diarize(stub, [config(), audio(SECOND)]))[-1].diarization.turns
                break
            await asyncio.sleep(0.02)
        else:
            pytest.fail("the place was never freed")


def test_progress_passes_at_most_four_times_a_second() -> None:
    now = 0.0
    passed = list[float]()
    progress = throttled(passed.append, clock=lambda: now)

    for tick in range(101):
        now = tick / 100
        progress(tick / 100)

    assert passed == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_the_end_passes_however_soon_it_comes() -> None:
    passed = list[float]()
    progress = throttled(passed.append, clock=lambda: 0.0)

    progress(0.0)
    progress(0.5)
    progress(1.0)

    assert passed == [0.0, 1.0]
