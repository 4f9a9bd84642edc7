"""The gRPC skin of asr: protobuf to values and back, nothing decided."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from typing import TYPE_CHECKING

import grpc
import numpy as np

from services.asr.device import Device
from services.asr.engine import Task
from services.asr.languages import NAMES
from services.asr.options import DEFAULT_BEAM, RecognitionOptions, check_caller
from services.asr.session import Output
from services.asr.transcriber import Transcriber
from services.asr.transcript import Reason, Recognition, Segment, Suppressed
from services.asr.workers import Listener, Transcription
from services.runtime import metrics
from services.runtime.admission import Admission
from services.runtime.errors import invalid_field
from services.runtime.lifecycle import Loading
from services.runtime.recording import receive_audio, receive_config
from services.runtime.spans import to_duration, to_progress, to_span
from speechmesh.asr.v1 import asr_pb2, asr_pb2_grpc

if TYPE_CHECKING:
    RecognizeContext = grpc.aio.ServicerContext[asr_pb2.RecognizeRequest, asr_pb2.RecognizeResponse]
    ListModelsContext = grpc.aio.ServicerContext[asr_pb2.ListModelsRequest, asr_pb2.ListModelsResponse]

_PROGRESS_STEP_SECONDS = 1.0
_DEVICE_KINDS = {"cpu": asr_pb2.Device.KIND_CPU, "cuda": asr_pb2.Device.KIND_CUDA}
_TASKS: dict[int, Task] = {
    asr_pb2.TASK_UNSPECIFIED: Task.TRANSCRIBE,
    asr_pb2.TASK_TRANSCRIBE: Task.TRANSCRIBE,
    asr_pb2.TASK_TRANSLATE: Task.TRANSLATE,
}
_REASONS = {
    Reason.NO_SPEECH: asr_pb2.SuppressedText.REASON_NO_SPEECH,
    Reason.OUTSIDE_SPEECH: asr_pb2.SuppressedText.REASON_OUTSIDE_SPEECH,
    Reason.REPETITION: asr_pb2.SuppressedText.REASON_REPETITION,
    Reason.STOCK_PHRASE: asr_pb2.SuppressedText.REASON_STOCK_PHRASE,
}


class AsrServicer(asr_pb2_grpc.AsrServiceServicer):
    """Serves `AsrService`.

    Args:
        transcriber: the loaded models and their workers, once they are.
        device: what they run on.
        admission: how many requests are taken at once.
        ears: where incoming audio is listened to for voice activity, which takes a thread some milliseconds.
        max_audio_seconds: longest recording that is taken.
        buffer_seconds: audio that a request may be ahead of its recognition.
    """

    def __init__(
        self,
        transcriber: Loading[Transcriber],
        device: Device,
        admission: Admission,
        ears: Executor,
        *,
        max_audio_seconds: float,
        buffer_seconds: float,
    ) -> None:
        self._transcriber = transcriber
        self._device = device
        self._admission = admission
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
            answers = _Answers(asyncio.get_running_loop(), omit_words=config.omit_words)
            transcription = transcriber.open(
                config.model,
                _to_options(config),
                answers.listener,
                caller=check_caller(config.caller),
                seconds_left=_seconds_left(context),
            )
            feeding = asyncio.create_task(self._feed(request_iterator, transcription, answers))
            try:
                async for answer in answers.until_the_end(feeding):
                    yield answer
                session = transcription.session
                yield _to_summary(session.summary(), session.engine.model, session.received_seconds)
                metrics.AUDIO_SECONDS.labels("asr").inc(session.received_seconds)
            finally:
                transcription.cancel()
                feeding.cancel()

    async def _feed(
        self,
        requests: AsyncIterator[asr_pb2.RecognizeRequest],
        transcription: Transcription,
        answers: _Answers,
    ) -> None:
        loop = asyncio.get_running_loop()
        async for chunk in receive_audio(requests, self._max_audio_seconds):
            pcm = np.frombuffer(chunk, dtype="<i2")
            await loop.run_in_executor(self._ears, transcription.feed, pcm)
            # Not reading is what holds the sender.
            await answers.wait_for_progress(transcription.session.received_seconds - self._buffer_seconds)
        await loop.run_in_executor(self._ears, transcription.finish)

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


class _Answers:
    """What the workers' threads report, as messages for the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, omit_words: bool) -> None:
        self._loop = loop
        self._omit_words = omit_words
        self._queue: asyncio.Queue[asr_pb2.RecognizeResponse | None] = asyncio.Queue()
        self._error: BaseException | None = None
        self._done = 0.0
        self._told = 0.0
        self._progressed = asyncio.Event()
        later = loop.call_soon_threadsafe
        self.listener = Listener(
            output=lambda output: _ignore(later(self._put_output, output)),
            progress=lambda done, total: _ignore(later(self._put_progress, done, total)),
            ended=lambda error: _ignore(later(self._put_end, error)),
        )

    async def until_the_end(self, feeding: asyncio.Task[None]) -> AsyncIterator[asr_pb2.RecognizeResponse]:
        """Yield the messages in order; raise what ended the feeding or the transcription."""
        # When the audio ends in an error, no end of the transcription will come.
        feeding.add_done_callback(lambda task: self._fed(task))
        while (answer := await self._queue.get()) is not None:
            yield answer
        if self._error is not None:
            raise self._error

    async def wait_for_progress(self, seconds: float) -> None:
        """Wait until so much of the recording is done with, or nothing more will be."""
        while self._done < seconds and self._error is None:
            self._progressed.clear()
            await self._progressed.wait()

    def _put_output(self, output: Output) -> None:
        for segment in output.segments:
            self._queue.put_nowait(asr_pb2.RecognizeResponse(segment=_to_segment(segment, omit_words=self._omit_words)))
        for suppressed in output.suppressed:
            self._queue.put_nowait(asr_pb2.RecognizeResponse(suppressed=_to_suppressed(suppressed)))

    def _put_progress(self, done: float, total: float | None) -> None:
        self._done = done
        self._progressed.set()
        if done >= self._told + _PROGRESS_STEP_SECONDS or (done > self._told and done == total):
            self._told = done
            progress = to_progress(done, done / total if total else 0.0)
            self._queue.put_nowait(asr_pb2.RecognizeResponse(progress=progress))

    def _put_end(self, error: BaseException | None) -> None:
        self._error = self._error or error
        self._queue.put_nowait(None)
        self._progressed.set()

    def _fed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._put_end(error)


