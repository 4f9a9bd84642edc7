import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import grpc
import pytest

from services.asr.device import Device
from services.asr.engine import Hypothesis, Prompt, Task
from services.asr.server import AsrServicer
from services.runtime.admission import Admission
from services.runtime.errors import Fault, MeshError
from services.runtime.grpc_errors import CallEnd
from services.runtime.lifecycle import Loading
from services.runtime.spans import to_seconds
from speechmesh.asr.v1 import asr_pb2, asr_pb2_grpc
from tests.asr.fake_engine import FakeEngine, saying, tone
from tests.asr.fake_service import make_servicer
from tests.loopback import serving

_TONE = tone((3, 9000)).tobytes()
_CONFIG = asr_pb2.RecognizeRequest(config=asr_pb2.RecognitionConfig(model="fake", language_code="de"))


@pytest.fixture
def ears() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


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


def _segments(answers: list[asr_pb2.RecognizeResponse]) -> list[asr_pb2.Segment]:
    return [answer.segment for answer in answers if answer.HasField("segment")]


async def test_segments_then_the_summary(ears: Executor) -> None:
    answers = await _recognize(
        make_servicer(FakeEngine(), ears), [_CONFIG, _audio(_TONE[:50_000]), _audio(_TONE[50_000:])]
    )

    kinds = [answer.WhichOneof("event") for answer in answers]
    (segment,) = _segments(answers)
    assert kinds.index("segment") < kinds.index("summary") == len(kinds) - 1
    assert segment.text == "Wort0 Wort1 Wort2 Wort3 Wort4 Wort5"
    assert [round(to_seconds(word.span.start_offset), 1) for word in segment.words] == [0, 0.5, 1, 1.5, 2, 2.5]
    assert (segment.language_code, segment.language_probability) == ("de", 1.0)
    assert segment.average_log_probability == pytest.approx(-0.2)
    assert answers[-1].summary.model == "fake"
    assert answers[-1].summary.language_code == "de"
    assert to_seconds(answers[-1].summary.audio_duration) == 3.0
    assert answers[-2].progress.completed_ratio == 1.0


async def test_no_audio_is_an_empty_recording(ears: Executor) -> None:
    answers = await _recognize(make_servicer(FakeEngine(), ears), [_CONFIG])

    assert _segments(answers) == []
    assert to_seconds(answers[-1].summary.audio_duration) == 0


async def test_suppressed_texts_are_told_with_their_reason(ears: Executor) -> None:
    engine = FakeEngine(hypothesis=saying("Thank you.", no_speech_probability=0.9, average_log_probability=-1.5))

    answers = await _recognize(make_servicer(engine, ears), [_CONFIG, _audio(_TONE)])

    (held,) = [answer.suppressed for answer in answers if answer.HasField("suppressed")]
    assert held.text == "Thank you."
    assert held.reason == asr_pb2.SuppressedText.REASON_STOCK_PHRASE
    assert to_seconds(held.span.end_offset) == pytest.approx(3.0, abs=0.1)
    assert _segments(answers) == []


async def test_words_can_be_left_out(ears: Executor) -> None:
    config = asr_pb2.RecognizeRequest(config=asr_pb2.RecognitionConfig(omit_words=True))

    answers = await _recognize(make_servicer(FakeEngine(), ears), [config, _audio(_TONE)])

    (segment,) = _segments(answers)
    assert segment.text
    assert len(segment.words) == 0
    assert to_seconds(segment.span.end_offset) == pytest.approx(3.0, abs=0.1)


async def test_options_reach_the_decoder(ears: Executor) -> None:
    prompts: list[Prompt] = []

    def note(heard: Hypothesis, prompt: Prompt, temperature: float) -> Hypothesis:
        prompts.append(prompt)
        return heard

    config = asr_pb2.RecognitionConfig(
        language_code="en", task=asr_pb2.TASK_TRANSLATE, initial_prompt="one two", hint_phrases=["three"], beam_size=2
    )
    await _recognize(
        make_servicer(FakeEngine(hypothesis=note), ears), [asr_pb2.RecognizeRequest(config=config), _audio(_TONE)]
    )

    assert prompts[0].task is Task.TRANSLATE
    assert len(prompts[0].tokens) == 3 + 4


