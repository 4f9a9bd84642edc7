"""The whole mesh on loopback with engines that need no models."""

import asyncio
import contextlib
import io
import time
import wave
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import numpy as np
from aiohttp.test_utils import TestClient, TestServer
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from services.diarize.device import Device
from services.diarize.server import DiarizeServicer
from services.edge.app import make_app
from services.edge.config import EdgeSettings
from services.runtime.admission import Admission
from services.runtime.lifecycle import Loading
from services.runtime.spans import to_duration, to_progress, to_span
from speechmesh.asr.v1 import asr_pb2, asr_pb2_grpc
from speechmesh.diarize.v1 import diarize_pb2_grpc
from speechmesh.summarize.v1 import summarize_pb2_grpc
from tests.diarize.fake_engine import FakeDiarizer
from tests.edge.accounts import AUTH, new_database, plans_file
from tests.edge.fake_summarize import FakeSummarize
from tests.loopback import serving


class FakeAsr(asr_pb2_grpc.AsrServiceServicer):
    """Hears a word in every second, holds back a phrase at the end, and keeps what it was asked.

    Args:
        can_translate: whether its model can.
        failure: when given, how every request ends when its first audio comes.
        hold: whether every request waits for ever when its first audio comes.
        language: what it hears unless it is told.
        pause_seconds: how long it takes over every request when all has come.
    """

    def __init__(
        self,
        *,
        can_translate: bool = True,
        failure: Exception | None = None,
        hold: bool = False,
        language: str = "en",
        pause_seconds: float = 0.0,
    ) -> None:
        self._can_translate = can_translate
        self._failure = failure
        self._hold = hold
        self._language = language
        self._pause_seconds = pause_seconds
        self.configs: list[asr_pb2.RecognitionConfig] = []
        self.running = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def Recognize(self, request_iterator: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        config = (await anext(request_iterator)).config
        self.configs.append(config)
        language, probability = (config.language_code, 1.0) if config.language_code else (self._language, 0.9)
        seconds, heard = 0.0, 0
        async for request in request_iterator:
            await self._take_up()
            seconds += len(request.audio) / 32_000
            while heard < int(seconds):
                yield asr_pb2.RecognizeResponse(segment=_word_heard(heard, language, probability))
                heard += 1
        await asyncio.sleep(self._pause_seconds)
        yield asr_pb2.RecognizeResponse(progress=to_progress(seconds, 1.0))
        yield asr_pb2.RecognizeResponse(
            suppressed=asr_pb2.SuppressedText(
                span=to_span(max(seconds - 0.25, 0.0), seconds),
                text="Thanks for watching!",
                reason=asr_pb2.SuppressedText.REASON_STOCK_PHRASE,
            )
        )
        yield asr_pb2.RecognizeResponse(
            summary=asr_pb2.RecognitionSummary(
                model="base",
                language_code=language,
                language_probability=probability,
                audio_duration=to_duration(seconds),
                speech_duration=to_duration(heard),
            )
        )

    async def ListModels(self, request: Any, context: Any) -> Any:
        names = {"base": "Whisper Base", "large-v3-turbo": "large-v3-turbo"}
        languages = [asr_pb2.Language(code="en", name="english"), asr_pb2.Language(code="de", name="german")]
        models = [
            asr_pb2.Model(
                id=model, display_name=name, runs="base", languages=languages, can_translate=self._can_translate
            )
            for model, name in names.items()
        ]
        return asr_pb2.ListModelsResponse(models=models, device=asr_pb2.Device(kind=asr_pb2.Device.KIND_CPU))

    async def _take_up(self) -> None:
        self.running.set()
        if self._failure is not None:
            raise self._failure
        if self._hold:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise


@dataclass
class FakeMesh:
    """Three services on loopback and the edge in front of them."""

    asr: FakeAsr = field(default_factory=FakeAsr)
    diarizer: FakeDiarizer = field(default_factory=FakeDiarizer)
    summarize: FakeSummarize = field(default_factory=FakeSummarize)
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of the edge that differ from the defaults of the tests."""
    down: frozenset[str] = frozenset()
    """Names of the services that are not there."""
    plans: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What is changed of the plans that are named."""
    clock: Callable[[], float] = time.time
    """Tells the edge the time."""

    @contextlib.asynccontextmanager
    async def client(self, spool_dir: Path) -> AsyncIterator[TestClient[Any, Any]]:
        """Start everything; yield a client of the edge that sends no key."""
        async with contextlib.AsyncExitStack() as stack:
            targets = await stack.enter_async_context(self.served())
            own = {
                "spool_dir": spool_dir,
                "tier_wait_seconds": 0.3,
                "plans_file": plans_file(spool_dir, **self.plans),
                **({} if "database_url" in self.settings else {"database_url": await new_database(spool_dir)}),
            }
            app = await make_app(EdgeSettings(**{**own, **targets, **self.settings}), self.clock)
            server = TestServer(app, handler_cancellation=True)
            client = await stack.enter_async_context(TestClient(server))
            yield client

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[dict[str, str]]:
        """Start the services; yield the settings that tell an edge where they are."""
        async with contextlib.AsyncExitStack() as stack:
            yield {
                f"{name}_target": await stack.enter_async_context(serving(register, _healthy))
                if name not in self.down
                else "127.0.0.1:1"
                for name, register in self._services().items()
            }

    def _services(self) -> dict[str, Any]:
        device: Loading[Device] = Loading()
        device.set(Device(self.diarizer, workers=1))
        diarize = DiarizeServicer(device, Admission("diarize", 8, 8), max_audio_seconds=3600, buffer_seconds=600)
        return {
            "asr": lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(self.asr, server),
            "diarize": lambda server: diarize_pb2_grpc.add_DiarizeServiceServicer_to_server(diarize, server),
            "summarize": lambda server: summarize_pb2_grpc.add_SummarizeServiceServicer_to_server(
                self.summarize, server
            ),
        }


def _word_heard(second: int, language: str, language_probability: float) -> asr_pb2.Segment:
    span = to_span(second + 0.1, second + 0.9)
    word = asr_pb2.Word(span=span, text=f" word{second}.", probability=0.9)
    return asr_pb2.Segment(
        span=span,
        text=f"word{second}.",
        words=[word],
        confidence=0.9,
        average_log_probability=-0.1,
        no_speech_probability=0.01,
        compression_ratio=1.0,
        language_code=language,
        language_probability=language_probability,
    )


def _healthy(server: grpc.aio.Server) -> None:
    health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(), server)