def _ignore(handle: object) -> None:
    """Take the handle of a scheduled call, which nobody wants."""


def _seconds_left(context: RecognizeContext) -> float:
    left: float | None = context.time_remaining()
    return math.inf if left is None else left


def _to_options(config: asr_pb2.RecognitionConfig) -> RecognitionOptions:
    return RecognitionOptions(
        language=config.language_code or None,
        task=_to_task(config.task),
        initial_prompt=config.initial_prompt,
        hint_phrases=tuple(config.hint_phrases),
        beam_size=config.beam_size or DEFAULT_BEAM,
    )


def _to_task(task: int) -> Task:
    if task not in _TASKS:
        raise invalid_field("task", "The task must be TASK_TRANSCRIBE or TASK_TRANSLATE.")
    return _TASKS[task]


def _to_segment(segment: Segment, *, omit_words: bool) -> asr_pb2.Segment:
    evidence = segment.evidence
    words = () if omit_words else segment.words
    return asr_pb2.Segment(
        span=to_span(segment.start, segment.end),
        text=segment.text,
        words=[
            asr_pb2.Word(span=to_span(word.start, word.end), text=word.text, probability=word.probability)
            for word in words
        ],
        confidence=segment.confidence,
        average_log_probability=evidence.average_log_probability,
        no_speech_probability=evidence.no_speech_probability,
        compression_ratio=evidence.compression_ratio,
        language_code=evidence.language,
        language_probability=evidence.language_probability,
    )


def _to_suppressed(suppressed: Suppressed) -> asr_pb2.SuppressedText:
    return asr_pb2.SuppressedText(
        span=to_span(suppressed.start, suppressed.end), text=suppressed.text, reason=_REASONS[suppressed.reason]
    )


def _to_summary(recognition: Recognition, model: str, duration: float) -> asr_pb2.RecognizeResponse:
    return asr_pb2.RecognizeResponse(
        summary=asr_pb2.RecognitionSummary(
            model=model,
            language_code=recognition.language,
            language_probability=recognition.language_probability,
            audio_duration=to_duration(duration),
            speech_duration=to_duration(recognition.speech_seconds),
        )
    )
