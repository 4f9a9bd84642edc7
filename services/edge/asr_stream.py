"""A live stream to asr that survives the asr: what was not final yet is sent again to the next one.

asr tells from time to time how far a stream is done with, and a token to go on from there. The audio since then is
kept here. When asr is lost, or about to stop, another one (or the same, restarted) gets the token and the audio; as
recognition depends on nothing else, it finds the same words. What it repeats of them is not given out twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from services.audio.pcm import SAMPLE_RATE, byte_count
from services.edge.messages import to_seconds_span, to_segment, to_suppressed
from services.edge.replay import Audio, Mark, Replay
from services.edge.stream_protocol import Ended
from services.edge.tiers import Tier
from services.edge.transcript import Segment, Suppressed
from services.runtime.errors import Fault, MeshError
from services.runtime.grpc_errors import unavailable
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
_MOST_LOSSES = 5
"""Calls that were accepted and lost without getting any further; audio that ends every asr must not go on doing so."""

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
        explain: says what asr's refusal of the configuration means for our own caller.
    """

    def __init__(
        self,
        tier: Tier,
        call: _Call,
        configure: Callable[[], Awaitable[asr_pb2.RecognitionConfig]],
        *,
        wait_seconds: float,
        recovery_seconds: float,
        explain: Callable[[MeshError], MeshError] = lambda error: error,
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
        self._explain = explain
        self._lost_since: float | None = None
        # Since the last position: losses, and what was told, which another asr will tell again.
        self._losses = 0
        self._told = {"segment": 0, "suppressed": 0}
        self._again = dict(self._told)
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

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        """Yield what is recognized, `Ended` last.

        Raises:
            MeshError: what asr answered, or that it is gone for too long.
        """
        try:
            self._config = await self._configure()
            await self._tier.wait_serving(self._wait_seconds)
            while True:
                try:
                    async with contextlib.aclosing(self._answers()) as answers:
                        async for event in answers:
                            yield event
                            if isinstance(event, Ended):
                                return
                except MeshError as error:
                    self._lose(error)
                get_logger().info("stream_moves", kept_seconds=round(self._replay.kept_seconds, 2))
                await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self._over = True
            self._went.set()
            # Who still waits for audio to pass on shall not.
            self._calls += 1
            self._came.set()

    def _lose(self, error: MeshError) -> None:
        """Take that a call has failed; raise what ends the stream, if it does."""
        if not self._started:
            raise self._explain(error)
        if error.fault is Fault.INTERNAL:
            raise error
        # What is refused now was taken before: by another version of asr, not for want of the client.
        passing = error if error.fault in _PASSING else unavailable(self._tier.name)
        # Since it was accepted, nothing was lost yet.
        self._losses += self._lost_since is None
        self._lost_since = self._lost_since or time.monotonic()
        if time.monotonic() - self._lost_since > self._recovery_seconds or self._losses > _MOST_LOSSES:
            raise passing

    async def _answers(self) -> AsyncGenerator[StreamEvent, None]:
        """Yield what one asr answers, until it ends or sends us away."""
        self._calls += 1
        self._replay.rewind()
        self._again = dict(self._told)
        async with self._call(self._requests(self._calls)) as responses:
            async for response in responses:
                event = self._take(response)
                if event is not None:
                    yield event
                if response.WhichOneof("event") == "go_away":
                    return

    def _take(self, response: asr_pb2.StreamingRecognizeResponse) -> StreamEvent | None:
        kind = response.WhichOneof("event")
        if kind in self._told and self._is_told(kind):
            return None
        match kind:
            case "started":
                self._lost_since = None
                first, self._started = not self._started, True
                return Started(response.started.model) if first else None
            case "segment":
                segment = to_segment(response.segment)
                return Final(segment, self._replay.received_seconds - segment.end)
            case "suppressed":
                self._suppressed.append(to_suppressed(response.suppressed))
            case "interim" if not any(self._again.values()):
                start, end = to_seconds_span(response.interim.span)
                return Interim(response.interim.text, start, end, response.interim.language_code)
            case "position":
                self._move(response.position)
            case "summary":
                summary = response.summary
                duration = to_seconds(summary.audio_duration)
                return Ended(summary.language_code, duration, summary.model, tuple(self._suppressed))
        return None

    def _is_told(self, kind: str) -> bool:
        """Return whether a text was told before: recognition depends on the audio alone, so they come in order."""
        again = self._again[kind] > 0
        if again:
            self._again[kind] -= 1
        else:
            self._told[kind] += 1
        return again

    def _move(self, position: asr_pb2.StreamPosition) -> None:
        self._token = position.resume_token
        self._losses = 0
        # What comes again after this position was told by another asr; the rest lies before it.
        self._told = dict(self._again)
        self._replay.forget_before(round(to_seconds(position.offset) * SAMPLE_RATE))

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
