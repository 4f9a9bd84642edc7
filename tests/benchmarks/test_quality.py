import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from benchmarks import quality
from benchmarks.recordings import Recording
from benchmarks.scoring import Utterance
from benchmarks.server import Server, ServerError

Ask = Callable[..., Any]


class FakeApi:
    """Answers like the edge, by file name, and keeps what it was sent."""

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []
        self.refusals = 0

    async def transcribe(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        fields = {name: str(value) for name, value in form.items() if name != "file"}
        self.requests.append({**fields, "name": file.filename, "key": request.headers.get("Authorization", "")})
        if self.refusals:
            self.refusals -= 1
            error = {"error": "The queue is full.", "code": "overloaded"}
            return web.json_response(error, status=429, headers={"Retry-After": "0"})
        if file.filename == "broken.flac":
            return web.json_response({"error": "Not a recording.", "code": "invalid_media"}, status=400)
        return web.json_response(answer_for(file.filename, diarize=fields["diarize"] == "true"))


def answer_for(name: str, *, diarize: bool) -> dict[str, Any]:
    if name == "noise.flac":
        return {
            "text": "Thank you.",
            "language": "en",
            "duration": 2.0,
            "segments": [],
            "speakers": [],
            "model": "m",
        }
    said = [("Speaker 1", "How are you?", 0.0, 2.0), ("Speaker 2", "Fine.", 2.0, 3.0)]
    segments = [
        {"start": start, "end": end, "text": text, "words": [], **({"speaker": who} if diarize else {})}
        for who, text, start, end in said
    ]
    return {
        "text": "How are you? Fine.",
        "language": "en",
        "duration": 3.0,
        "segments": segments,
        "speakers": ["Speaker 1", "Speaker 2"] if diarize else [],
        "model": "m",
    }


@pytest.fixture
async def api() -> AsyncIterator[tuple[FakeApi, str]]:
    fake = FakeApi()
    app = web.Application()
    app.router.add_post("/v1/transcribe", fake.transcribe)
    async with TestServer(app) as server:
        yield fake, str(server.make_url("/"))


def recording(folder: Path, name: str, kind: str, **known: Any) -> Recording:
    path = folder / f"{name}.flac"
    path.write_bytes(b"sound")
    language = known.pop("language", "en")
    facts: dict[str, Any] = {"transcript": None, "utterances": None, "turns": None, **known}
    return Recording(name, path, kind, 3.0, language, known.get("speaker_count", 2), **facts)


def talk(folder: Path) -> Recording:
    said = (Utterance("anna", "how are you", 0.0, 2.0), Utterance("bert", "fine", 2.0, 3.0))
    return recording(folder, "talk", "real-conversation", utterances=said, turns=said)


async def test_singles_go_with_their_language_and_conversations_with_speakers(
    api: tuple[FakeApi, str], tmp_path: Path
) -> None:
    fake, url = api
    clips = [recording(tmp_path, "clip", "single", transcript="how are you find"), talk(tmp_path)]
    server = Server(url, "sk-secret", "base")
    results, failures = await asyncio.to_thread(quality.run, server, clips, detect=False, own=None)
    assert failures == []
    common = {"response_format": "verbose_json", "model": "base", "key": "Bearer sk-secret"}
    assert fake.requests == [
        {**common, "diarize": "false", "language": "en", "name": "clip.flac"},
        {**common, "diarize": "true", "name": "talk.flac"},
    ]
    single, conversation = results
    assert single.words is not None
    assert (single.words.errors, single.words.length) == (1, 4)
    assert conversation.cp is not None
    assert conversation.turns is not None
    assert (conversation.cp.errors, conversation.turns.rate, conversation.speakers) == (0, 0.0, 2)


async def test_the_language_may_be_left_to_detection(api: tuple[FakeApi, str], tmp_path: Path) -> None:
    fake, url = api
    clips = [recording(tmp_path, "clip", "single", transcript="x")]
    await asyncio.to_thread(quality.run, Server(url), clips, detect=True, own=None)
    assert "language" not in fake.requests[0]
    assert fake.requests[0]["key"] == ""


async def test_a_busy_server_is_asked_again(api: tuple[FakeApi, str], tmp_path: Path) -> None:
    fake, url = api
    fake.refusals = 2
    results, failures = await asyncio.to_thread(quality.run, Server(url), [talk(tmp_path)], detect=False, own=None)
    assert (len(results), failures, len(fake.requests)) == (1, [], 3)


async def test_a_refused_file_is_reported_and_the_others_are_scored(api: tuple[FakeApi, str], tmp_path: Path) -> None:
    _, url = api
    clips = [recording(tmp_path, "broken", "noise", language=None), recording(tmp_path, "noise", "noise")]
    results, failures = await asyncio.to_thread(quality.run, Server(url), clips, detect=False, own=None)
    assert [result.invented for result in results] == [2]
    assert failures[0].startswith("broken.flac: HTTP 400")
    assert "FAILED broken.flac" in quality.summary(results, failures)


def test_a_server_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    clip = recording(tmp_path, "clip", "single")
    with pytest.raises(ServerError, match="no answer"):
        Server("http://127.0.0.1:9").transcribe(clip.path, diarize=False, language=None)


async def test_the_services_own_turns_are_scored_beside_the_segments(api: tuple[FakeApi, str], tmp_path: Path) -> None:
    _, url = api
    results, _ = await asyncio.to_thread(
        quality.run, Server(url), [talk(tmp_path)], detect=False, own=lambda _: [Utterance("x", "", 0.0, 3.0)]
    )
    assert results[0].own_turns is not None
    assert results[0].own_turns.rate == pytest.approx(100.0 / 3.0)


async def test_the_tables_hold_what_was_measured(api: tuple[FakeApi, str], tmp_path: Path) -> None:
    _, url = api
    clips = [
        recording(tmp_path, "clip", "single", transcript="how are you find"),
        talk(tmp_path),
        recording(tmp_path, "noise", "noise", language=None),
    ]
    results, _ = await asyncio.to_thread(quality.run, Server(url), clips, detect=False, own=None)
    report = "\n".join(quality.reports(results))
    assert "en        WER        1       4  25.00" in report
    assert "talk       2/2       0.00" in report
    assert "noise         3.00      2  Thank you." in report
    compared = quality.reference_report(results, lambda path, language: "how are you find", detect=False)
    assert compared.splitlines()[-1].split() == ["en", "4", "25.00", "0.00", "25.00"]


async def test_a_whole_run_writes_its_results(
    api: tuple[FakeApi, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, url = api
    item = {"id": "one", "path": "one.flac", "kind": "single", "duration_s": 3.0, "language": "en"}
    manifest = {"items": [{**item, "speakers": ["x"], "transcript": "How are you? Fine.", "rttm": None}]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "one.flac").write_bytes(b"sound")
    output = tmp_path / "results.json"
    arguments = ["--server", url, "--data", str(tmp_path), "--json", str(output)]
    assert await asyncio.to_thread(quality.main, arguments) == 0
    assert [result["id"] for result in json.loads(output.read_text())["results"]] == [
        "pyannote-sample-wheel",
        "one",
    ]
    printed = capsys.readouterr().out
    assert "models that ran: m" in printed
    assert "Two speakers on the telephone" in printed


def test_a_missing_data_folder_is_said_and_the_sample_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = quality.main(["--server", "http://127.0.0.1:9", "--data", str(tmp_path / "none")])
    printed = capsys.readouterr()
    assert code == 1
    assert "no manifest.json" in printed.err
    assert "FAILED sample.wav: no answer" in printed.out


def test_the_limit_counts_by_kind_and_language(tmp_path: Path) -> None:
    clips = [recording(tmp_path, f"c{n}", "single", language=language) for n, language in enumerate(["de", "de", "en"])]
    assert [clip.id for clip in quality.limited(clips, 1)] == ["c0", "c2"]
    assert quality.limited(clips, None) == clips
