"""The gRPC skin of asr: protobuf to values and back, nothing decided."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING

import grpc

from services.asr.device import Device
from services.asr.engine import Listener, Models, Recognition, Segment, Transcriber
from services.asr.languages import NAMES
from services.runtime import metrics
from services.runtime.admission import Admission
from services.runtime.lifecycle import Loading
from services.runtime.recording import Recording, receive_audio, receive_config
from services.runtime.spans import to_duration, to_progress, to_span
from services.runtime.worker import Work, stream_from_thread
from speechmesh.asr.v1 import asr_pb2, asr_pb2_grpc

if TYPE_CHECKING:
    RecognizeContext = grpc.aio.ServicerContext[asr_pb2.RecognizeRequest, asr_pb2.RecognizeResponse]
    ListModelsContext = grpc.aio.ServicerContext[asr_pb2.ListModelsRequest, asr_pb2.ListModelsResponse]

_DEVICE_KINDS = {"cpu": asr_pb2.Device.KIND_CPU, "cuda": asr_pb2.Device.KIND_CUDA}


class AsrServicer(asr_pb2_grpc.AsrServiceServicer):
    """Serves `AsrService`.

    Args:
        models: the loaded models, once they are.
        device: what they run on.
        admission: how many requests are taken and run at once.
        max_audio_seconds: longest recording that is taken.
    """

    def __init__(self, models: Loading[Models], device: Device, admission: Admission, max_audio_seconds: float) -> None:
        self._models = models
        self._device = device
        self._admission = admission
        self._max_audio_seconds = max_audio_seconds

    async def Recognize(
        self, request_iterator: AsyncIterator[asr_pb2.RecognizeRequest], context: RecognizeContext
    ) -> AsyncIterator[asr_pb2.RecognizeResponse]:
        """Recognize a recording that is sent in parts."""
        models = self._models.get()
        with self._admission.place():
            config: asr_pb2.RecognitionConfig = await receive_config(request_iterator)
            transcriber = models.find(config.model, config.language_code)
            recording = Recording(self._max_audio_seconds)
            await receive_audio(request_iterator, recording)
            async with self._admission.slot():
                responses = _run(transcriber, recording, config.language_code or None)
                async with contextlib.aclosing(responses):
                    async for response in responses:
                        yield response
            metrics.AUDIO_SECONDS.labels("asr").inc(recording.seconds)

    async def ListModels(
        self, request: asr_pb2.ListModelsRequest, context: ListModelsContext
    ) -> asr_pb2.ListModelsResponse:
        """List the served models and the device."""
        return asr_pb2.ListModelsResponse(
            models=[
                asr_pb2.Model(
                    id=served.id,
                    display_name=served.display_name,
                    runs=served.runs,
                    languages=[asr_pb2.Language(code=code, name=NAMES.get(code, code)) for code in served.languages],
                )
                for served in self._models.get().served()
            ],
            device=asr_pb2.Device(
                kind=_DEVICE_KINDS[self._device.kind],
                name=self._device.name,
                memory_mib=self._device.memory_mib,
            ),
        )


def _run(
    transcriber: Transcriber, recording: Recording, language: str | None
) -> AsyncGenerator[asr_pb2.RecognizeResponse, None]:
    duration = recording.seconds

    def run(work: Work[asr_pb2.RecognizeResponse]) -> None:
        listener = Listener(
            segment=lambda segment: work.emit(asr_pb2.RecognizeResponse(segment=_to_segment(segment))),
            progress=lambda done: work.emit(
                asr_pb2.RecognizeResponse(progress=to_progress(done, done / duration if duration else 1.0))
            ),
            cancelled=work.cancelled,
        )
        result = transcriber.transcribe(recording.samples(), language, listener)
        work.emit(asr_pb2.RecognizeResponse(summary=_to_summary(result, transcriber.model, duration)))

    return stream_from_thread(run)


def _to_segment(segment: Segment) -> asr_pb2.Segment:
    return asr_pb2.Segment(
        span=to_span(segment.start, segment.end),
        text=segment.text,
        words=[
            asr_pb2.Word(span=to_span(word.start, word.end), text=word.text, probability=word.probability)
            for word in segment.words
        ],
        confidence=segment.confidence,
        average_log_probability=segment.average_log_probability,
        no_speech_probability=segment.no_speech_probability,
        compression_ratio=segment.compression_ratio,
        language_code=segment.language,
    )


def _to_summary(result: Recognition, model: str, duration: float) -> asr_pb2.RecognitionSummary:
    return asr_pb2.RecognitionSummary(
        model=model,
        language_code=result.language,
        language_probability=result.language_probability,
        audio_duration=to_duration(duration),
        speech_duration=to_duration(result.speech_seconds),
    )
