import asyncio
import io
import json
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from rich.console import Console
from yarl import URL

from services.cli.listen import Captions, Wish, caption, pcm_of
from services.cli.transcribe import Key, TranscribeError
from tests.cli.test_main import speechmesh


class Server:
    """A small server with the manners of the edge; it says its messages when the audio ends."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = [
            {"type": "partial", "partial": "one tw"},
            {"type": "transcript", "text": "One two.", "partial": ""},
            {"type": "done", "text": "", "partial": "", "is_final": True},
        ]
        self.refusal: dict[str, Any] = {}
        self.config: dict[str, Any] = {}
        self.pcm = b""
        self.key = ""
        self.frames = 0

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.key = request.headers.get("Authorization", "")
        self.config = await socket.receive_json()
        if self.refusal:
            await socket.send_json(self.refusal)
            await socket.close()
            return socket
        await socket.send_json({"status": "ready"})
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                assert json.loads(frame.data) == {"action": "stop"}
                break
            self.pcm += frame.data
            self.frames += 1
        for message in self.messages:
            await socket.send_json(message)
        await socket.close()
        return socket


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, URL]]:
    served = Server()
    app = web.Application()
    app.router.add_get("/v1/stream", served.stream)
    async with TestServer(app) as running:
        yield served, running.make_url("/")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    file = tmp_path / "tone.wav"
    with wave.open(str(file), "wb") as wav:
        wav.setnchannels(2)
        wav.setsampwidth(2)
        wav.setframerate(48_000)
        wav.writeframes((np.sin(np.arange(48_000) / 20) * 8000).astype("<i2").repeat(2).tobytes())
    return file


def shown(terminal: bool) -> tuple[Captions, io.StringIO]:
    screen = io.StringIO()
    return Captions(Console(file=screen, force_terminal=terminal, highlight=False, markup=False, width=80)), screen


async def test_a_file_goes_there_as_pcm_and_the_finals_are_printed(server: tuple[Server, URL], recording: Path) -> None:
    served, url = server
    captions, screen = shown(terminal=False)

    await caption(Wish(recording, language="en", model="base"), url, Key("sk-1"), captions)

    assert screen.getvalue() == "One two.\n"
    assert served.config == {"language": "en", "model": "base"}
    assert served.key == "Bearer sk-1"
    assert len(served.pcm) == pytest.approx(32_000, abs=100)
    assert np.abs(np.frombuffer(served.pcm, "<i2")).max() == pytest.approx(8000, rel=0.05)


async def test_in_real_time_a_second_takes_a_second(server: tuple[Server, URL], recording: Path) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()

    await caption(Wish(recording, realtime=True), server[1], None, shown(terminal=False)[0])

    assert loop.time() - began > 0.95
    assert server[0].frames >= 10


async def test_on_a_terminal_the_partial_is_dim(server: tuple[Server, URL], recording: Path) -> None:
    captions, screen = shown(terminal=True)

    with captions:
        await caption(Wish(recording), server[1], None, captions)

    assert "\x1b[2mone tw" in screen.getvalue()
    assert "One two.\n" in screen.getvalue()


async def test_what_the_server_complains_of_is_told(server: tuple[Server, URL], recording: Path) -> None:
    server[0].messages = [{"type": "error", "error": "The key is wrong.", "code": "invalid_api_key"}]

    with pytest.raises(TranscribeError, match="The key is wrong"):
        await caption(Wish(recording), server[1], None, shown(terminal=False)[0])


async def test_a_refusal_before_the_audio_has_gone_is_told(server: tuple[Server, URL], recording: Path) -> None:
    server[0].refusal = {"type": "error", "error": "The key is wrong.", "code": "invalid_api_key"}

    with pytest.raises(TranscribeError, match="The key is wrong"):
        await caption(Wish(recording, realtime=True), server[1], None, shown(terminal=False)[0])


async def test_a_connection_that_breaks_is_told(server: tuple[Server, URL], recording: Path) -> None:
    server[0].messages = []

    with pytest.raises(TranscribeError, match="broke before the last word"):
        await caption(Wish(recording), server[1], None, shown(terminal=False)[0])


async def test_without_a_server_there_is_a_hint(recording: Path) -> None:
    with pytest.raises(TranscribeError, match=r"speechmesh up"):
        await caption(Wish(recording), URL("http://127.0.0.1:1"), None, shown(terminal=False)[0])


async def test_a_file_that_is_none_is_told(server: tuple[Server, URL], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no audio")

    with pytest.raises(TranscribeError, match=r"notes\.txt"):
        await caption(Wish(tmp_path / "notes.txt"), server[1], None, shown(terminal=False)[0])


def test_audio_comes_in_pieces_of_a_tenth_of_a_second(recording: Path) -> None:
    pieces = list(pcm_of(Wish(recording)))

    assert {len(piece) for piece in pieces[:-1]} == {3200}
    assert 0 < len(pieces[-1]) <= 3200


def recorder(folder: Path, script: str) -> str:
    (folder / "arecord").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "arecord").chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no program records")
def test_a_microphone_is_what_a_recorder_hears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.cli.listen._RECORDERS", {"arecord": ("-q",)})
    monkeypatch.setenv("PATH", recorder(tmp_path, f'echo "$@" > {tmp_path}/asked; head -c 7000 /dev/zero'))

    pieces = list(pcm_of(Wish(device="hw:1")))

    assert [len(piece) for piece in pieces] == [3200, 3200, 600]
    assert (tmp_path / "asked").read_text() == "-q -D hw:1\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no program records")
def test_a_microphone_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.cli.listen._RECORDERS", {"arecord": ()})
    monkeypatch.setenv("PATH", recorder(tmp_path, "exit 1"))
    with pytest.raises(TranscribeError, match="could not record"):
        list(pcm_of(Wish()))

    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(TranscribeError, match="needs one of these programs"):
        list(pcm_of(Wish()))


def test_a_microphone_has_no_other_speed() -> None:
    done = speechmesh("listen", "--realtime")

    assert done.returncode == 2
    assert "--realtime" in done.stderr
