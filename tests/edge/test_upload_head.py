import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.edge.accounts import AUTH, NO_SERVICES
from tests.edge.fake_mesh import FakeMesh, tone

WAV = {"Content-Type": "audio/wav"}


@pytest.mark.parametrize(
    ("headers", "body", "words"),
    [
        ({**WAV, "Content-Encoding": "gzip"}, b"x" * 99, "no Content-Encoding"),
        ({**WAV, "Content-Encoding": "compress"}, tone(1), "no Content-Encoding"),
        ({"Content-Type": "text/plain"}, b"hello", "neither a form nor a recording"),
        ({"Content-Type": "application/json"}, b'{"url": "https://x.org/a.mp3"}', "not fetched from addresses"),
        ({"Content-Type": "multipart/mixed; boundary=x"}, b"x" * 99, "neither a form nor a recording"),
        ({"Content-Type": "image/png"}, b"\x89PNG\r\n\x1a\n" + bytes(99), "looks like a PNG image"),
        ({}, None, "'file' is missing"),
        (WAV, b"", "The file is empty"),
    ],
)
async def test_a_head_that_is_none_of_an_upload_is_refused_in_words(
    tmp_path: Path, headers: dict[str, str], body: Any, words: str
) -> None:
    async with FakeMesh().client(tmp_path) as client:
        answer = await client.post(
            "/v1/transcribe", data=body, headers={**AUTH, **headers}, skip_auto_headers=["Content-Type"]
        )
        assert answer.status == 400
        assert words in (await answer.json())["error"]


@pytest.mark.parametrize("kind", ["audio/x-wav", "binary/octet-stream", "application/x-matroska", "*/*"])
async def test_what_a_recording_is_called_does_not_matter(tmp_path: Path, kind: str) -> None:
    async with FakeMesh().client(tmp_path) as client:
        answer = await client.post("/v1/transcribe", data=tone(1), headers={**AUTH, "Content-Type": kind})
        assert answer.status == 200


@pytest.mark.parametrize("encoding", ["identity", "Identity ", "identity, identity", "binary", ""])
async def test_a_body_that_says_that_it_is_as_it_is_is_taken(tmp_path: Path, encoding: str) -> None:
    async with FakeMesh().client(tmp_path) as client:
        headers = {**AUTH, **WAV, "Content-Encoding": encoding}
        assert (await client.post("/v1/transcribe", data=tone(1), headers=headers)).status == 200


@pytest.mark.parametrize(
    ("kind", "answer"), [("text/plain", b"400"), ("audio/wav", b"100"), ("application/json", b"400")]
)
async def test_who_asks_first_is_told_before_he_sends(tmp_path: Path, kind: str, answer: bytes) -> None:
    async with FakeMesh().client(tmp_path) as client:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        head = f"POST /v1/transcribe HTTP/1.1\r\nHost: x\r\nAuthorization: {AUTH['Authorization']}\r\n"
        head += f"Content-Type: {kind}\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
        writer.write(head.encode())
        assert (await reader.readline()).split()[1] == answer
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x"])
async def test_a_short_text_that_stops_is_given_up(tmp_path: Path, kind: str) -> None:
    mesh = FakeMesh(settings={"upload_stall_seconds": 0.1}, down=NO_SERVICES)
    async with mesh.client(tmp_path) as client:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        head = f"POST /v1/transcribe HTTP/1.1\r\nHost: x\r\nAuthorization: {AUTH['Authorization']}\r\n"
        writer.write(f"{head}Content-Type: {kind}\r\nContent-Length: 17\r\n\r\n[obj".encode())
        answer = await asyncio.wait_for(reader.readuntil(b"}"), 10)
        writer.close()
        await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"upload_stalled"' in answer
