"""The gRPC skin of asr: protobuf to values and back, nothing decided."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING

import grpc
import numpy as np

from services.asr.answers import Answers
from services.asr.device import Device
from services.asr.languages import NAMES
from services.asr.messages import to_options, to_responses, to_summary
from services.asr.streaming import stream
from services.asr.transcriber import Transcriber
from services.asr.workers import Transcription
from services.runtime import metrics
from services.runtime.admission import Admission
from services.runtime.lifecycle import Loading
from services.runtime.recording import receive_audio, receive_config
from services.runtime.spans import to_progress
from speechmesh.asr.v1 import asr_pb2, asr_pb2_grpc

if TYPE_CHECKING:
    RecognizeContext = grpc.aio.ServicerContext[asr_pb2.RecognizeRequest, asr_pb2.RecognizeResponse]
    StreamingContext = grpc.aio.ServicerContext[asr_pb2.StreamingRecognizeRequest, asr_pb2.StreamingRecognizeResponse]
    ListModelsContext = grpc.aio.ServicerContext[asr_pb2.ListModelsRequest, asr_pb2.ListModelsResponse]

_PROGRESS_STEP_SECONDS = 1.0
_DEVICE_KINDS = {"cpu": asr_pb2.Device.KIND_CPU, "cuda": asr_pb2.Device.KIND_CUDA}


class AsrServicer(asr_pb2_grpc.AsrServiceServicer):
    """Serves `AsrService`.

    Args:
        transcriber: the loaded models and their workers, once they are.
        device: what they run on.
        admission: how many requests are taken at once.
        streams: how many live streams are.
        ears: where incoming audio is listened to for voice activity, which takes a thread some milliseconds.
        max_audio_seconds: longest recording that is taken.
        buffer_seconds: audio that a request may be ahead of its recognition.
    """

    def __init__(
        self,
        transcriber: Loading[Transcriber],
        device: Device,
        admission: Admission,
        streams: Admission,
        ears: Executor,
        *,
        max_audio_seconds: float,
        buffer_seconds: float,
    ) -> None:
        self._transcriber = transcriber
        self._device = device
        self._admission = admission
        self._streams = streams
        self._draining = asyncio.Event()
        self._ears = ears
        self._max_audio_seconds = max_audio_seconds
        self._buffer_seconds = buffer_seconds

    async def Recognize(
        self, request_iterator: AsyncIterator[asr_pb2.RecognizeRequest], context: RecognizeContext
    ) -> AsyncIterator[asr_pb2.RecognizeResponse]:
        """Recognize a recording while it is sent in parts."""
        transcriber = self._transcriber.get()
        with self._admission.place():
            config: asr_pb2.RecognitionConfig = await receive_config(request_iterator)
            answers = Answers(partial(to_responses, omit_words=config.omit_words), _Progress().messages)
            transcription = transcriber.open(
                config.model,
                to_options(config),
                answers.listener,
                caller=config.caller,
                seconds_left=_seconds_left(context),
            )
            feeding = asyncio.create_task(self._feed(request_iterator, transcription, answers))
            try:
                async with contextlib.aclosing(answers.until_the_end(feeding)) as messages:
                    async for message in messages:
                        yield message
                yield asr_pb2.RecognizeResponse(summary=to_summary(transcription.session))
                metrics.AUDIO_SECONDS.labels("asr").inc(transcription.session.received_seconds)
            finally:
                transcription.cancel()
                feeding.cancel()

    async def _feed(
        self,
        requests: AsyncIterator[asr_pb2.RecognizeRequest],
        transcription: Transcription,
        answers: Answers[asr_pb2.RecognizeResponse],
    ) -> None:
        loop = asyncio.get_running_loop()
        async for chunk in receive_audio(requests, self._max_audio_seconds):
            pcm = np.frombuffer(chunk, dtype="<i2")
            await loop.run_in_executor(self._ears, transcription.feed, pcm)
            # Not reading is what holds the sender.
            await answers.wait_for_progress(transcription.session.received_seconds - self._buffer_seconds)
        await loop.run_in_executor(self._ears, transcription.finish)

    async def StreamingRecognize(
        self, request_iterator: AsyncIterator[asr_pb2.StreamingRecognizeRequest], context: StreamingContext
    ) -> AsyncIterator[asr_pb2.StreamingRecognizeResponse]:
        """Recognize speech while it is spoken."""
        transcriber = self._transcriber.get()
        with self._streams.place():
            responses = stream(transcriber, request_iterator, self._ears, self._draining)
            async with contextlib.aclosing(responses):
                async for response in responses:
                    yield response

    def drain(self) -> None:
        """Send the live streams elsewhere: this process is about to stop."""
        self._draining.set()

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
                    can_translate=served.can_translate,
                )
                for served in self._transcriber.get().models.served()
            ],
            device=asr_pb2.Device(
                kind=_DEVICE_KINDS[self._device.kind],
                name=self._device.name,
                memory_mib=self._device.memory_mib,
            ),
        )


class _Progress:
    """Tells how far a recording has come, not too often."""

    def __init__(self) -> None:
        self._told = 0.0

    def messages(self, done: float, total: float | None) -> list[asr_pb2.RecognizeResponse]:
        if not (done >= self._told + _PROGRESS_STEP_SECONDS or (done > self._told and done == total)):
            return []
        self._told = done
        return [asr_pb2.RecognizeResponse(progress=to_progress(done, done / total if total else 0.0))]


def _seconds_left(context: RecognizeContext) -> float:
    left: float | None = context.time_remaining()
    return math.inf if left is None else left
