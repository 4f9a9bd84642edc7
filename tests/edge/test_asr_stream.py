"""What a stream does when asr answers oddly; how it goes on after a loss is in test_live.py, with a whole asr."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
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
    async def wait_serving(self, seconds: float) -> None:
        pass


async def config() -> asr_pb2.RecognitionConfig:
    return asr_pb2.RecognitionConfig(model="base")


async def told(
    script: Script, *, recovery_seconds: float = 5.0, begin: Callable[[AsrStream], None] = lambda stream: None
) -> list[StreamEvent]:
    tier: Any = Tier()
    stream = AsrStream(tier, script.call, config, wait_seconds=1, recovery_seconds=recovery_seconds)
    await stream.feed(bytes(range(200)) * 640)  # four seconds
    begin(stream)
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


async def test_a_fault_of_the_request_is_not_tried_again() -> None:
    script = Script([MeshError(Fault.INVALID, "It is wrong.")], [SUMMARY])

    with pytest.raises(MeshError, match="wrong"):
        await told(script)

    assert len(script.calls) == 1


async def test_after_a_while_a_loss_is_final() -> None:
    script = Script(*[[LOST] for _ in range(50)])

    with pytest.raises(MeshError, match="gone"):
        await told(script, recovery_seconds=0.3)

    assert len(script.calls) < 49


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
