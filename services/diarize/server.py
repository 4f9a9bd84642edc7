"""The gRPC skin of diarize: protobuf to values and back, nothing decided."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TYPE_CHECKING

import grpc

from services.diarize.engine import Diarization, Diarizer, SpeakerBounds, Turn
from services.runtime import metrics
from services.runtime.admission import Admission
from services.runtime.lifecycle import Loading
from services.runtime.recording import Recording, receive_audio, receive_config
from services.runtime.spans import to_duration, to_progress, to_span
from services.runtime.worker import Work, stream_from_thread
from speechmesh.diarize.v1 import diarize_pb2, diarize_pb2_grpc

if TYPE_CHECKING:
    DiarizeContext = grpc.aio.ServicerContext[diarize_pb2.DiarizeRequest, diarize_pb2.DiarizeResponse]

PROGRESS_SECONDS = 0.25
"""Least time between two messages of progress."""


class DiarizeServicer(diarize_pb2_grpc.DiarizeServiceServicer):
    """Serves `DiarizeService`.

    Args:
        diarizer: the loaded model, once it is.
        admission: how many requests are taken; one runs at a time.
        max_audio_seconds: longest recording that is taken.
    """

    def __init__(self, diarizer: Loading[Diarizer], admission: Admission, max_audio_seconds: float) -> None:
        self._diarizer = diarizer
        self._admission = admission
        self._max_audio_seconds = max_audio_seconds

    async def Diarize(
        self, request_iterator: AsyncIterator[diarize_pb2.DiarizeRequest], context: DiarizeContext
    ) -> AsyncIterator[diarize_pb2.DiarizeResponse]:
        """Diarize a recording that is sent in parts."""
        diarizer = self._diarizer.get()
        with self._admission.place():
            bounds = _to_bounds(await receive_config(request_iterator))
            recording = Recording()
            async for chunk in receive_audio(request_iterator, self._max_audio_seconds):
                recording.append(chunk)
            async with self._admission.slot():
                responses = _run(diarizer, recording, bounds)
                async with contextlib.aclosing(responses):
                    async for response in responses:
                        yield response
            metrics.AUDIO_SECONDS.labels("diarize").inc(recording.seconds)


def _to_bounds(config: diarize_pb2.DiarizationConfig) -> SpeakerBounds:
    return SpeakerBounds(config.speaker_count, config.min_speaker_count, config.max_speaker_count)


def _run(
    diarizer: Diarizer, recording: Recording, bounds: SpeakerBounds
) -> AsyncGenerator[diarize_pb2.DiarizeResponse, None]:
    duration = recording.seconds

    def run(work: Work[diarize_pb2.DiarizeResponse]) -> None:
        def emit_progress(ratio: float) -> None:
            work.emit(diarize_pb2.DiarizeResponse(progress=to_progress(ratio * duration, ratio)))

        result = diarizer.diarize(recording.samples(), bounds, throttled(emit_progress), work.cancelled)
        answer = _to_diarization(result, diarizer.model, duration)
        work.emit(diarize_pb2.DiarizeResponse(diarization=answer))

    return stream_from_thread(run)


def throttled(emit: Callable[[float], None], clock: Callable[[], float] = time.monotonic) -> Callable[[float], None]:
    """Return a callback for progress that passes on the first, the last (1), and few in between."""
    due = clock()

    def progress(ratio: float) -> None:
        nonlocal due
        now = clock()
        if now >= due or ratio >= 1:
            due = now + PROGRESS_SECONDS
            emit(ratio)

    return progress


def _to_diarization(result: Diarization, model: str, duration: float) -> diarize_pb2.Diarization:
    return diarize_pb2.Diarization(
        turns=[_to_turn(turn) for turn in result.turns],
        exclusive_turns=[_to_turn(turn) for turn in result.exclusive_turns],
        model=model,
        audio_duration=to_duration(duration),
    )


def _to_turn(turn: Turn) -> diarize_pb2.Turn:
    return diarize_pb2.Turn(span=to_span(turn.start, turn.end), speaker_index=turn.speaker)
