import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.edge.fake_mesh import FakeMesh, form, post, tone


def _two_files() -> aiohttp.FormData:
    data = form()
    data.add_field("file", tone(1), filename="b.wav")
    return data


def _text_for_file() -> aiohttp.FormData:
    data = aiohttp.FormData(default_to_multipart=True)
    data.add_field("file", "meeting.mp3")
    return data


def _no_file() -> aiohttp.FormData:
    data = aiohttp.FormData(default_to_multipart=True)
    data.add_field("model", "base")
    return data


def _twice() -> aiohttp.FormData:
    data = form(model="base")
    data.add_field("model", "base")
    return data


@pytest.mark.parametrize(
    ("data", "headers", "words"),
    [
        (_two_files(), {}, "came twice"),
        (_text_for_file(), {}, "text instead of a file"),
        (_no_file(), {}, "missing"),
        (b"", {"Content-Type": "multipart/form-data; boundary=x"}, "form"),
        (b"--x\r\nbroken", {"Content-Type": "multipart/form-data; boundary=x"}, "form"),
        (b"--x\r\nno colon here\r\n\r\nx\r\n--x--", {"Content-Type": "multipart/form-data; boundary=x"}, "malformed"),
        (b"--x\r\nA: " + b"y" * 20_000, {"Content-Type": "multipart/form-data; boundary=x"}, "malformed"),
        (b"not gzip" * 9, {"Content-Type": "multipart/form-data; boundary=x", "Content-Encoding": "gzip"}, ""),
        (b"no boundary at all" * 10, {"Content-Type": "multipart/form-data; boundary=x"}, "malformed"),
        (b"nothing", {"Content-Type": "multipart/form-data"}, "form"),
        (b"[object FormData]", {"Content-Type": "multipart/form-data; boundary=x"}, "openAsBlob"),
        (b'{"file": "x"}', {"Content-Type": "application/json"}, "not a form"),
        (b"file=x", {"Content-Type": "application/x-www-form-urlencoded"}, "not a form"),
    ],
)
async def test_a_body_that_is_no_upload_is_refused(tmp_path: Path, data: Any, headers: Any, words: str) -> None:
    status, _, _, text = await post(tmp_path, data, headers=headers)

    assert status == 400
    assert words in json.loads(text)["error"]
    assert json.loads(text)["field"] == "file"


async def test_a_field_that_comes_twice_is_refused(tmp_path: Path) -> None:
    status, _, _, text = await post(tmp_path, _twice())

    assert (status, json.loads(text)["field"]) == (400, "model")


async def test_an_upload_over_the_limit_is_413_whether_or_not_its_length_is_known(tmp_path: Path) -> None:
    mesh = FakeMesh(plans={"anonymous": {"max_file_bytes": 50_000}})
    async with mesh.client(tmp_path) as client:
        known = await client.post("/v1/transcribe", data=form(10))
        data = form(3)()  # read piece by piece: no Content-Length
        streamed = await client.post("/v1/transcribe", data=_pieces(data), headers=data.headers)
        answers = [await known.json(), await streamed.json()]

    assert [known.status, streamed.status] == [413, 413]
    assert all(answer["code"] == "file_too_large" for answer in answers)


async def _pieces(payload: aiohttp.payload.Payload) -> Any:
    class Sink:
        def __init__(self) -> None:
            self.parts: list[bytes] = []

        async def write(self, chunk: bytes) -> None:
            self.parts.append(bytes(chunk))

    sink = Sink()
    await payload.write(sink)  # type: ignore[arg-type]
    for part in sink.parts:
        yield part


async def test_a_field_name_that_is_no_text_is_refused_all_the_same(tmp_path: Path) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n1\r\n--x--\r\n'

    status, headers, _, text = await post(tmp_path, body, headers={"Content-Type": "multipart/form-data; boundary=x"})

    assert status == 400
    assert "There is no field" in json.loads(text)["error"]
    assert headers["X-Request-Id"]


async def test_an_upload_that_stops_is_given_up(tmp_path: Path) -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF'
        await asyncio.sleep(5)

    mesh = FakeMesh(settings={"upload_stall_seconds": 0.1})
    status, _, _, text = await post(
        tmp_path, stalling(), mesh, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )

    assert (status, json.loads(text)["code"]) == (400, "upload_stalled")
