"""The whole mesh on loopback with engines that need no models."""

import contextlib
import io
import threading
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import numpy as np
from aiohttp.test_utils import TestClient, TestServer
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from services.asr.device import Device
from services.asr.engine import Models
from services.asr.server import AsrServicer
from services.diarize.server import DiarizeServicer
from services.edge.app import make_app
from services.edge.config import EdgeSettings
from services.edge.keys import KeyRing
from services.runtime.admission import Admission
from services.runtime.lifecycle import Loading
from services.summarize.server import SummarizeServicer
from speechmesh.asr.v1 import asr_pb2_grpc
from speechmesh.diarize.v1 import diarize_pb2_grpc
from speechmesh.summarize.v1 import summarize_pb2_grpc
from tests.asr.fake_engine import FakeTranscriber
from tests.diarize.fake_engine import FakeDiarizer
from tests.loopback import serving
from tests.summarize.fake_engine import FakeSummarizer

KEY = "sk-of-the-tests"
AUTH = {"Authorization": f"Bearer {KEY}"}


@dataclass
class FakeMesh:
    """Three services on loopback and the edge in front of them."""

    transcriber: FakeTranscriber = field(default_factory=lambda: FakeTranscriber("base"))
    diarizer: FakeDiarizer = field(default_factory=FakeDiarizer)
    summarizer: FakeSummarizer = field(default_factory=FakeSummarizer)
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of the edge that differ from the defaults of the tests."""
    down: frozenset[str] = frozenset()
    """Names of the services that are not there."""

    @contextlib.asynccontextmanager
    async def client(self, spool_dir: Path) -> AsyncIterator[TestClient[Any, Any]]:
        """Start everything; yield a client of the edge that sends no key."""
        async with contextlib.AsyncExitStack() as stack:
            targets = {
                f"{name}_target": await stack.enter_async_context(serving(register, _healthy))
                if name not in self.down
                else "127.0.0.1:1"
                for name, register in self._services().items()
            }
            settings = EdgeSettings(**{"spool_dir": spool_dir, "tier_wait_seconds": 0.3, **targets, **self.settings})
            app = await make_app(settings, KeyRing([KEY], allow_anonymous=settings.allow_anonymous))
            server = TestServer(app, handler_cancellation=True)
            client = await stack.enter_async_context(TestClient(server))
            yield client

    def _services(self) -> dict[str, Any]:
        models: Loading[Models] = Loading()
        models.set(Models({"base": self.transcriber}, {"large-v3-turbo": "base"}, {"base": "Whisper Base"}))
        diarizer: Loading[Any] = Loading()
        diarizer.set(self.diarizer)
        summarizer: Loading[Any] = Loading()
        summarizer.set(self.summarizer)
        asr = AsrServicer(models, Device("cpu"), Admission("asr", 8, 4), 3600)
        diarize = DiarizeServicer(diarizer, Admission("diarize", 8, 1), 3600)
        summarize = SummarizeServicer(summarizer, Admission("summarize", 8, 1))
        return {
            "asr": lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(asr, server),
            "diarize": lambda server: diarize_pb2_grpc.add_DiarizeServiceServicer_to_server(diarize, server),
            "summarize": lambda server: summarize_pb2_grpc.add_SummarizeServiceServicer_to_server(summarize, server),
        }


def _healthy(server: grpc.aio.Server) -> None:
    health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(), server)


def held() -> tuple[FakeTranscriber, threading.Event]:
    """Return a transcriber that waits, and what lets it go on."""
    hold = threading.Event()
    return FakeTranscriber("base", hold=hold), hold


def tone(seconds: float) -> bytes:
    """Return a WAV file of a tone."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.sin(np.arange(int(seconds * 16_000)) / 10) * 8000).astype("<i2").tobytes())
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
