"""The asr service alone, as a process of its own, and calls to it."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.cli.ports import free_ports
from services.models.folders import default_models_dir
from services.runtime.spans import to_seconds
from speechmesh.asr.v1 import asr_pb2, asr_pb2_grpc

_READY_SECONDS = 300.0
_STOP_SECONDS = 60.0
_CHUNK_BYTES = 256 * 1024
_ROOT = Path(__file__).resolve().parent.parent


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


@dataclass(frozen=True)
class AsrService:
    """A running service."""

    channel: Any
    process: int
    target: str
    """Its gRPC address."""

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

    def resident_bytes(self) -> int:
        """Return how much memory the process holds."""
        pages = int(Path(f"/proc/{self.process}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


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
    """Start `python -m services.asr`, wait until it serves, and stop it afterwards.

    Args:
        settings: its settings in lower case, such as `models="base"`.

    Raises:
        RuntimeError: it ended instead; its log is in the message.
    """
    listen, metrics = (f"127.0.0.1:{port}" for port in free_ports(2))
    environ = {
        **os.environ,
        "PYTHONPATH": f"{_ROOT}:{_ROOT / 'protos'}",
        "SPEECHMESH_MODELS_DIR": str(default_models_dir(os.environ)),
        "SPEECHMESH_ASR_LISTEN": listen,
        "SPEECHMESH_ASR_METRICS_LISTEN": metrics,
        **{f"SPEECHMESH_ASR_{name.upper()}": value for name, value in settings.items()},
    }
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
            [sys.executable, "-m", "services.asr"], cwd=_ROOT, env=environ, stdout=log, stderr=log
        )
        try:
            async with grpc.aio.insecure_channel(listen) as channel:
                await _wait_serving(channel, process, log)
                yield AsrService(channel, process.pid, listen)
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, _STOP_SECONDS)


async def _wait_serving(channel: Any, process: subprocess.Popen[bytes], log: Any) -> None:
    health: Any = health_pb2_grpc.HealthStub(channel)
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            log.seek(0)
            raise RuntimeError(f"asr ended with {process.returncode}:\n{log.read().decode()}")
        try:
            answer = await health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=5)
        except grpc.aio.AioRpcError:
            continue
        if answer.status == health_pb2.HealthCheckResponse.SERVING:
            return
        await asyncio.sleep(0.2)
    raise RuntimeError("asr did not become ready")
