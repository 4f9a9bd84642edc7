"""The asr service alone, as a process of its own, and calls to it."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.service_process import ServiceProcess, running
from services.runtime.spans import to_seconds
from speechmesh.asr.v1 import asr_pb2, asr_pb2_grpc

_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class Word:
    """One recognized word, or all words of a segment."""

    text: str
    start: float
    """Seconds."""
    end: float


@dataclass(frozen=True)
class Answer:
    """What the service made of a recording."""

    text: str
    segments: tuple[Word, ...]
    words: tuple[Word, ...]
    languages: tuple[str, ...]
    """Of its segments."""
    suppressed: tuple[tuple[str, str], ...]
    """Texts that were held back, with their reasons."""
    seconds: float
    """From the call to its end."""
    first_seconds: float | None
    """From the call to the first segment."""
    raw: tuple[bytes, ...]
    """Segments and suppressed texts as they came, to compare answers to the bit."""


class AsrService(ServiceProcess):
    """A running service."""

    async def recognize(self, pcm: bytes, **config: Any) -> Answer:
        """Send 16 kHz mono s16 PCM as fast as it is taken; `config` are fields of RecognitionConfig."""

        async def requests() -> AsyncIterator[asr_pb2.RecognizeRequest]:
            yield asr_pb2.RecognizeRequest(config=asr_pb2.RecognitionConfig(**config))
            for start in range(0, len(pcm), _CHUNK_BYTES):
                yield asr_pb2.RecognizeRequest(audio=pcm[start : start + _CHUNK_BYTES])

        stub: Any = asr_pb2_grpc.AsrServiceStub(self.channel)
        began = time.monotonic()
        first: float | None = None
        events: list[asr_pb2.RecognizeResponse] = []
        async for event in stub.Recognize(requests()):
            if event.HasField("segment") and first is None:
                first = time.monotonic() - began
            events.append(event)
        return _answer(events, time.monotonic() - began, first)


def _answer(events: Sequence[asr_pb2.RecognizeResponse], seconds: float, first: float | None) -> Answer:
    segments = [event.segment for event in events if event.HasField("segment")]
    held = [event.suppressed for event in events if event.HasField("suppressed")]
    return Answer(
        " ".join(segment.text for segment in segments),
        tuple(map(_timed, segments)),
        tuple(_timed(word) for segment in segments for word in segment.words),
        tuple(segment.language_code for segment in segments),
        tuple((text.text, asr_pb2.SuppressedText.Reason.Name(text.reason)) for text in held),
        seconds,
        first,
        tuple(part.SerializeToString(deterministic=True) for part in (*segments, *held)),
    )


def _timed(part: Any) -> Word:
    return Word(part.text, to_seconds(part.span.start_offset), to_seconds(part.span.end_offset))


@asynccontextmanager
async def running_asr(**settings: str) -> AsyncIterator[AsrService]:
    """Run the service with these settings; see `service_process.running`."""
    async with running("asr", **settings) as service:
        yield AsrService(service.channel, service.process, service.target, service.metrics)
