import asyncio
import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from services.cli.__main__ import SummaryStyle
from services.cli.ports import free_ports
from services.cli.transcribe import Key, TranscribeError, Wish, choose_key, request, server_url
from services.edge.summary import STYLE_ALIASES, STYLES

ANSWER = {
    "text": "Grüß Gott.",
    "language": "de",
    "duration": 2.0,
    "segments": [{"start": 0.0, "end": 2.0, "text": "Grüß Gott.", "speaker": "Speaker 1"}],
    "speakers": ["Speaker 1"],
    "model": "base",
}


class Server:
    """A small server with the edge's manners; `answers` are the events it sends."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Mapping[str, Any]]] = [
            ("progress", {"stage": "decoding", "ratio": 0.0}),
            ("progress", {"stage": "transcribing", "ratio": 0.5}),
            ("result", ANSWER),
        ]
        self.refusal: tuple[int, Mapping[str, Any]] | None = None
        self.plain = False
        self.fields: dict[str, str] = {}
        self.digest = ""
        self.headers: Mapping[str, str] = {}

    async def transcribe(self, request: web.Request) -> web.StreamResponse:
        self.headers = request.headers
        if self.refusal:
            return web.json_response(self.refusal[1], status=self.refusal[0])
        async for part in await request.multipart():
            if part.name == "file":
                digest = hashlib.sha256()
                while chunk := await part.read_chunk(65536):
                    digest.update(chunk)
                self.digest = digest.hexdigest()
                self.fields["filename"] = part.filename or ""
            else:
                self.fields[part.name or ""] = await part.text()
        return web.json_response(ANSWER) if self.plain else await self._stream(request)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for name, data in self.events:
            await response.write(f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode())
            await asyncio.sleep(0.01)
        return response


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, URL]]:
    served = Server()
    app = web.Application()
    app.router.add_post("/v1/transcribe", served.transcribe)
    async with TestServer(app) as running:
        yield served, running.make_url("/")


RECORDING = random.Random(1).randbytes(3_000_000)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "a meeting.wav"
    path.write_bytes(RECORDING)
    return path


def ignore(stage: str, ratio: float) -> None:
    pass


async def test_the_file_arrives_whole_with_its_fields(server: tuple[Server, URL], recording: Path) -> None:
    served, url = server
    wish = Wish(recording, model="small", language="de", diarize=False, speakers=2)
    assert await request(wish, url, Key("sk-key"), ignore) == ANSWER
    assert served.digest == hashlib.sha256(RECORDING).hexdigest()
    assert served.fields == {
        **{"filename": "a meeting.wav", "model": "small", "language": "de", "diarize": "false"},
        **{"speakers": "2", "response_format": "json"},
    }
    assert served.headers["Authorization"] == "Bearer sk-key"
    # The server can refuse what is too large before it has been sent.
    assert int(served.headers["Content-Length"]) > len(RECORDING)


async def test_the_wish_for_a_summary_is_a_field_too(server: tuple[Server, URL], recording: Path) -> None:
    served, url = server
    await request(Wish(recording, summarize="bullets"), url, None, ignore)
    assert served.fields["summarize"] == "bullets"


async def test_the_wish_for_channels_apart_is_a_field_only_where_it_is_one(
    server: tuple[Server, URL], recording: Path
) -> None:
    served, url = server
    await request(Wish(recording), url, None, ignore)
    assert "channels" not in served.fields
    await request(Wish(recording, separate=True), url, None, ignore)
    assert served.fields["channels"] == "separate"


async def test_progress_goes_from_uploading_to_transcribing(server: tuple[Server, URL], recording: Path) -> None:
    heard: list[tuple[str, float]] = []
    await request(Wish(recording), server[1], None, lambda stage, ratio: heard.append((stage, ratio)))
    uploading = [ratio for stage, ratio in heard if stage == "uploading"]
    assert uploading == sorted(uploading)
    assert uploading[-1] == 1.0
    assert heard[-1] == ("transcribing", 0.5)


async def test_a_plain_json_answer_will_do(server: tuple[Server, URL], recording: Path) -> None:
    server[0].plain = True
    assert await request(Wish(recording), server[1], None, ignore) == ANSWER


async def test_an_error_event_is_told_in_the_servers_words(server: tuple[Server, URL], recording: Path) -> None:
    server[0].events = [("error", {"error": "The tier is down.", "code": "unavailable", "status": 503})]
    with pytest.raises(TranscribeError, match=r"^The tier is down\.$"):
        await request(Wish(recording), server[1], None, ignore)


async def test_a_stream_that_ends_early_is_an_error(server: tuple[Server, URL], recording: Path) -> None:
    server[0].events.pop()
    with pytest.raises(TranscribeError, match="before the transcript was there"):
        await request(Wish(recording), server[1], None, ignore)


async def test_a_refusal_is_told_with_what_to_do(server: tuple[Server, URL], tmp_path: Path) -> None:
    small = tmp_path / "small.wav"
    small.write_bytes(b"RIFF")
    server[0].refusal = (401, {"error": "This key is not valid.", "code": "unauthenticated"})
    with pytest.raises(TranscribeError, match=r"This key is not valid\. Give a key with --key"):
        await request(Wish(small), server[1], None, ignore)


async def test_a_refusal_in_the_middle_of_the_upload_is_readable(server: tuple[Server, URL], tmp_path: Path) -> None:
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    server[0].refusal = (413, {"error": "The file is too large.", "code": "too_large"})
    with pytest.raises(TranscribeError, match=r"too large|broke"):
        await request(Wish(large), server[1], None, ignore)


async def test_without_a_server_it_says_how_to_start_one(recording: Path) -> None:
    url = URL(f"http://127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(TranscribeError, match=r"\./speechmesh up"):
        await request(Wish(recording), url, None, ignore)


async def test_a_file_that_cannot_be_read_is_an_error(server: tuple[Server, URL], tmp_path: Path) -> None:
    with pytest.raises(TranscribeError, match="Cannot read"):
        await request(Wish(tmp_path / "nothing.wav"), server[1], None, ignore)


def test_the_key_of_this_machine_goes_to_this_machine_only(tmp_path: Path) -> None:
    (tmp_path / "api-key").write_text("sk-mine\n")
    here, elsewhere = URL("http://localhost:8080"), URL("https://stt.example")
    found = Key("sk-mine", tmp_path / "api-key")
    assert choose_key(None, here, None, {"SPEECHMESH_DATA": str(tmp_path)}) == found
    assert choose_key(None, here, tmp_path, {"SPEECHMESH_DATA": "/nonexistent"}) == found
    assert choose_key(None, elsewhere, tmp_path, {}) is None
    assert choose_key("sk-other", here, tmp_path, {}) == Key("sk-other")
    assert choose_key(None, here, tmp_path / "nothing", {}) is None


async def test_a_refused_key_of_this_machine_is_told_with_its_place(server: tuple[Server, URL], tmp_path: Path) -> None:
    small = tmp_path / "small.wav"
    small.write_bytes(b"RIFF")
    server[0].refusal = (401, {"error": "This key is not valid.", "code": "unauthenticated"})
    with pytest.raises(TranscribeError, match=r"not valid\. The key came from /data/api-key; .*--data"):
        await request(Wish(small), server[1], Key("sk-old", Path("/data/api-key")), ignore)


def test_the_usual_server_is_the_one_that_up_starts() -> None:
    assert str(server_url(None, {})) == "http://127.0.0.1:8080"
    assert str(server_url(None, {"SPEECHMESH_PORT": "9000"})) == "http://127.0.0.1:9000"
    with pytest.raises(TranscribeError, match="is no URL"):
        server_url("localhost:8080", {})


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("text", "[00:00.0 → 00:02.0] Speaker 1: Grüß Gott.\n"),
        ("json", json.dumps(ANSWER, ensure_ascii=False, indent=2) + "\n"),
        ("srt", "1\n00:00:00,000 --> 00:00:02,000\nGrüß Gott.\n"),
    ],
)
async def test_the_command_prints_the_transcript_and_nothing_else(
    server: tuple[Server, URL], recording: Path, form: str, expected: str
) -> None:
    if form == "srt":
        server[0].events[-1] = ("result", {"text": expected})
    done = await run_command(str(recording), "--format", form, "--server", str(server[1]))
    assert done.returncode == 0
    assert done.stdout == expected
    assert done.stderr == ("de · 00:02.0 · base · 1 speaker\n" if form == "text" else "")


async def test_the_command_prints_the_summary_after_the_transcript(server: tuple[Server, URL], recording: Path) -> None:
    server[0].events[-1:] = [
        ("progress", {"stage": "summarizing", "ratio": 0.5}),
        ("result", {**ANSWER, "summary": "Sie grüßen.", "summary_details": {"style": "brief"}}),
    ]
    done = await run_command(str(recording), "--summarize", "brief", "--server", str(server[1]))
    assert done.returncode == 0
    assert done.stdout == "[00:00.0 → 00:02.0] Speaker 1: Grüß Gott.\n\nSummary:\nSie grüßen.\n"
    assert server[0].fields["summarize"] == "brief"


async def test_a_summary_that_is_not_to_be_had_is_told_beside_the_transcript(
    server: tuple[Server, URL], recording: Path
) -> None:
    server[0].events[-1] = ("result", {**ANSWER, "summary": None, "summary_details": None})
    done = await run_command(str(recording), "--summarize", "brief", "--server", str(server[1]))
    assert done.returncode == 0
    assert done.stdout == "[00:00.0 → 00:02.0] Speaker 1: Grüß Gott.\n"
    assert "There is no summary" in done.stderr


async def test_subtitles_have_no_place_for_a_summary(recording: Path) -> None:
    done = await run_command(str(recording), "--summarize", "brief", "--format", "srt")
    assert done.returncode == 2
    assert "no place for a summary" in done.stderr


def test_the_command_knows_every_style_of_the_server() -> None:
    assert {style.value for style in SummaryStyle} == {*STYLES, *STYLE_ALIASES}


async def test_the_command_fails_with_one_readable_line(recording: Path) -> None:
    done = await run_command(str(recording), "--server", f"http://127.0.0.1:{free_ports(1)[0]}")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: No server answers at")
    assert done.stderr.count("\n") == 1


async def run_command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    root = Path(__file__).parents[2]
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-P", "-m", "services.cli", "transcribe", *arguments],
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'protos'}"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
