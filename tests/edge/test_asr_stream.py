"""What a stream does when asr answers oddly; how it goes on after a loss is in test_live.py, with a whole asr."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.edge.asr_stream import AsrStream, Final, Interim, Started, StreamEvent
from services.edge.stream_protocol import Ended
from services.edge.transcript import Suppressed
from services.runtime.errors import Fault, MeshError
from services.runtime.spans import to_duration, to_span
from speechmesh.asr.v1 import asr_pb2

Response = asr_pb2.StreamingRecognizeResponse
STARTED = Response(started=asr_pb2.StreamStarted(model="base"))
SUMMARY = Response(summary=asr_pb2.RecognitionSummary(model="base", language_code="en", audio_duration=to_duration(9)))
GO_AWAY = Response(go_away=asr_pb2.GoAway())


def segment(end: float) -> asr_pb2.StreamingRecognizeResponse:
    return Response(segment=asr_pb2.Segment(span=to_span(end - 1, end), text=f"until {end:g}"))


def suppressed(end: float) -> asr_pb2.StreamingRecognizeResponse:
    reason = asr_pb2.SuppressedText.REASON_NO_SPEECH
    return Response(suppressed=asr_pb2.SuppressedText(span=to_span(end - 1, end), text="Bye.", reason=reason))


def position(seconds: float, token: bytes) -> asr_pb2.StreamingRecognizeResponse:
    return Response(position=asr_pb2.StreamPosition(offset=to_duration(seconds), resume_token=token))


class Script:
    """An asr whose calls answer as they are told, once they have got all audio there is."""

    def __init__(self, *calls: list[asr_pb2.StreamingRecognizeResponse | MeshError]) -> None:
        self.calls = list(calls)
        self.tokens: list[bytes] = []
        self.heard: list[bytes] = []

    @contextlib.asynccontextmanager
    async def call(self, requests: AsyncIterator[Any]) -> AsyncIterator[AsyncIterator[Any]]:
        self.tokens.append((await anext(requests)).config.resume_token)
        self.heard.append(b"")
        yield self._answers(requests, self.calls.pop(0))

    async def _answers(self, requests: AsyncIterator[Any], answers: list[Any]) -> AsyncIterator[Any]:
        yield STARTED
        async for request in requests:
            self.heard[-1] += request.audio
            if request.HasField("control"):
                break
        for answer in answers:
            if isinstance(answer, MeshError):
                raise answer
            yield answer


class Tier:
    name = "asr"

    async def wait_serving(self, seconds: float) -> None:
        pass


async def config() -> asr_pb2.RecognitionConfig:
    return asr_pb2.RecognitionConfig(model="base")


async def told(script: Script, *, recovery_seconds: float = 5.0) -> list[StreamEvent]:
    tier: Any = Tier()
    stream = AsrStream(tier, script.call, config, wait_seconds=1, recovery_seconds=recovery_seconds)
    await stream.feed(bytes(range(200)) * 640)  # four seconds
    stream.end()
    return [event async for event in stream.events()]


LOST = MeshError(Fault.UNAVAILABLE, "The asr tier is gone.")


async def test_what_is_heard_is_told() -> None:
    interim = Response(interim=asr_pb2.InterimText(span=to_span(1, 2), text="one", language_code="en"))
    script = Script([interim, segment(2), suppressed(3), position(2.5, b"token"), SUMMARY])

    started, shown, final, ended = await told(script)

    assert started == Started("base")
    assert shown == Interim("one", 1.0, 2.0, "en")
    assert isinstance(final, Final)
    assert (final.segment.text, final.lag) == ("until 2", 2.0)
    assert ended == Ended("en", 9.0, "base", (Suppressed(2.0, 3.0, "Bye.", "no_speech"),))


@pytest.mark.parametrize("end", [LOST, GO_AWAY], ids=["lost", "sent away"])
async def test_the_next_asr_gets_the_token_and_the_audio_since_then(end: Any) -> None:
    script = Script([segment(1), position(1.5, b"token"), segment(2), end], [segment(2), segment(3), SUMMARY])

    events = await told(script)

    assert [event.segment.text for event in events if isinstance(event, Final)] == ["until 1", "until 2", "until 3"]
    assert script.tokens == [b"", b"token"]
    assert script.heard[1] == script.heard[0][48_000:]
    assert sum(isinstance(event, Started) for event in events) == 1


async def test_what_was_held_back_is_listed_once() -> None:
    script = Script([suppressed(1), LOST], [suppressed(1), suppressed(2), SUMMARY])

    *_, ended = await told(script)

    assert isinstance(ended, Ended)
    assert [text.end for text in ended.suppressed] == [1.0, 2.0]


class Refusing(Script):
    """An asr that has gone: calls fail before they are accepted, from the second on."""

    @contextlib.asynccontextmanager
    async def call(self, requests: AsyncIterator[Any]) -> AsyncIterator[AsyncIterator[Any]]:
        if self.tokens:
            self.tokens.append(b"")
            raise self.error
        async with super().call(requests) as answers:
            yield answers

    error: MeshError = LOST


@pytest.mark.parametrize(
    "error", [LOST, MeshError(Fault.INVALID, "Of another version.", field="resume_token")], ids=["gone", "other"]
)
async def test_after_a_while_a_loss_is_final_and_not_the_clients_fault(error: MeshError) -> None:
    script = Refusing([LOST])
    script.error = error

    with pytest.raises(MeshError) as ended:
        await told(script, recovery_seconds=0.5)

    assert ended.value.fault is Fault.UNAVAILABLE
    assert 2 < len(script.tokens) < 10


async def test_losses_that_lie_apart_are_losses_of_their_own() -> None:
    quiet = Quiet([LOST], [position(0.5, b"token"), LOST], [SUMMARY])

    assert isinstance((await told(quiet, recovery_seconds=0.4))[-1], Ended)


class Quiet(Script):
    """An asr that says little, and takes its time for it."""

    async def _answers(self, requests: AsyncIterator[Any], answers: list[Any]) -> AsyncIterator[Any]:
        async for answer in super()._answers(requests, answers):
            yield answer
            await asyncio.sleep(0.3)


async def test_audio_that_ends_every_asr_is_given_up() -> None:
    script = Script(*[[segment(1), LOST] for _ in range(50)])

    with pytest.raises(MeshError, match="gone"):
        await told(script)

    assert len(script.calls) > 40


async def test_texts_of_no_length_are_told() -> None:
    nothing = Response(segment=asr_pb2.Segment(span=to_span(2, 2), text="Bye."))
    events = await told(Script([segment(2), nothing, SUMMARY]))

    assert [event.segment.text for event in events if isinstance(event, Final)] == ["until 2", "Bye."]


async def test_what_is_told_again_shows_no_interim_of_it() -> None:
    interim = Response(interim=asr_pb2.InterimText(span=to_span(0, 1), text="until", language_code="en"))
    later = Response(interim=asr_pb2.InterimText(span=to_span(1, 2), text="next", language_code="en"))
    script = Script([interim, segment(1), LOST], [interim, segment(1), later, segment(2), SUMMARY])

    events = await told(script)

    assert [event.text for event in events if isinstance(event, Interim)] == ["until", "next"]
    assert [event.segment.text for event in events if isinstance(event, Final)] == ["until 1", "until 2"]


async def test_a_refusal_at_the_beginning_is_explained() -> None:
    tier: Any = Tier()

    @contextlib.asynccontextmanager
    async def refuse(requests: AsyncIterator[Any]) -> AsyncIterator[AsyncIterator[Any]]:
        raise MeshError(Fault.INVALID, "It is too long.", field="initial_prompt")
        yield requests

    def explain(error: MeshError) -> MeshError:
        return MeshError(error.fault, error.message, field="prompt")

    stream = AsrStream(tier, refuse, config, wait_seconds=1, recovery_seconds=1, explain=explain)

    with pytest.raises(MeshError) as refused:
        await anext(stream.events())

    assert refused.value.field == "prompt"


async def test_when_it_is_over_nothing_waits_for_audio_any_more() -> None:
    before = len(asyncio.all_tasks())
    for _ in range(3):
        with contextlib.suppress(MeshError):
            await told(Script([MeshError(Fault.INTERNAL, "No.")]))
    await asyncio.sleep(0.05)

    assert len(asyncio.all_tasks()) == before


async def test_a_sender_is_held_while_too_much_waits() -> None:
    tier: Any = Tier()
    stream = AsrStream(tier, Script([SUMMARY]).call, config, wait_seconds=1, recovery_seconds=1)
    minute = bytes(60 * 32_000)

    await asyncio.wait_for(stream.feed(minute), 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stream.feed(minute + minute), 0.2)
    held = asyncio.create_task(stream.feed(b""))
    await asyncio.sleep(0.05)
    assert not held.done()
    stream.end()

    assert [event async for event in stream.events()][-1]
    await asyncio.wait_for(held, 1)
