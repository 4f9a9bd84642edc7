import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.edge.clients import AsrClient, DiarizeClient
from services.edge.tiers import Tier
from services.runtime.errors import Fault, MeshError
from services.runtime.spans import to_duration, to_span
from speechmesh.asr.v1 import asr_pb2, asr_pb2_grpc
from speechmesh.diarize.v1 import diarize_pb2, diarize_pb2_grpc
from tests.loopback import serving


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
        yield asr_pb2.RecognizeResponse(segment=asr_pb2.Segment(span=to_span(0.5, 1), text="hi", words=[word]))
        yield asr_pb2.RecognizeResponse(
            summary=asr_pb2.RecognitionSummary(model="base", language_code="en", audio_duration=to_duration(2))
        )

    async def ListModels(self, request: Any, context: Any) -> Any:
        self.asked += 1
        device = asr_pb2.Device(kind=asr_pb2.Device.KIND_CUDA, name="A100", memory_mib=80_000)
        return asr_pb2.ListModelsResponse(models=[asr_pb2.Model(id="base", runs="base")], device=device)


class _Diarize(diarize_pb2_grpc.DiarizeServiceServicer):
    async def Diarize(self, request_iterator: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        requests = [request async for request in request_iterator]
        turn = diarize_pb2.Turn(span=to_span(0, 1.5), speaker_index=requests[0].config.speaker_count)
        yield diarize_pb2.DiarizeResponse(diarization=diarize_pb2.Diarization(turns=[turn], exclusive_turns=[turn]))


async def test_a_recording_goes_out_as_config_and_audio_and_comes_back_as_values() -> None:
    asr = _Asr()
    async with serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(asr, server)) as address:
        tier = Tier("asr", address)
        heard = await AsrClient(tier, 10).recognize(
            _pcm(), model="base", language=None, request_id="job-17", progress=lambda ratio: None
        )
        await tier.close()

    assert [request.audio for request in asr.received] == [b"", b"ab", b"cd"]
    assert asr.received[0].config == asr_pb2.RecognitionConfig(model="base", language_code="")
    assert (heard.model, heard.duration, heard.segments[0].words[0].text) == ("base", 2.0, " hi")


async def test_turns_come_back_as_values() -> None:
    async with serving(
        lambda server: diarize_pb2_grpc.add_DiarizeServiceServicer_to_server(_Diarize(), server)
    ) as address:
        tier = Tier("diarize", address)
        found = await DiarizeClient(tier, 10).diarize(
            _pcm(), speakers=3, request_id="job-17", progress=lambda ratio: None
        )
        await tier.close()

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
    assert (first.gpu_name, first.gpu_memory_mb) == ("A100", 80_000)


async def test_a_peer_that_dies_is_a_tier_that_is_unavailable() -> None:
    tier = Tier("asr", "127.0.0.1:1")
    tier._note(serving=True)

    with pytest.raises(MeshError) as failed:
        await AsrClient(tier, 10).recognize(
            _pcm(), model="", language=None, request_id="x", progress=lambda ratio: None
        )
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
            await AsrClient(tier, 10).recognize(
                _pcm(), model="base", language=None, request_id="x", progress=lambda ratio: None
            )
        await tier.close()

    assert (refused.value.fault, refused.value.field) == (Fault.INVALID, "model")


async def test_no_task_is_left_when_a_service_refuses() -> None:
    async with serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(_Changed(), server)) as address:
        tier = Tier("asr", address)
        with pytest.raises(MeshError):
            await AsrClient(tier, 10).recognize(
                _pcm(), model="base", language=None, request_id="x", progress=lambda ratio: None
            )
        await asyncio.sleep(0.05)
        # The loopback server has tasks of its own; ours would be the one that reads the requests.
        left = {task for task in asyncio.all_tasks() if "_consume_request_iterator" in repr(task)}
        await tier.close()

    assert left == set()
