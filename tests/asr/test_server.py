import asyncio
import threading
from collections.abc import AsyncIterator, Iterable

import grpc
import numpy as np
import pytest

from services.asr.device import Device
from services.asr.engine import Models
from services.asr.server import AsrServicer
from services.runtime.admission import Admission
from services.runtime.errors import Fault, MeshError
from services.runtime.grpc_errors import CallEnd
from services.runtime.lifecycle import Loading
from services.runtime.spans import to_seconds
from speechmesh.asr.v1 import asr_pb2, asr_pb2_grpc
from tests.asr.fake_engine import FakeTranscriber
from tests.loopback import serving

_TONE = (np.sin(np.arange(3 * 16_000) / 10) * 8000).astype("<i2").tobytes()
_CONFIG = asr_pb2.RecognizeRequest(config=asr_pb2.RecognitionConfig(model="fake", language_code="de"))


def _servicer(transcriber: FakeTranscriber, places: int = 4, max_seconds: float = 60) -> AsrServicer:
    models: Loading[Models] = Loading()
    models.set(Models({transcriber.model: transcriber}, {"alias": transcriber.model}, {}))
    return AsrServicer(models, Device("cpu"), Admission("asr", places, 1), max_seconds)


async def _recognize(
    servicer: AsrServicer, requests: Iterable[asr_pb2.RecognizeRequest]
) -> list[asr_pb2.RecognizeResponse]:
    async with (
        serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(servicer, server)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        call = asr_pb2_grpc.AsrServiceStub(channel).Recognize(iter(requests))
        end = CallEnd(call)
        try:
            return [answer async for answer in call]
        except grpc.aio.AioRpcError as error:
            raise end.explain(error, "asr") from error


def _audio(pcm: bytes) -> asr_pb2.RecognizeRequest:
    return asr_pb2.RecognizeRequest(audio=pcm)


async def test_segments_then_the_summary() -> None:
    answers = await _recognize(_servicer(FakeTranscriber()), [_CONFIG, _audio(_TONE[:50_000]), _audio(_TONE[50_000:])])

    kinds = [answer.WhichOneof("event") for answer in answers]
    segments = [answer.segment for answer in answers if answer.HasField("segment")]
    assert kinds.count("segment") == 3
    assert kinds.index("progress") < kinds.index("summary") == len(kinds) - 1
    assert [segment.text for segment in segments] == ["word0.", "word1.", "word2."]
    assert to_seconds(segments[2].words[0].span.start_offset) == pytest.approx(2.1)
    assert answers[-1].summary.model == "fake"
    assert answers[-1].summary.language_code == "de"
    assert to_seconds(answers[-1].summary.audio_duration) == 3.0


async def test_no_audio_is_an_empty_recording() -> None:
    (summary,) = await _recognize(_servicer(FakeTranscriber()), [_CONFIG])

    assert to_seconds(summary.summary.audio_duration) == 0


@pytest.mark.parametrize(
    ("requests", "fault", "field"),
    [
        ([], Fault.INVALID, "config"),
        ([_audio(b"ab")], Fault.INVALID, "config"),
        ([_CONFIG, _CONFIG], Fault.INVALID, "audio"),
        ([_CONFIG, _audio(b"abc")], Fault.INVALID, "audio"),
        ([_CONFIG, _audio(bytes(1024 * 1024 + 2))], Fault.INVALID, "audio"),
        ([_CONFIG, *[_audio(bytes(1024 * 1024))] * 2], Fault.TOO_LARGE, "audio"),
        (
            [asr_pb2.RecognizeRequest(config=asr_pb2.RecognitionConfig(model="huge"))],
            Fault.NOT_FOUND,
            "model",
        ),
        (
            [asr_pb2.RecognizeRequest(config=asr_pb2.RecognitionConfig(language_code="xx"))],
            Fault.INVALID,
            "language",
        ),
    ],
)
async def test_a_wrong_request_names_what_is_wrong(
    requests: list[asr_pb2.RecognizeRequest], fault: Fault, field: str
) -> None:
    with pytest.raises(MeshError) as refused:
        await _recognize(_servicer(FakeTranscriber()), requests)

    assert (refused.value.fault, refused.value.field) == (fault, field)


async def test_while_loading_calls_are_told_to_come_back() -> None:
    servicer = AsrServicer(Loading(), Device("cpu"), Admission("asr", 1, 1), 60)

    with pytest.raises(MeshError, match="still loading") as refused:
        await _recognize(servicer, [_CONFIG])

    assert refused.value.fault is Fault.UNAVAILABLE
    assert refused.value.retry_after_seconds


async def test_a_full_queue_is_told_at_once() -> None:
    hold = threading.Event()
    transcriber = FakeTranscriber(hold=hold)
    servicer = _servicer(transcriber, places=1)
    first = asyncio.ensure_future(_recognize(servicer, [_CONFIG, _audio(_TONE)]))
    await asyncio.to_thread(transcriber.running.wait, 5)

    with pytest.raises(MeshError) as refused:
        await _recognize(servicer, [_CONFIG, _audio(_TONE)])

    hold.set()
    assert refused.value.code == "queue_full"
    assert refused.value.retry_after_seconds
    assert (await first)[-1].HasField("summary")


async def test_a_caller_who_leaves_stops_the_work_and_frees_the_slot() -> None:
    transcriber = FakeTranscriber(hold=threading.Event())
    servicer = _servicer(transcriber, places=1)
    async with (
        serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(servicer, server)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):

        async def requests() -> AsyncIterator[asr_pb2.RecognizeRequest]:
            yield _CONFIG
            yield _audio(_TONE)

        call = asr_pb2_grpc.AsrServiceStub(channel).Recognize(requests())
        reading = asyncio.ensure_future(call.read())
        assert await asyncio.to_thread(transcriber.running.wait, 5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

        assert await asyncio.to_thread(transcriber.cancelled.wait, 5)


async def test_models_are_listed_with_aliases_and_language_names() -> None:
    servicer = _servicer(FakeTranscriber())
    async with (
        serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(servicer, server)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        answer = await asr_pb2_grpc.AsrServiceStub(channel).ListModels(asr_pb2.ListModelsRequest())

    assert [(model.id, model.runs) for model in answer.models] == [("fake", "fake"), ("alias", "fake")]
    assert [language.name for language in answer.models[0].languages] == ["english", "german"]
    assert answer.device.kind == asr_pb2.Device.KIND_CPU
