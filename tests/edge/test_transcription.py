import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.edge.summary import STYLES
from services.runtime.errors import Fault, MeshError
from tests.edge.accounts import AUTH
from tests.edge.conftest import wav_header
from tests.edge.fake_mesh import FakeAsr, FakeMesh, form, post
from tests.edge.fake_summarize import FakeSummarize


async def _transcribe(tmp_path: Path, mesh: FakeMesh, seconds: float = 3.0, **fields: str) -> Any:
    status, _, _, text = await post(tmp_path, form(seconds, **fields), mesh)
    assert status == 200
    return json.loads(text)


def _stereo(seconds: float) -> aiohttp.FormData:
    samples = int(seconds * 16_000)
    data = aiohttp.FormData()
    data.add_field("file", wav_header(samples * 4, channels=2) + b"\x10\x00\x20\x00" * samples, filename="call.wav")
    return data


async def test_channels_that_are_asked_for_apart_are_speakers(tmp_path: Path) -> None:
    mesh = FakeMesh(down=frozenset({"diarize"}))
    data = _stereo(2)
    data.add_field("channels", "separate")
    status, _, _, text = await post(tmp_path, data, mesh)
    answer = json.loads(text)
    assert (status, answer["duration"], answer["speakers"]) == (200, 2.0, ["Speaker 1", "Speaker 2"])
    assert [(s["text"], s["channel"], s["speaker"]) for s in answer["segments"]] == [
        ("word0.", 0, "Speaker 1"),
        ("word0.", 1, "Speaker 2"),
        ("word1.", 0, "Speaker 1"),
        ("word1.", 1, "Speaker 2"),
    ]
    assert "warnings" not in answer, "diarize, which is down, was not needed"
    assert len(mesh.asr.configs) == 2


async def test_channels_apart_do_not_need_as_many_places_as_there_are(tmp_path: Path) -> None:
    mesh = FakeMesh(settings={"concurrency": 1})
    async with mesh.client(tmp_path) as client:
        answers = []
        for _ in range(3):
            data = _stereo(1)
            data.add_field("channels", "separate")
            answers.append(asyncio.ensure_future(client.post("/v1/transcribe", data=data, headers=AUTH)))
            answers.append(asyncio.ensure_future(client.post("/v1/transcribe", data=form(1), headers=AUTH)))
            await asyncio.gather(*answers[-2:])
        assert [answer.result().status for answer in answers] == [200] * 6


async def test_channels_apart_without_speakers_have_no_names(tmp_path: Path) -> None:
    data = _stereo(1)
    for name, value in {"channels": "separate", "diarize": "false"}.items():
        data.add_field(name, value)
    status, _, _, text = await post(tmp_path, data)
    answer = json.loads(text)
    assert (status, answer["speakers"]) == (200, [])
    assert [(s["channel"], "speaker" in s) for s in answer["segments"]] == [(0, False), (1, False)]


async def test_a_recording_of_one_channel_is_not_separated(tmp_path: Path) -> None:
    status, _, _, text = await post(tmp_path, form(1, channels="separate"))
    answer = json.loads(text)
    assert (status, answer["code"], answer["field"]) == (400, "one_channel", "channels")


@pytest.mark.parametrize(
    ("fields", "language"), [({}, "en"), ({"language": "de"}, "de"), ({"language": "de", "task": "translate"}, "en")]
)
async def test_a_summary_is_in_the_language_of_the_transcript(
    tmp_path: Path, fields: dict[str, str], language: str
) -> None:
    mesh = FakeMesh()

    answer = await _transcribe(tmp_path, mesh, summarize="brief", **fields)

    assert mesh.summarize.requests[0].language_code == answer["summary_details"]["language"] == language


async def test_a_language_that_is_heard_but_not_written_is_left_to_summarize(tmp_path: Path) -> None:
    mesh = FakeMesh(asr=FakeAsr(language="yue"))

    answer = await _transcribe(tmp_path, mesh, summarize="brief")

    assert [request.language_code for request in mesh.summarize.requests] == ["yue", ""]
    assert (answer["language"], answer["summary_details"]["language"]) == ("yue", "en")
    assert "warnings" not in answer


async def test_nobody_is_named_to_summarize_where_speakers_were_not_asked_for(tmp_path: Path) -> None:
    mesh = FakeMesh()

    await _transcribe(tmp_path, mesh, summarize="brief", diarize="false")

    segments = mesh.summarize.requests[0].segments
    assert [(segment.text, segment.speaker) for segment in segments] == [
        ("word0.", ""),
        ("word1.", ""),
        ("word2.", ""),
    ]


@pytest.mark.parametrize("style", STYLES)
async def test_the_summary_of_silence_needs_no_summarize(tmp_path: Path, style: str) -> None:
    mesh = FakeMesh()

    answer = await _transcribe(tmp_path, mesh, seconds=0.5, summarize=style)

    assert answer["segments"] == []
    assert answer["summary"] == ("none" if style == "action_items" else "")
    assert answer["summary_details"]["style"] == style
    assert mesh.summarize.requests == []


@pytest.mark.parametrize(
    "failure",
    [
        MeshError(Fault.UNAVAILABLE, "It is going.", code="summarize_unavailable"),
        MeshError(Fault.TOO_SLOW, "It did not answer in time."),
        MeshError(Fault.OVERLOADED, "Too many are waiting.", code="queue_full"),
        MeshError(Fault.TOO_LARGE, "The text is longer than this deployment takes."),
        RuntimeError("secret detail"),
    ],
    ids=lambda failure: getattr(failure, "fault", "unexpected"),
)
async def test_a_transcript_outlives_its_summary(tmp_path: Path, failure: Exception) -> None:
    mesh = FakeMesh(summarize=FakeSummarize(failure=failure))

    answer = await _transcribe(tmp_path, mesh, summarize="brief")

    assert answer["text"] == "word0. word1. word2."
    assert (answer["summary"], answer["summary_details"]) == (None, None)
    assert answer["warnings"] == ["summary_unavailable"]


async def test_a_client_that_leaves_cancels_the_summary_of_its_transcript(tmp_path: Path) -> None:
    mesh = FakeMesh(summarize=FakeSummarize(hold=True))
    async with mesh.client(tmp_path) as client:
        posting = asyncio.ensure_future(client.post("/v1/transcribe", data=form(summarize="brief")))
        await asyncio.wait_for(mesh.summarize.running.wait(), 10)
        posting.cancel()

        assert await asyncio.wait_for(mesh.summarize.cancelled.wait(), 10)
