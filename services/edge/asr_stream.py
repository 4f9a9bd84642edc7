"""A live stream to asr that survives the asr: what was not final yet is sent again to the next one.

asr tells from time to time how far a stream is done with, and a token to go on from there. The audio since then is
kept here. When asr is lost, or about to stop, another one (or the same, restarted) gets the token and the audio; as
recognition depends on nothing else, it finds the same words. What it repeats of them is not given out twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from services.audio.pcm import SAMPLE_RATE, byte_count
from services.edge.messages import to_seconds_span, to_segment, to_suppressed
from services.edge.replay import Audio, Mark, Replay
from services.edge.stream_protocol import Ended
from services.edge.tiers import Tier
from services.edge.transcript import Segment, Suppressed
from services.runtime.errors import Fault, MeshError
from services.runtime.logs import get_logger
from services.runtime.spans import to_seconds
from speechmesh.asr.v1 import asr_pb2

_Request = asr_pb2.StreamingRecognizeRequest
_Requests = AsyncIterator[asr_pb2.StreamingRecognizeRequest]
_Call = Callable[[_Requests], contextlib.AbstractAsyncContextManager[AsyncIterator[Any]]]

_SECONDS_AHEAD = 120.0
"""Audio that may wait for asr; then the client is held."""

_MOST_BYTES = 128 * 1024
_GATHER_SECONDS = 0.1
"""Frames that are shorter are sent together: every message costs both sides a fraction of a millisecond."""

_RETRY_SECONDS = 0.2
_PASSING = (Fault.UNAVAILABLE, Fault.OVERLOADED, Fault.TOO_SLOW)


@dataclass(frozen=True)
class Started:
    """Recognition has begun; told once."""

    model: str


@dataclass(frozen=True)
class Final:
    """A text that is final."""

    segment: Segment
    lag: float
    """Seconds of audio that have come since its end."""


@dataclass(frozen=True)
class Interim:
    """What is not final yet, all of it."""

    text: str
    start: float
    end: float
    language: str


StreamEvent = Started | Final | Interim | Ended


class AsrStream:
    """One stream. `feed`, `flush` and `end` are for one task, `events` for another.

    Args:
        tier: asr.
        call: makes a call with an iterator of requests.
        configure: returns what to recognize and how; asked once.
        wait_seconds: how long to wait for asr at the beginning.
        recovery_seconds: how long to look for another asr when one is lost.
    """

    def __init__(
        self,
        tier: Tier,
        call: _Call,
        configure: Callable[[], Awaitable[asr_pb2.RecognitionConfig]],
        *,
        wait_seconds: float,
        recovery_seconds: float,
    ) -> None:
        self._tier = tier
        self._call = call
        self._configure = configure
        self._config = asr_pb2.RecognitionConfig()
        self._wait_seconds = wait_seconds
        self._recovery_seconds = recovery_seconds
        self._replay = Replay()
        self._token = b""
        self._calls = 0
        self._started = False
        self._final_until = -1.0
        self._suppressed: list[Suppressed] = []
        self._came = asyncio.Event()
        self._went = asyncio.Event()
        self._over = False

    # What the client sends

    async def feed(self, pcm: bytes) -> None:
        """Take the next samples; waits while too much waits for asr."""
        self._replay.append(pcm)
        self._came.set()
        while self._replay.waiting_seconds > _SECONDS_AHEAD and not self._over:
            self._went.clear()
            await self._went.wait()

    def flush(self) -> None:
        """Make final what was said so far."""
        self._replay.flush()
        self._came.set()

    def end(self) -> None:
        """Take that nothing more comes."""
        self._replay.end()
        self._came.set()

    # What asr answers

    async def events(self) -> AsyncIterator[StreamEvent]:
        """Yield what is recognized, `Ended` last.

        Raises:
            MeshError: what asr answered, or that it is gone for too long.
        """
        try:
            self._config = await self._configure()
            await self._tier.wait_serving(self._wait_seconds)
            lost_since: float | None = None
            while True:
                try:
                    async for event in self._answers():
                        lost_since = None
                        yield event
                        if isinstance(event, Ended):
                            return
                except MeshError as error:
                    if not self._started or error.fault not in _PASSING:
                        raise
                    lost_since = lost_since or time.monotonic()
                    if time.monotonic() - lost_since > self._recovery_seconds:
                        raise
                get_logger().info("stream_moves", kept_seconds=round(self._replay.kept_seconds, 2))
                await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self._over = True
            self._went.set()

    async def _answers(self) -> AsyncIterator[StreamEvent]:
        """Yield what one asr answers, until it ends or sends us away."""
        self._calls += 1
        self._replay.rewind()
        async with self._call(self._requests(self._calls)) as responses:
            async for response in responses:
                event = self._take(response)
                if event is not None:
                    yield event
                if response.WhichOneof("event") == "go_away":
                    return

    def _take(self, response: asr_pb2.StreamingRecognizeResponse) -> StreamEvent | None:
        match response.WhichOneof("event"):
            case "started" if not self._started:
                self._started = True
                return Started(response.started.model)
            case "segment":
                return self._final(to_segment(response.segment))
            case "suppressed":
                text = to_suppressed(response.suppressed)
                if all(text.end > other.end for other in self._suppressed[-1:]):
                    self._suppressed.append(text)
            case "interim":
                start, end = to_seconds_span(response.interim.span)
                return Interim(response.interim.text, start, end, response.interim.language_code)
            case "position":
                self._token = response.position.resume_token
                self._replay.forget_before(round(to_seconds(response.position.offset) * SAMPLE_RATE))
            case "summary":
                summary = response.summary
                duration = to_seconds(summary.audio_duration)
                return Ended(summary.language_code, duration, summary.model, tuple(self._suppressed))
        return None

    def _final(self, segment: Segment) -> Final | None:
        # The next asr begins a little before what the last one gave out.
        if segment.end <= self._final_until:
            return None
        self._final_until = segment.end
        return Final(segment, self._replay.received_seconds - segment.end)

    async def _requests(self, number: int) -> _Requests:
        yield _Request(config=asr_pb2.StreamingRecognitionConfig(recognition=self._config, resume_token=self._token))
        # A call that was given up may ask once more.
        while number == self._calls:
            self._came.clear()
            match self._replay.next(_MOST_BYTES):
                case Audio(pcm):
                    self._went.set()
                    yield _Request(audio=pcm)
                    if len(pcm) < byte_count(_GATHER_SECONDS):
                        await asyncio.sleep(_GATHER_SECONDS)
                case Mark.FLUSH:
                    yield _Request(control=_Request.CONTROL_FLUSH)
                case Mark.END:
                    yield _Request(control=_Request.CONTROL_END_OF_AUDIO)
                    return
                case None:
                    await self._came.wait()