async def test_segments_come_while_the_audio_still_does(ears: Executor) -> None:
    servicer = make_servicer(FakeEngine(), ears)
    heard = asyncio.Event()

    async def requests() -> AsyncIterator[asr_pb2.RecognizeRequest]:
        yield _CONFIG
        yield _audio(tone((3, 9000), (3, 0), (3, 9000), (3, 0)).tobytes())
        await asyncio.wait_for(heard.wait(), 10)

    async with (
        serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(servicer, server)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        async for answer in asr_pb2_grpc.AsrServiceStub(channel).Recognize(requests()):
            if answer.HasField("segment"):
                heard.set()
            last = answer

    assert heard.is_set()
    assert to_seconds(last.summary.audio_duration) == 12


async def test_a_sender_is_held_while_his_audio_waits(ears: Executor) -> None:
    hold = threading.Event()
    servicer = make_servicer(FakeEngine(hold=hold), ears, max_seconds=100_000, buffer_seconds=60)
    minute = _audio(tone((20, 9000), (3, 0), (7, 9000)).tobytes())
    sent = 0

    async def requests() -> AsyncIterator[asr_pb2.RecognizeRequest]:
        nonlocal sent
        yield _CONFIG
        for _ in range(40):
            yield minute
            sent += 1

    async with (
        serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(servicer, server)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        call = asr_pb2_grpc.AsrServiceStub(channel).Recognize(requests())
        reading = asyncio.ensure_future(_all(call))
        await asyncio.sleep(1.0)
        held_at = sent
        hold.set()
        answers = await reading

    assert held_at < 20
    assert sent == 40
    assert to_seconds(answers[-1].summary.audio_duration) == 40 * 30


async def _all(call: AsyncIterator[asr_pb2.RecognizeResponse]) -> list[asr_pb2.RecognizeResponse]:
    return [answer async for answer in call]


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
        *[
            ([asr_pb2.RecognizeRequest(config=config)], Fault.INVALID, field)
            for config, field in (
                (asr_pb2.RecognitionConfig(language_code="xx"), "language"),
                (asr_pb2.RecognitionConfig(beam_size=11), "beam_size"),
                (asr_pb2.RecognitionConfig(beam_size=-1), "beam_size"),
                (asr_pb2.RecognitionConfig(initial_prompt="a " * 300), "initial_prompt"),
                (asr_pb2.RecognitionConfig(hint_phrases=["a"] * 101), "hint_phrases"),
                (asr_pb2.RecognitionConfig(caller="a" * 129), "caller"),
            )
        ],
    ],
)
async def test_a_wrong_request_names_what_is_wrong(
    ears: Executor, requests: list[asr_pb2.RecognizeRequest], fault: Fault, field: str
) -> None:
    with pytest.raises(MeshError) as refused:
        await _recognize(make_servicer(FakeEngine(), ears), requests)

    assert (refused.value.fault, refused.value.field) == (fault, field)


async def test_while_loading_calls_are_told_to_come_back(ears: Executor) -> None:
    servicer = AsrServicer(
        Loading(),
        Device("cpu"),
        Admission("asr", 1, 1),
        Admission("asr-streams", 1, 1),
        ears,
        max_audio_seconds=60,
        buffer_seconds=60,
    )

    with pytest.raises(MeshError, match="still loading") as refused:
        await _recognize(servicer, [_CONFIG])

    assert refused.value.fault is Fault.UNAVAILABLE
    assert refused.value.retry_after_seconds


async def test_a_full_queue_is_told_at_once(ears: Executor) -> None:
    hold = threading.Event()
    engine = FakeEngine(hold=hold)
    servicer = make_servicer(engine, ears, places=1)
    first = asyncio.ensure_future(_recognize(servicer, [_CONFIG, _audio(_TONE)]))
    await asyncio.to_thread(engine.running.wait, 5)

    with pytest.raises(MeshError) as refused:
        await _recognize(servicer, [_CONFIG, _audio(_TONE)])

    hold.set()
    assert refused.value.code == "queue_full"
    assert refused.value.retry_after_seconds
    assert (await first)[-1].HasField("summary")


async def test_an_engine_that_fails_is_an_error_without_its_text(ears: Executor) -> None:
    def fail(heard: Hypothesis, prompt: Prompt, temperature: float) -> Hypothesis:
        raise RuntimeError("secret")

    with pytest.raises(MeshError) as failed:
        await _recognize(make_servicer(FakeEngine(hypothesis=fail), ears), [_CONFIG, _audio(_TONE)])

    assert failed.value.fault is Fault.INTERNAL
    assert "secret" not in failed.value.message


async def test_a_caller_who_leaves_gives_up_his_place(ears: Executor) -> None:
    hold = threading.Event()
    engine = FakeEngine(hold=hold)
    servicer = make_servicer(engine, ears, places=1)
    async with (
        serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(servicer, server)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):

        async def requests() -> AsyncIterator[asr_pb2.RecognizeRequest]:
            yield _CONFIG
            yield _audio(tone(*[(4, 9000), (3, 0)] * 4).tobytes())

        stub = asr_pb2_grpc.AsrServiceStub(channel)
        call = stub.Recognize(requests())
        reading = asyncio.ensure_future(call.read())
        assert await asyncio.to_thread(engine.running.wait, 5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        # Until the server has heard of it.
        await asyncio.sleep(0.3)
        hold.set()
        answers = await _all(stub.Recognize(iter([_CONFIG, _audio(_TONE)]), wait_for_ready=True))

    assert answers[-1].HasField("summary")
    assert len(engine.encoded) <= 3


async def test_models_are_listed_with_aliases_and_language_names(ears: Executor) -> None:
    servicer = make_servicer(FakeEngine(), ears)
    async with (
        serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(servicer, server)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        answer = await asr_pb2_grpc.AsrServiceStub(channel).ListModels(asr_pb2.ListModelsRequest())

    assert [(model.id, model.runs, model.can_translate) for model in answer.models] == [
        ("fake", "fake", True),
        ("alias", "fake", True),
    ]
    assert [language.name for language in answer.models[0].languages] == ["english", "german"]
    assert answer.device.kind == asr_pb2.Device.KIND_CPU
