"""The gRPC skin of diarize: protobuf to values and back, and the sender held while the work is behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING

import grpc

from services.diarize.device import Device
from services.diarize.engine import Activity, Diarization, SpeakerBounds, Turn
from services.diarize.hearing import Hearing
from services.runtime import metrics
from services.runtime.admission import Admission
from services.runtime.callers import turns_of
from services.runtime.lifecycle import Loading
from services.runtime.recording import receive_audio, receive_config
from services.runtime.spans import to_duration, to_progress, to_span
from speechmesh.diarize.v1 import diarize_pb2, diarize_pb2_grpc

if TYPE_CHECKING:
    DiarizeContext = grpc.aio.ServicerContext[diarize_pb2.DiarizeRequest, diarize_pb2.DiarizeResponse]

PROGRESS_SECONDS = 0.25
"""Least time between two messages of progress."""

ACTIVITY_FRAMES = 20_000
"""Frames in one message of activity: a megabyte when there are as many speakers as can be told apart."""


class DiarizeServicer(diarize_pb2_grpc.DiarizeServiceServicer):
    """Serves `DiarizeService`.

    Args:
        device: the loaded model, once it is.
        admission: how many requests are taken.
        max_audio_seconds: longest recording that is taken.
        buffer_seconds: audio that a request may be ahead of the work on it.
    """

    def __init__(
        self, device: Loading[Device], admission: Admission, *, max_audio_seconds: float, buffer_seconds: float
    ) -> None:
        self._device = device
        self._admission = admission
        self._max_audio_seconds = max_audio_seconds
        self._buffer_seconds = buffer_seconds

    async def Diarize(
        self, request_iterator: AsyncIterator[diarize_pb2.DiarizeRequest], context: DiarizeContext
    ) -> AsyncIterator[diarize_pb2.DiarizeResponse]:
        """Diarize a recording while it is sent in parts."""
        device = self._device.get()
        with self._admission.place():
            config: diarize_pb2.DiarizationConfig = await receive_config(request_iterator)
            bounds = SpeakerBounds(config.speaker_count, config.min_speaker_count, config.max_speaker_count)
            hearing = Hearing(device, turns_of(config.caller))
            feeding = asyncio.create_task(self._feed(request_iterator, hearing))
            feeding.add_done_callback(lambda fed: _fed(fed, hearing))
            due = throttled()
            try:
                while hearing.waiting or not feeding.done():
                    await hearing.wait_for_change()
                    if feeding.done():
                        feeding.result()  # nobody waits for the work on a recording that is refused
                    if due():
                        yield _progress(hearing, whole=feeding.done())
                feeding.result()
                diarization = await hearing.conclude(bounds)
            finally:
                feeding.cancel()
                hearing.cancel()
            yield _progress(hearing, whole=True)
            for response in _to_responses(diarization, device.diarizer.model, hearing.seconds):
                yield response
            metrics.AUDIO_SECONDS.labels("diarize").inc(hearing.seconds)

    async def _feed(self, requests: AsyncIterator[diarize_pb2.DiarizeRequest], hearing: Hearing) -> None:
        async for chunk in receive_audio(requests, self._max_audio_seconds):
            hearing.feed(chunk)
            # Not reading is what holds the sender.
            await hearing.wait_until_behind(self._buffer_seconds)
        hearing.finish()


def _fed(feeding: asyncio.Task[None], hearing: Hearing) -> None:
    if not feeding.cancelled():
        feeding.exception()  # asked for here in case that something else ends the call first
    hearing.wake()


def throttled(clock: Callable[[], float] = time.monotonic) -> Callable[[], bool]:
    """Return what tells whether a message of progress is due; asking takes it."""
    next_one = clock()

    def due() -> bool:
        nonlocal next_one
        now = clock()
        if now < next_one:
            return False
        next_one = now + PROGRESS_SECONDS
        return True

    return due


def _progress(hearing: Hearing, *, whole: bool) -> diarize_pb2.DiarizeResponse:
    """Return how far it has come; which share of all that is, is known once the whole recording is there."""
    ratio = hearing.done_seconds / hearing.seconds if whole and hearing.seconds else float(whole)
    return diarize_pb2.DiarizeResponse(progress=to_progress(hearing.done_seconds, ratio))


def _to_responses(result: Diarization, model: str, duration: float) -> Iterator[diarize_pb2.DiarizeResponse]:
    for part in _to_activities(result.activity):
        yield diarize_pb2.DiarizeResponse(activity=part)
    yield diarize_pb2.DiarizeResponse(
        diarization=diarize_pb2.Diarization(
            turns=[_to_turn(turn) for turn in result.turns],
            exclusive_turns=[_to_turn(turn) for turn in result.exclusive_turns],
            model=model,
            audio_duration=to_duration(duration),
        )
    )


def _to_activities(activity: Activity) -> Iterator[diarize_pb2.SpeakerActivity]:
    frames = len(activity.probabilities[0]) if activity.probabilities else 0
    for first in range(0, frames, ACTIVITY_FRAMES):
        yield diarize_pb2.SpeakerActivity(
            start_offset=to_duration(first * activity.step),
            frame_step=to_duration(activity.step),
            probabilities=[row[first : first + ACTIVITY_FRAMES] for row in activity.probabilities],
        )


def _to_turn(turn: Turn) -> diarize_pb2.Turn:
    return diarize_pb2.Turn(span=to_span(turn.start, turn.end), speaker_index=turn.speaker)
