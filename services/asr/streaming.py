"""One live stream over gRPC: what comes in goes to the transcription, what it tells goes out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import Executor
from functools import partial

import numpy as np

from services.asr.answers import Answers
from services.asr.live import LiveSession
from services.asr.messages import to_options, to_stream_responses, to_summary
from services.asr.resume import from_token
from services.asr.transcriber import Transcriber
from services.asr.workers import Transcription
from services.runtime import metrics
from services.runtime.errors import invalid_field
from services.runtime.recording import check_chunk, receive_config
from speechmesh.asr.v1 import asr_pb2

BUFFER_SECONDS = 30.0
"""Audio that a stream may be ahead of its recognition; then flow control holds its sender. Less than the longest
utterance would hold it for ever."""

_MOST_UNREAD = 1000
"""Messages that may wait for their reader; then he is sent no more until he has read."""

Requests = AsyncIterator[asr_pb2.StreamingRecognizeRequest]
Response = asr_pb2.StreamingRecognizeResponse

_FLUSH = asr_pb2.StreamingRecognizeRequest.CONTROL_FLUSH
_END = asr_pb2.StreamingRecognizeRequest.CONTROL_END_OF_AUDIO


async def stream(
    transcriber: Transcriber, requests: Requests, ears: Executor, draining: asyncio.Event
) -> AsyncGenerator[Response, None]:
    """Yield what is recognized in a stream of requests.

    Args:
        transcriber: recognizes it.
        requests: config, then audio and control.
        ears: where it is listened to for voice activity.
        draining: set when streams are to go elsewhere.

    Raises:
        MeshError: a message is malformed, or the options are not to be had.
    """
    config: asr_pb2.StreamingRecognitionConfig = await receive_config(requests)
    answers = Answers(partial(to_stream_responses, omit_words=config.recognition.omit_words))
    transcription = _open(transcriber, config, answers)
    yield Response(started=asr_pb2.StreamStarted(model=transcription.session.engine.model))
    feeding = asyncio.create_task(_feed(requests, transcription, answers, ears))
    leaving = asyncio.create_task(_leave(answers, draining))
    token = config.resume_token
    try:
        async with contextlib.aclosing(answers.until_the_end(feeding)) as messages:
            async for message in messages:
                token = message.position.resume_token or token
                yield message
        if answers.left:
            yield Response(go_away=asr_pb2.GoAway(resume_token=token))
        else:
            yield Response(summary=to_summary(transcription.session))
    finally:
        metrics.AUDIO_SECONDS.labels("asr").inc(_heard_seconds(transcription))
        transcription.cancel()
        feeding.cancel()
        leaving.cancel()


def _open(
    transcriber: Transcriber, config: asr_pb2.StreamingRecognitionConfig, answers: Answers[Response]
) -> Transcription:
    recognition = config.recognition
    return transcriber.open_stream(
        recognition.model,
        to_options(recognition),
        answers.listener,
        caller=recognition.caller,
        interims=not config.omit_interims,
        point=from_token(config.resume_token) if config.resume_token else None,
    )


def _heard_seconds(transcription: Transcription) -> float:
    assert isinstance(transcription.session, LiveSession)
    return max(0.0, transcription.session.heard_seconds)


async def _leave(answers: Answers[Response], draining: asyncio.Event) -> None:
    await draining.wait()
    answers.leave()


async def _feed(requests: Requests, transcription: Transcription, answers: Answers[Response], ears: Executor) -> None:
    loop = asyncio.get_running_loop()
    async for request in requests:
        match request.WhichOneof("request"):
            case "audio":
                pcm = np.frombuffer(check_chunk(request.audio), dtype="<i2")
                await loop.run_in_executor(ears, transcription.feed, pcm)
                # Not reading is what holds the sender.
                await answers.wait_for_progress(transcription.session.received_seconds - BUFFER_SECONDS)
                await answers.wait_for_reader(_MOST_UNREAD)
            case "control" if request.control == _FLUSH:
                await loop.run_in_executor(ears, transcription.flush)
            case "control" if request.control == _END:
                break
            case _:
                raise invalid_field("request", "After the first message, every message carries `audio` or `control`.")
    await loop.run_in_executor(ears, transcription.finish)
