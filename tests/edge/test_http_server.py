import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from services.edge.app import make_app
from services.edge.config import EdgeSettings
from services.edge.http_server import HEAD_SECONDS, JsonRunner
from speechmesh.summarize.v1 import summarize_pb2_grpc
from tests.edge.accounts import new_database, plans_file
from tests.edge.fake_summarize import FakeSummarize
from tests.loopback import serving


@contextlib.asynccontextmanager
async def _listening(
    tmp_path: Path, head_seconds: float = HEAD_SECONDS, **settings: Any
) -> AsyncIterator[tuple[str, int]]:
    """Serve the edge as its process does; yield where."""
    own = {
        "spool_dir": tmp_path,
        "database_url": await new_database(tmp_path),
        "plans_file": plans_file(tmp_path, anonymous={"max_file_bytes": 1000}),
        "asr_target": "127.0.0.1:1",
    }
    app = await make_app(EdgeSettings(**{**own, **settings}))
    runner = JsonRunner(app, head_seconds=head_seconds, handler_cancellation=True)
    await runner.setup()
    server = await asyncio.get_running_loop().create_server(runner.server, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()
        await runner.cleanup()


async def _exchange(tmp_path: Path, *requests: bytes) -> bytes:
    """Return all that a bare connection answers to some bytes."""
    async with _listening(tmp_path) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        for request in requests:
            writer.write(request)
        # Not to the end of the connection: a body that was announced and refused is waited for.
        answer = await asyncio.wait_for(reader.readuntil(b"}"), 10)
        writer.close()
        await writer.wait_closed()
        return answer


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /v1/stream?token=sk-secret\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-secret\x01\r\n\r\n",
        b"sk-secret\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_in_json_and_never_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, request_bytes: bytes
) -> None:
    answer = await _exchange(tmp_path, request_bytes)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head
    assert json.loads(body)["code"] == "bad_request"
    printed = capsys.readouterr()
    assert "http_refused" in printed.out + printed.err
    assert "sk-secret" not in printed.out + printed.err + caplog.text + answer.decode()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Authorization: Bearer wrong\r\nContent-Length: 10\r\nExpect: 100-continue", b"401"),
        (b"Content-Length: 2000000\r\nExpect: 100-continue", b"413"),
        (b"Content-Length: 10\r\nExpect: a-miracle", b"400"),
    ],
)
async def test_who_asks_before_sending_is_refused_before_sending(tmp_path: Path, head: bytes, status: bytes) -> None:
    request = b"POST /v1/transcribe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + head + b"\r\n\r\n"

    answer = await _exchange(tmp_path, request)

    assert answer.startswith(b"HTTP/1.1 " + status)


async def test_who_asks_and_may_is_told_to_go_on(tmp_path: Path) -> None:
    head = b"POST /v1/transcribe HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\n"

    answer = await _exchange(tmp_path, head + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n", b"ab")

    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 ")


async def test_a_client_that_leaves_cancels_what_is_done_for_it(tmp_path: Path) -> None:
    fake = FakeSummarize(hold=True)

    def register(server: grpc.aio.Server) -> None:
        summarize_pb2_grpc.add_SummarizeServiceServicer_to_server(fake, server)
        health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(), server)

    async with serving(register) as summarize, _listening(tmp_path, summarize_target=summarize) as (host, port):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(b'POST /v1/summarize HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n{"text": "Hi."}')
        await asyncio.wait_for(fake.running.wait(), 10)
        writer.close()
        assert await asyncio.wait_for(fake.cancelled.wait(), 10)
        await writer.wait_closed()


HEAD = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"


async def _is_closed(reader: asyncio.StreamReader, within_seconds: float) -> bool:
    """Return whether a connection on which nothing more is said is closed by the other side."""
    try:
        return await asyncio.wait_for(reader.read(), within_seconds) == b""
    except TimeoutError:
        return False


@pytest.mark.parametrize("said", [b"", b"GET /health HT", HEAD[:-2]])
async def test_a_connection_on_which_no_head_comes_is_closed(tmp_path: Path, said: bytes) -> None:
    async with _listening(tmp_path, head_seconds=0.2) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(said)

        assert await _is_closed(reader, within_seconds=10)
        writer.close()


async def test_a_head_that_trickles_is_not_waited_for_either(tmp_path: Path) -> None:
    async with _listening(tmp_path, head_seconds=0.3) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)

        async def trickle() -> None:
            for byte in b"GET /health HTTP/1.1\r\nX: " + b"y" * 1000:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)

        trickling = asyncio.ensure_future(trickle())
        with contextlib.suppress(ConnectionError):  # some of what trickles meets a closed door
            assert await _is_closed(reader, within_seconds=5)
        assert not trickling.done()
        trickling.cancel()
        writer.close()


async def test_a_connection_is_kept_for_the_next_request_until_that_is_begun(tmp_path: Path) -> None:
    async with _listening(tmp_path, head_seconds=2) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        for _ in range(2):
            writer.write(HEAD[:9])
            await asyncio.sleep(0.05)
            writer.write(HEAD[9:])
            await reader.readuntil(b"}")
            assert not await _is_closed(reader, within_seconds=2.5)
        writer.write(HEAD[:9])

        assert await _is_closed(reader, within_seconds=10)
        writer.close()


async def test_a_body_may_take_longer_than_a_head(tmp_path: Path) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(8):
            await asyncio.sleep(0.1)
            yield b"RIFF"

    async with (
        _listening(tmp_path, head_seconds=0.2, tier_wait_seconds=0) as (host, port),
        aiohttp.ClientSession() as session,
    ):
        answer = await session.post(f"http://{host}:{port}/v1/transcribe", data=slowly())

    assert answer.status == 503, "all of it came, and there is no asr"


async def test_what_is_left_of_a_refused_body_is_no_head(tmp_path: Path) -> None:
    async with _listening(tmp_path, head_seconds=0.2) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\n")
        await reader.readuntil(b"}")
        for _ in range(6):
            writer.write(b"x" * 10)
            await asyncio.sleep(0.1)
        writer.write(HEAD)

        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 404 ")
        writer.close()
        await writer.wait_closed()


async def test_a_stream_may_be_silent_for_longer_than_a_head_takes(tmp_path: Path) -> None:
    async with (
        _listening(tmp_path, head_seconds=0.2) as (host, port),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://{host}:{port}/v1/stream") as socket,
    ):
        await asyncio.sleep(0.6)
        await socket.send_str('{"action": "shout"}')
        told = await socket.receive_json(timeout=10)

    assert told["code"] == "invalid_field"
