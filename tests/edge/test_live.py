"""WS /v1/stream through real sockets: the edge, before asr services whose engine needs no model."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import numpy as np
import pytest
from aiohttp import WSMsgType
from aiohttp.test_utils import TestClient, TestServer
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from services.asr.server import AsrServicer
from services.edge.app import make_app
from services.edge.config import EdgeSettings
from services.edge.stream_protocol import MAX_FRAME_BYTES
from services.runtime.interceptors import CallInterceptor
from speechmesh.asr.v1 import asr_pb2_grpc
from tests.asr.fake_engine import FakeEngine, tone
from tests.asr.fake_service import make_servicer
from tests.asr.test_live import captions
from tests.edge.accounts import AUTH, KEY, new_database

TALK = tone((1, 0), (2.2, 9000), (0.9, 0), (4.1, 9000), (1.2, 0), (3.3, 9000), (1, 0)).tobytes()
WORDS = captions(np.frombuffer(TALK, "<i2")).text
"""What an undisturbed stream hears in it."""
SHORT = tone((2.1, 9000)).tobytes()
SHORT_WORDS = captions(np.frombuffer(SHORT, "<i2")).text


class Asr:
    """An asr service that can be killed, drained and started again at the same address."""

    def __init__(self, engine: FakeEngine | None = None, places: int = 64) -> None:
        self.address = ""
        self.servicer: AsrServicer | None = None
        self._engine = engine or FakeEngine()
        self._places = places
        self._server: grpc.aio.Server | None = None
        self._health = HealthServicer()
        self._ears = ThreadPoolExecutor(2)

    async def start(self) -> None:
        self._server = grpc.aio.server(interceptors=[CallInterceptor()])
        self.servicer = make_servicer(self._engine, self._ears, places=self._places)
        asr_pb2_grpc.add_AsrServiceServicer_to_server(self.servicer, self._server)
        self._health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        port = self._server.add_insecure_port(self.address or "127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        await self._server.start()

    async def kill(self) -> None:
        assert self._server is not None
        await self._server.stop(0)

    async def leave(self) -> None:
        """Stop as `runtime.lifecycle` does."""
        assert self._server is not None
        assert self.servicer is not None
        self.servicer.drain()
        await self._health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.stop(10)


@contextlib.asynccontextmanager
async def edge(*asrs: Asr, spool: Path, **settings: Any) -> AsyncIterator[TestClient[Any, Any]]:
    for asr in asrs:
        await asr.start()
    target = "ipv4:" + ",".join(asr.address for asr in asrs) if asrs else "127.0.0.1:1"
    given = EdgeSettings(
        **{
            "spool_dir": spool,
            "asr_target": target,
            "diarize_target": "127.0.0.1:1",
            "summarize_target": "127.0.0.1:1",
            "tier_wait_seconds": 2,
            **({} if "database_url" in settings else {"database_url": await new_database(spool)}),
            **settings,
        }
    )
    app = await make_app(given)
    async with TestClient(TestServer(app, handler_cancellation=True)) as client:
        yield client
    for asr in asrs:
        await asr.kill()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[TestClient[Any, Any]]:
    async with edge(Asr(), spool=tmp_path) as client:
        yield client


async def rest(socket: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
    """Return all messages up to the end."""
    return [json.loads(message.data) async for message in socket if message.type is WSMsgType.TEXT]


async def talk(socket: aiohttp.ClientWebSocketResponse, pcm: bytes = TALK, frame: int = 8192) -> None:
    for start in range(0, len(pcm), frame):
        await socket.send_bytes(pcm[start : start + frame])


async def spoken(socket: aiohttp.ClientWebSocketResponse, pcm: bytes, speed: float) -> None:
    """Send audio at `speed` times real time."""
    for start in range(0, len(pcm), 3200):
        await socket.send_bytes(pcm[start : start + 3200])
        await asyncio.sleep(0.1 / speed)


def text(messages: list[dict[str, Any]]) -> str:
    return " ".join(message["text"] for message in messages if message.get("text"))


async def test_the_documented_client(client: TestClient[Any, Any]) -> None:
    async with client.ws_connect("/v1/stream") as socket:
        await socket.send_json({"language": "en", "model": "alias"})
        ready = await socket.receive_json()
        await spoken(socket, TALK, 6)
        await socket.send_json({"action": "stop"})
        messages = await rest(socket)

    assert ready == {"text": "", "status": "ready", "type": "ready", "model": "fake", "seq": 1}
    assert text(messages) == messages[-1]["transcript"] == WORDS
    assert messages[-1]["is_final"]
    assert messages[-1]["final"]
    assert not any("is_final" in message or "final" in message for message in messages[:-1])
    assert [message["seq"] for message in messages] == list(range(2, len(messages) + 2))
    assert any(message.get("partial") for message in messages)
    assert socket.close_code == 1000


async def test_the_python_sdk_waits_for_nothing_and_ends_with_an_empty_frame(client: TestClient[Any, Any]) -> None:
    async with client.ws_connect(f"/v1/stream?model=fake&language=auto&token={KEY}") as socket:
        await talk(socket)
        await socket.send_bytes(b"")
        messages = await rest(socket)

    (final,) = [message for message in messages if message.get("final")]
    assert final["transcript"] == WORDS
    assert final["language"] == "en"
    assert socket.close_code == 1000


async def test_who_closes_still_gets_what_was_said(client: TestClient[Any, Any]) -> None:
    # A WebSocket client that has sent its close frame may read until ours comes.
    socket = await client.ws_connect("/v1/stream?language=en", autoclose=False)
    await talk(socket)
    await socket._writer.close(1000)
    messages = []
    while (message := await socket.receive()).type is WSMsgType.TEXT:
        messages.append(json.loads(message.data))

    assert messages[-1]["transcript"] == WORDS
    assert message.type is WSMsgType.CLOSE
    assert message.data == 1000
    await socket.close()


async def test_frames_may_be_of_any_size_and_come_as_fast_as_they_like(client: TestClient[Any, Any]) -> None:
    transcripts = []
    for frame in (320, 4096, 100_000, 1_000_000):
        async with client.ws_connect("/v1/stream?language=en", headers=AUTH) as socket:
            await talk(socket, frame=frame)
            await socket.send_bytes(b"")
            transcripts.append((await rest(socket))[-1]["transcript"])

    assert transcripts == [WORDS] * 4


async def test_a_flush_makes_final_what_was_said(client: TestClient[Any, Any]) -> None:
    async with client.ws_connect("/v1/stream?language=en") as socket:
        await talk(socket, tone((3.1, 9000)).tobytes())
        await socket.send_json({"action": "flush"})
        message = await socket.receive_json()
        while not message.get("text"):
            message = await socket.receive_json()

    assert message["text"].startswith("word0 word1 word2 word3 word4 word5")


@pytest.mark.parametrize(
    ("query", "config", "code", "field"),
    [
        ("?model=nope", None, 4400, "model"),
        ("?language=xx", None, 4400, "language"),
        ("", {"model": "nope"}, 4400, "model"),
        ("", {"diarize": True}, 4400, "diarize"),
        ("?token=wrong", None, 4401, None),
        ("?token=", None, 4401, None),
    ],
)
async def test_what_is_not_to_be_had_is_told(
    client: TestClient[Any, Any], query: str, config: dict[str, Any] | None, code: int, field: str | None
) -> None:
    async with client.ws_connect(f"/v1/stream{query}") as socket:
        if config is not None:
            await socket.send_json(config)
        (message,) = await rest(socket)

    assert message["type"] == "error"
    assert message.get("field") == field
    assert socket.close_code == code


@pytest.mark.parametrize(
    ("frame", "code"),
    [(b"odd", "odd_byte_count"), (bytes(5 * MAX_FRAME_BYTES), "frame_too_large")],
    ids=["odd", "large"],
)
async def test_a_bad_frame_is_told_after_the_finals(client: TestClient[Any, Any], frame: bytes, code: str) -> None:
    async with client.ws_connect("/v1/stream?language=en") as socket:
        await talk(socket)
        await socket.send_bytes(frame)
        messages = await rest(socket)

    assert text(messages) == WORDS
    assert messages[-1]["code"] == code
    assert socket.close_code == 4400


async def test_audio_in_a_text_frame_is_told_after_the_finals(client: TestClient[Any, Any]) -> None:
    async with client.ws_connect("/v1/stream?language=en") as socket:
        await talk(socket)
        await socket._writer.send_frame(bytes(range(256)), WSMsgType.TEXT)
        messages = await rest(socket)

    assert text(messages) == WORDS
    assert messages[-1]["code"] == "invalid_message"
    assert socket.close_code == 4400


async def test_frames_that_are_as_large_as_films_are_not_read(client: TestClient[Any, Any]) -> None:
    async with client.ws_connect("/v1/stream?language=en") as socket:
        with contextlib.suppress(ConnectionError):
            await socket.send_bytes(bytes(17 * MAX_FRAME_BYTES))
        await rest(socket)

    # What we say of it may be lost: the client is still sending when the connection ends.
    assert socket.close_code in {1009, 1006}


async def test_a_client_that_sends_nothing_is_closed_after_its_finals(tmp_path: Path) -> None:
    async with (
        edge(Asr(), spool=tmp_path, stream_idle_seconds=0.5) as client,
        client.ws_connect("/v1/stream?language=en") as socket,
    ):
        await talk(socket, SHORT)
        messages = await rest(socket)

    assert text(messages) == SHORT_WORDS
    assert messages[-1]["code"] == "idle"
    assert socket.close_code == 4408


async def test_a_stopping_edge_sends_all_finals_first(tmp_path: Path) -> None:
    async with edge(Asr(), spool=tmp_path) as client, client.ws_connect("/v1/stream?language=en") as socket:
        await talk(socket, SHORT)
        assert (await socket.receive_json())["status"] == "ready"
        await asyncio.sleep(0.3)
        await client.app.shutdown()
        messages = await rest(socket)

    assert text(messages) == SHORT_WORDS
    assert messages[-1]["code"] == "draining"
    assert socket.close_code == 1013


async def test_a_stopping_edge_does_not_wait_for_an_asr_that_is_away(tmp_path: Path) -> None:
    asr = Asr()
    async with (
        edge(asr, spool=tmp_path, drain_seconds=0.5) as client,
        client.ws_connect("/v1/stream?language=en") as socket,
    ):
        await talk(socket, TALK[: 4 * 32_000])
        while not (first := await socket.receive_json()).get("text"):
            pass
        await asr.kill()
        await client.app.shutdown()
        messages = await rest(socket)

    assert (messages[-1]["code"], messages[-1]["transcript"]) == ("draining", first["text"])
    assert socket.close_code == 1013


async def test_a_wrong_option_has_the_name_it_has_here(client: TestClient[Any, Any]) -> None:
    async with client.ws_connect("/v1/stream?language=en") as socket:
        await socket.send_json({"language": "en", "prompt": "so " * 500})
        (message,) = await rest(socket)

    assert message["field"] == "prompt"


async def test_without_asr_a_stream_is_told_to_come_back(tmp_path: Path) -> None:
    async with (
        edge(spool=tmp_path, tier_wait_seconds=0.2) as client,
        client.ws_connect("/v1/stream?language=en") as socket,
    ):
        (message,) = await rest(socket)

    assert message["code"] == "asr_unavailable"
    assert message["retry_after"] > 0
    assert socket.close_code == 1013


async def test_one_stream_too_many_is_refused(tmp_path: Path) -> None:
    async with (
        edge(Asr(), spool=tmp_path, stream_limit=1) as client,
        client.ws_connect("/v1/stream?language=en") as first,
        client.ws_connect("/v1/stream") as second,
    ):
        (message,) = await rest(second)
        assert (await first.receive_json())["status"] == "ready"

    assert message["code"] == "queue_full"
    assert second.close_code == 4429


async def test_anonymous_streams_can_be_switched_off(tmp_path: Path) -> None:
    async with edge(Asr(), spool=tmp_path, allow_anonymous=False) as client:
        async with client.ws_connect("/v1/stream?language=en") as refused:
            await rest(refused)
        async with client.ws_connect(f"/v1/stream?language=en&token={KEY}") as taken:
            assert (await taken.receive_json())["status"] == "ready"

    assert refused.close_code == 4401


async def test_plain_http_is_refused(client: TestClient[Any, Any]) -> None:
    answer = await client.get("/v1/stream")

    assert answer.status == 400
    assert (await answer.json())["code"] == "websocket_expected"


@pytest.mark.parametrize("moment", [0.5, 1.0, 1.6])
async def test_a_stream_outlives_its_asr(tmp_path: Path, moment: float) -> None:
    asr = Asr()
    async with edge(asr, spool=tmp_path) as client, client.ws_connect("/v1/stream?language=en") as socket:
        sending = asyncio.create_task(spoken(socket, TALK, 6))
        await asyncio.sleep(moment)
        await asr.kill()
        await asyncio.sleep(0.3)
        await asr.start()
        await sending
        await socket.send_bytes(b"")
        messages = await rest(socket)

    assert text(messages) == messages[-1]["transcript"] == WORDS
    assert [message["status"] for message in messages if "status" in message] == ["ready"]
    assert messages[-1]["duration"] == pytest.approx(len(TALK) / 32_000, abs=0.001)


@pytest.mark.parametrize("moment", [0.5, 1.0, 1.6])
async def test_a_stream_moves_when_its_asr_leaves(tmp_path: Path, moment: float) -> None:
    first, second = Asr(), Asr()
    async with edge(first, second, spool=tmp_path) as client, client.ws_connect("/v1/stream?language=en") as socket:
        sending = asyncio.create_task(spoken(socket, TALK, 6))
        await asyncio.sleep(moment)
        # Whichever it is on: one leaves, is back, then the other leaves.
        await first.leave()
        await first.start()
        await asyncio.sleep(0.3)
        await second.leave()
        await sending
        await socket.send_bytes(b"")
        messages = await rest(socket)

    assert text(messages) == WORDS


async def test_an_asr_that_stays_away_ends_the_stream(tmp_path: Path) -> None:
    asr = Asr()
    async with (
        edge(asr, spool=tmp_path, stream_recovery_seconds=0.5) as client,
        client.ws_connect("/v1/stream?language=en") as socket,
    ):
        await talk(socket, TALK[: 4 * 32_000])
        while not (first := await socket.receive_json()).get("text"):
            pass
        await asr.kill()
        messages = await rest(socket)

    assert messages[-1]["code"] == "asr_unavailable"
    assert messages[-1]["transcript"] == first["text"]
    assert socket.close_code == 1013


async def test_the_token_reaches_no_log(client: TestClient[Any, Any], capfd: pytest.CaptureFixture[str]) -> None:
    async with client.ws_connect(f"/v1/stream?language=en&token={KEY}") as socket:
        await socket.send_bytes(b"")
        await rest(socket)
    async with client.ws_connect("/v1/stream?token=sk-unknown") as socket:
        await rest(socket)

    out, err = capfd.readouterr()
    assert "sk-" not in out + err


async def test_many_streams_at_once_keep_apart(client: TestClient[Any, Any]) -> None:
    recordings = [tone((0.5, 0), (count * 0.5 + 0.1, 9000), (1, 0)) for count in range(1, 9)]

    async def one(pcm: bytes) -> str:
        async with client.ws_connect("/v1/stream?language=en", headers=AUTH) as socket:
            await talk(socket, pcm)
            await socket.send_bytes(b"")
            return str((await rest(socket))[-1]["transcript"])

    transcripts = await asyncio.gather(*(one(pcm.tobytes()) for pcm in recordings))

    assert transcripts == [captions(pcm).text for pcm in recordings]
    assert len(set(transcripts)) > 5