def tone(seconds: float) -> bytes:
    """Return a WAV file of a tone in which two speakers take turns by the second."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        times = np.arange(int(seconds * 16_000))
        # The fake diarizer takes levels for voices: they change every second.
        loud = np.where(times // 16_000 % 2, 11_585, 5_793)
        file.writeframes((np.sin(times / 10) * loud).astype("<i2").tobytes())
    return buffer.getvalue()


def form(seconds: float = 3.0, **fields: str) -> aiohttp.FormData:
    """Return a form with a tone of `seconds`."""
    data = aiohttp.FormData()
    data.add_field("file", tone(seconds), filename="tone.wav", content_type="audio/wav")
    for name, value in fields.items():
        data.add_field(name, value)
    return data


async def post(tmp_path: Path, data: Any, mesh: FakeMesh | None = None, **kwargs: Any) -> tuple[int, Any, str, str]:
    """Return status, headers, content type and text of one transcription."""
    async with (mesh or FakeMesh()).client(tmp_path) as client:
        answer = await client.post("/v1/transcribe", data=data, headers={**AUTH, **kwargs.pop("headers", {})}, **kwargs)
        return answer.status, answer.headers, answer.content_type, await answer.text()


def spooled(folder: Path, pid: int | str = "self") -> list[str]:
    """Return the files of a spool that a process still holds open; they have no name, only a descriptor."""
    links = Path(f"/proc/{pid}/fd").iterdir()
    return [target for link in links if (target := _target(link)).startswith(str(folder))]


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
