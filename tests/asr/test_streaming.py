import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import pytest

from services.asr.server import AsrServicer
from services.runtime.errors import Fault, MeshError
from services.runtime.grpc_errors import CallEnd
from services.runtime.spans import to_seconds
from speechmesh.asr.v1 import asr_pb2, asr_pb2_grpc
from tests.asr.fake_engine import FakeEngine, tone
from tests.asr.fake_service import servicer
from tests.loopback import serving

Request = asr_pb2.StreamingRecognizeRequest
Response = asr_pb2.StreamingRecognizeResponse

TALK = tone((1, 0), (2.2, 9000), (0.9, 0), (4.1, 9000), (1.2, 0), (3.3, 9000), (2, 0)).tobytes()
FLUSH, END = Request.CONTROL_FLUSH, Request.CONTROL_END_OF_AUDIO


def config(token: bytes = b"", *, omit_interims: bool = False, **recognition: Any) -> asr_pb2.StreamingRecognizeRequest:
    return Request(
        config=asr_pb2.StreamingRecognitionConfig(
            recognition=asr_pb2.RecognitionConfig(**{"language_code": "en", **recognition}),
            omit_interims=omit_interims,
            resume_token=token,
        )
    )


def audio(pcm: bytes, step: int = 8192) -> list[asr_pb2.StreamingRecognizeRequest]:
    return [Request(audio=pcm[start : start + step]) for start in range(0, len(pcm), step)]


@contextlib.asynccontextmanager
async def calling(service: AsrServicer) -> AsyncIterator[Any]:
    async with (
        serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(service, server)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield asr_pb2_grpc.AsrServiceStub(channel)


async def stream(
    requests: Iterable[asr_pb2.StreamingRecognizeRequest], engine: FakeEngine | None = None
) -> list[asr_pb2.StreamingRecognizeResponse]:
    with servicer(engine or FakeEngine()) as service:
        async with calling(service) as stub:
            call = stub.StreamingRecognize(iter(requests))
            end = CallEnd(call)
            try:
                return [answer async for answer in call]
            except grpc.aio.AioRpcError as error:
                raise end.explain(error, "asr") from error


def segments(answers: Iterable[asr_pb2.StreamingRecognizeResponse]) -> list[asr_pb2.Segment]:
    return [answer.segment for answer in answers if answer.HasField("segment")]


async def test_first_it_has_started_last_comes_the_summary() -> None:
    answers = await stream([config(model="alias"), *audio(TALK)])

    assert answers[0].started.model == "fake"
    assert answers[-1].summary.model == "fake"
    assert to_seconds(answers[-1].summary.audio_duration) == pytest.approx(14.7)
    assert [round(to_seconds(s.span.start_offset)) for s in segments(answers)] == [1, 4, 9]
    kinds = {answer.WhichOneof("event") for answer in answers}
    assert kinds == {"started", "interim", "segment", "speech_event", "position", "summary"}


async def test_the_end_may_be_said() -> None:
    answers = await stream([config(), *audio(TALK), Request(control=END), Request(audio=b"odd")])

    assert answers[-1].HasField("summary")


async def test_interims_and_words_can_be_left_out() -> None:
    answers = await stream([config(omit_interims=True, omit_words=True), *audio(TALK)])

    assert not any(answer.HasField("interim") for answer in answers)
    assert all(not segment.words for segment in segments(answers))


async def test_a_flush_makes_final_what_was_said() -> None:
    answers = await stream([config(), *audio(tone((3, 9000)).tobytes()), Request(control=FLUSH), *audio(TALK)])

    assert len(segments(answers)) == 4


async def test_a_stream_goes_on_from_the_token_of_a_position() -> None:
    whole = await stream([config(), *audio(TALK)])
    place = [answer.HasField("position") for answer in whole].index(True)
    position = whole[place].position
    before = segments(whole[:place])

    rest = await stream(
        [config(position.resume_token), *audio(TALK[2 * round(to_seconds(position.offset) * 16_000) :])]
    )

    assert [*before, *segments(rest)] == segments(whole)
    assert rest[-1].summary == whole[-1].summary


async def test_a_stream_that_is_sent_away_gets_its_last_token() -> None:
    answers: list[asr_pb2.StreamingRecognizeResponse] = []

    async def requests() -> AsyncIterator[asr_pb2.StreamingRecognizeRequest]:
        for request in [config(), *audio(TALK)]:
            yield request
        await asyncio.Event().wait()

    with servicer(FakeEngine()) as service:
        async with calling(service) as stub:
            async for answer in stub.StreamingRecognize(requests()):
                answers.append(answer)
                if len(segments(answers)) == 3 and answer.HasField("position"):
                    service.drain()

    tokens = [answer.position.resume_token for answer in answers if answer.HasField("position")]
    assert answers[-1].go_away.resume_token == tokens[-1]


async def test_a_drain_in_the_middle_of_work_loses_nothing() -> None:
    hold = threading.Event()
    answers: list[asr_pb2.StreamingRecognizeResponse] = []
    with servicer(FakeEngine(hold=hold)) as service:
        async with calling(service) as stub:
            async for answer in stub.StreamingRecognize(iter([config(), *audio(TALK)])):
                answers.append(answer)
                if answer.HasField("speech_event") and not hold.is_set():
                    service.drain()
                    await asyncio.sleep(0.1)
                    hold.set()
    go_away = answers[-1].go_away

    assert answers[-1].HasField("go_away")
    rest = await stream([config(go_away.resume_token), *audio(TALK)])
    assert [*segments(answers), *segments(rest)] == segments(await stream([config(), *audio(TALK)]))


@pytest.mark.slow
async def test_a_sender_is_held_while_his_audio_waits() -> None:
    second = bytes(2 * 16_000)
    written = 0
    hold = threading.Event()
    with servicer(FakeEngine(hold=hold)) as service:
        async with calling(service) as stub:
            call = stub.StreamingRecognize()
            await call.write(config(omit_interims=True))

            async def write() -> None:
                nonlocal written
                await call.write(Request(audio=tone((3, 9000), (2, 0)).tobytes()))
                while True:
                    await call.write(Request(audio=second))
                    written += 1

            writing = asyncio.ensure_future(write())
            before = -1
            while written != before:
                before = written
                await asyncio.sleep(1)
            writing.cancel()
            await asyncio.wait({writing})
            call.cancel()
        hold.set()

    # Half a minute here, and what gRPC buffers on the way: without being held it would never end.
    assert 20 <= written < 300


@pytest.mark.parametrize(
    ("requests", "fault", "field"),
    [
        ([], Fault.INVALID, "config"),
        ([Request(audio=b"12")], Fault.INVALID, "config"),
        ([config(), config()], Fault.INVALID, "request"),
        ([config(), Request(audio=b"123")], Fault.INVALID, "audio"),
        ([config(), Request(audio=bytes(1024 * 1024 + 2))], Fault.INVALID, "audio"),
        ([config(), Request(control=Request.CONTROL_UNSPECIFIED)], Fault.INVALID, "request"),
        ([config(b"no token")], Fault.INVALID, "resume_token"),
        ([config(model="other")], Fault.NOT_FOUND, None),
        ([config(language_code="xx")], Fault.INVALID, "language"),
        ([config(caller="x" * 129)], Fault.INVALID, "caller"),
    ],
)
async def test_a_wrong_request_names_what_is_wrong(
    requests: list[asr_pb2.StreamingRecognizeRequest], fault: Fault, field: str | None
) -> None:
    with pytest.raises(MeshError) as refused:
        await stream(requests)

    assert refused.value.fault is fault
    assert refused.value.field == field or field is None


async def test_a_token_of_another_model_is_refused() -> None:
    whole = await stream([config(), *audio(TALK)])
    token = next(answer.position.resume_token for answer in whole if answer.HasField("position"))

    with pytest.raises(MeshError, match="fake"):
        await stream([config(token)], FakeEngine("other"))


async def test_one_stream_too_many_is_told_at_once() -> None:
    with servicer(FakeEngine(), places=1) as service:
        async with calling(service) as stub:
            first = stub.StreamingRecognize()
            await first.write(config())
            assert (await first.read()).HasField("started")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await anext(aiter(stub.StreamingRecognize(iter([config()]))))
            first.cancel()

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
