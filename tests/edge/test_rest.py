import asyncio
import io
import json
import re
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import srt
import webvtt

from services.diarize.engine import LocalSpeakers
from services.diarize.windows import Block
from services.runtime.errors import Fault, MeshError, invalid_field
from speechmesh.asr.v1 import asr_pb2
from tests.diarize.fake_engine import FakeDiarizer
from tests.edge.accounts import AUTH, OWNER
from tests.edge.fake_mesh import FakeAsr, FakeMesh, form, post, spooled, tone
from tests.edge.fake_summarize import MODEL, FakeSummarize
from tests.edge.test_events import events

EVENTS = {"Accept": "text/event-stream"}


async def test_json_is_as_the_contract_shows_it(tmp_path: Path) -> None:
    status, headers, content_type, text = await post(tmp_path, form())

    answer = json.loads(text)
    assert (status, content_type) == (200, "application/json")
    assert answer["text"] == "word0. word1. word2."
    assert answer["language"] == "en"
    assert answer["duration"] == 3.0
    assert answer["model"] == "base"
    assert answer["speakers"] == ["Speaker 1", "Speaker 2"]
    assert [segment["speaker"] for segment in answer["segments"]] == ["Speaker 1", "Speaker 2", "Speaker 1"]
    assert answer["segments"][0]["words"] == [{"word": "word0.", "start": 0.1, "end": 0.9}]
    assert answer["segments"][0]["confidence"] == pytest.approx(0.9)
    assert set(answer) == {"text", "language", "duration", "segments", "speakers", "model"}
    assert headers["X-Request-Id"]


async def test_without_diarization_there_is_no_speaker_anywhere(tmp_path: Path) -> None:
    _, _, _, text = await post(tmp_path, form(diarize="false"))

    answer = json.loads(text)
    assert answer["speakers"] == []
    assert all("speaker" not in segment for segment in answer["segments"])


async def test_the_number_of_speakers_and_the_language_reach_the_services(tmp_path: Path) -> None:
    mesh = FakeMesh()

    _, _, _, text = await post(tmp_path, form(speakers="3", language="DE"), mesh)

    assert json.loads(text)["language"] == "de"
    assert mesh.diarizer.bounds[-1].exact == 3


@pytest.mark.parametrize(
    ("response_format", "content_type"),
    [("txt", "text/plain"), ("text", "text/plain"), ("srt", "application/x-subrip"), ("vtt", "text/vtt")],
)
async def test_texts_come_as_themselves_or_wrapped_for_the_sdk(
    tmp_path: Path, response_format: str, content_type: str
) -> None:
    async with FakeMesh().client(tmp_path) as client:
        answers = [
            await client.post("/v1/transcribe", data=form(response_format=response_format), headers=headers)
            for headers in ({}, {"Accept": "application/json"}, {"User-Agent": "stt-ai-python/0.1.0"})
        ]
        plain, asked, sdk = [await answer.text() for answer in answers]

    assert answers[0].content_type == content_type
    assert "Speaker 1" in plain
    assert json.loads(asked) == json.loads(sdk) == {"text": plain}
    if response_format == "srt":
        assert next(srt.parse(plain)).content == "Speaker 1: word0."
    if response_format == "vtt":
        assert len(webvtt.from_string(plain).captions) == 3


async def test_verbose_json_carries_the_evidence(tmp_path: Path) -> None:
    _, _, _, text = await post(tmp_path, form(response_format="verbose_json"))

    answer = json.loads(text)
    segment = answer["segments"][0]
    assert segment["avg_logprob"] == pytest.approx(-0.1)
    assert (segment["language"], segment["language_probability"]) == ("en", 0.9)
    assert segment["words"][0]["probability"] == pytest.approx(0.9)
    assert answer["task"] == "transcribe"
    assert answer["suppressed"] == [
        {"start": 2.75, "end": 3.0, "text": "Thanks for watching!", "reason": "stock_phrase"}
    ]


async def test_verbose_json_can_do_without_words_and_still_knows_the_speakers(tmp_path: Path) -> None:
    mesh = FakeMesh()
    _, _, _, text = await post(tmp_path, form(response_format="verbose_json", word_timestamps="false"), mesh)

    segments = json.loads(text)["segments"]
    assert [segment["speaker"] for segment in segments] == ["Speaker 1", "Speaker 2", "Speaker 1"]
    assert all("words" not in segment for segment in segments)
    assert not mesh.asr.configs[0].omit_words


async def test_all_that_guides_recognition_reaches_asr(tmp_path: Path) -> None:
    mesh = FakeMesh()
    fields = {"task": "translate", "prompt": "Minutes, by Ada.", "hotwords": "gRPC, Łódź", "beam_size": "7"}

    _, _, _, text = await post(tmp_path, form(language="de", response_format="verbose_json", **fields), mesh)

    config = mesh.asr.configs[0]
    assert (config.task, config.initial_prompt) == (asr_pb2.TASK_TRANSLATE, "Minutes, by Ada.")
    assert (list(config.hint_phrases), config.beam_size) == (["gRPC", "Łódź"], 7)
    assert json.loads(text)["task"] == "translate"


async def test_the_longest_prompt_and_the_longest_hotwords_reach_asr(tmp_path: Path) -> None:
    mesh = FakeMesh()
    prompt, phrase = "𝄞" * 2000, "一" * 2000

    status, _, _, _ = await post(tmp_path, form(prompt=prompt, hotwords=", ".join([phrase] * 100)), mesh)

    assert status == 200
    assert mesh.asr.configs[0].initial_prompt == prompt
    assert list(mesh.asr.configs[0].hint_phrases) == [phrase] * 100


async def test_asr_knows_callers_apart_but_neither_keys_nor_addresses(tmp_path: Path) -> None:
    mesh = FakeMesh()
    async with mesh.client(tmp_path) as client:
        for headers in (AUTH, AUTH, {}, {}, EVENTS):
            answer = await client.post("/v1/transcribe", data=form(diarize="false"), headers=headers)
            await answer.read()

    with_key, again, *anonymous = [config.caller for config in mesh.asr.configs]
    assert with_key == again == OWNER
    assert len(anonymous) == 3
    assert len(set(anonymous)) == 1
    assert re.fullmatch(r"ip:[0-9a-f]{32}", anonymous[0])


async def test_what_asr_refuses_comes_back_under_the_forms_own_name(tmp_path: Path) -> None:
    refusal = invalid_field("hint_phrases", "They have 300 tokens together; base takes 223.")

    status, _, _, text = await post(tmp_path, form(hotwords="a, b"), FakeMesh(asr=FakeAsr(failure=refusal)))

    assert (status, json.loads(text)["field"]) == (400, "hotwords")
    assert "223" in json.loads(text)["error"]


async def test_a_translation_that_no_model_can_give_is_refused(tmp_path: Path) -> None:
    mesh = FakeMesh(asr=FakeAsr(can_translate=False))

    status, _, _, text = await post(tmp_path, form(task="translate"), mesh)

    assert (status, json.loads(text)["field"]) == (400, "task")
    assert "cannot translate" in json.loads(text)["error"]
    assert mesh.asr.configs == []


async def test_fields_may_come_before_the_file(tmp_path: Path) -> None:
    data = aiohttp.FormData()
    data.add_field("language", "de")
    data.add_field("diarize", "false")
    data.add_field("file", tone(1), filename="x")

    status, _, _, text = await post(tmp_path, data)

    assert (status, json.loads(text)["language"]) == (200, "de")


@pytest.mark.parametrize(
    ("fields", "field", "allowed"),
    [
        ({"model": "huge"}, "model", "large-v3-turbo"),
        ({"model": ""}, "model", "base"),
        ({"language": "xx"}, "language", "auto"),
        ({"language": "english"}, "language", "en, de"),
        ({"diarize": "maybe"}, "diarize", "true or false"),
        ({"speakers": "two"}, "speakers", "whole number"),
        ({"speakers": "-1"}, "speakers", "0"),
        ({"speakers": "1.5"}, "speakers", "whole number"),
        ({"speakers": "51"}, "speakers", "50"),
        ({"response_format": "docx"}, "response_format", "json, verbose_json, txt, srt, vtt"),
        ({"task": "summarize"}, "task", "transcribe, translate"),
        ({"prompt": "x" * 2001}, "prompt", "2000 characters"),
        ({"prompt": "x" * 20_000}, "prompt", "longer"),
        ({"hotwords": "x," * 101}, "hotwords", "100 phrases"),
        ({"hotwords": "x" * 900_000}, "hotwords", "longer"),
        ({"beam_size": "11"}, "beam_size", "from 1 to 10"),
        ({"word_timestamps": "perhaps"}, "word_timestamps", "true or false"),
        ({"word_timestamps": "false"}, "word_timestamps", "verbose_json"),
        ({"word_timestamps": "false", "response_format": "srt"}, "word_timestamps", "verbose_json"),
        ({"summarize": "poem"}, "summarize", "brief, detailed, action_items"),
        ({"summarize": "brief", "response_format": "srt"}, "summarize", "json or verbose_json"),
        ({"modle": "base"}, "modle", "model, language"),
        ({"language": "x" * 5000}, "language", "longer"),
    ],
)
async def test_a_wrong_field_is_named_with_what_is_allowed(
    tmp_path: Path, fields: dict[str, str], field: str, allowed: str
) -> None:
    status, _, content_type, text = await post(tmp_path, form(**fields))

    answer = json.loads(text)
    assert (status, content_type) == (400, "application/json")
    assert answer["field"] == field
    assert allowed in answer["error"]
    assert answer["code"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"just some text, you know\n" * 50, "text"),
        (b"RIFF\x24\x00\x00\x00WAVE" + bytes(60), "damaged"),
    ],
)
async def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    data = aiohttp.FormData()
    data.add_field("file", content, filename="x.wav")

    status, _, _, text = await post(tmp_path, data)

    assert (status, json.loads(text)["field"]) == (400, "file")
    assert words in json.loads(text)["error"]


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic abc", "sk-of-the-tests", ""])
async def test_a_bad_key_is_never_taken_for_no_key(tmp_path: Path, header: str) -> None:
    status, headers, _, text = await post(tmp_path, form(), headers={"Authorization": header})

    assert status == 401
    assert json.loads(text)["code"] == "invalid_api_key"
    assert headers["WWW-Authenticate"] == "Bearer"


async def test_anonymous_callers_can_be_shut_out(tmp_path: Path) -> None:
    async with FakeMesh(settings={"allow_anonymous": False}).client(tmp_path) as client:
        without = await client.post("/v1/transcribe", data=form())
        with_key = await client.post("/v1/transcribe", data=form(), headers=AUTH)

    assert (without.status, with_key.status) == (401, 200)


class FullDiarizer(FakeDiarizer):
    """Has no room for anybody."""

    def listen(self, blocks: Sequence[Block]) -> list[list[LocalSpeakers]]:
        raise MeshError(Fault.OVERLOADED, "Too many are waiting.", code="queue_full")


@pytest.mark.parametrize("name", ["asr", "diarize"])
async def test_a_service_that_is_down_is_503_with_retry_after(tmp_path: Path, name: str) -> None:
    status, headers, _, text = await post(tmp_path, form(diarize="true"), FakeMesh(down=frozenset({name})))

    assert (status, json.loads(text)["code"]) == (503, f"{name}_unavailable")
    assert int(headers["Retry-After"]) >= 1


async def test_diarize_is_not_needed_when_nobody_wants_speakers(tmp_path: Path) -> None:
    status, _, _, text = await post(tmp_path, form(diarize="false"), FakeMesh(down=frozenset({"diarize"})))

    assert status == 200
    assert "warnings" not in json.loads(text)


async def test_who_did_not_ask_for_speakers_gets_a_transcript_without_and_a_warning(tmp_path: Path) -> None:
    status, _, _, text = await post(tmp_path, form(), FakeMesh(down=frozenset({"diarize"})))

    answer = json.loads(text)
    assert (status, answer["text"]) == (200, "word0. word1. word2.")
    assert (answer["warnings"], answer["speakers"]) == (["diarization_unavailable"], [])
    assert not any("speaker" in segment for segment in answer["segments"])


@pytest.mark.parametrize(
    ("fields", "expected"), [({}, 200), ({"diarize": "true"}, 429)], ids=["by default", "asked for"]
)
async def test_so_he_does_when_diarize_fails_halfway(tmp_path: Path, fields: dict[str, str], expected: int) -> None:
    mesh = FakeMesh(diarizer=FullDiarizer())

    status, _, _, text = await post(tmp_path, form(**fields), mesh)

    assert status == expected
    assert expected != 200 or json.loads(text)["warnings"] == ["diarization_unavailable"]


async def test_a_client_that_leaves_cancels_both_services(tmp_path: Path) -> None:
    mesh = FakeMesh(asr=FakeAsr(hold=True))
    mesh.diarizer.gate = threading.Event()
    async with mesh.client(tmp_path) as client:
        posting = asyncio.ensure_future(client.post("/v1/transcribe", data=form(5)))
        assert await asyncio.wait_for(mesh.asr.running.wait(), 10)
        assert await asyncio.to_thread(mesh.diarizer.started.wait, 10)
        posting.cancel()

        assert await asyncio.wait_for(mesh.asr.cancelled.wait(), 10)
        mesh.diarizer.gate.set()
        await asyncio.sleep(0.3)  # time enough for a block that nobody wants
    assert len(mesh.diarizer.calls) == 1
    assert spooled(tmp_path) == []


async def test_progress_and_result_come_as_events_when_asked_for(tmp_path: Path) -> None:
    _, _, content_type, text = await post(tmp_path, form(), headers=EVENTS)

    told = events(text)
    assert content_type == "text/event-stream"
    assert (told[0][0], set(told[0][1])) == ("progress", {"stage", "ratio"})
    assert (told[-1][0], told[-1][1]["text"]) == ("result", "word0. word1. word2.")


async def test_a_failure_after_the_first_event_comes_as_an_event(tmp_path: Path) -> None:
    data = aiohttp.FormData()
    data.add_field("file", b"nonsense" * 100, filename="x.wav")

    status, _, _, text = await post(tmp_path, data, headers=EVENTS)

    name, body = events(text)[-1]
    assert (status, name) == (200, "error")
    assert body["status"] == 400


SPOKEN = [
    {"text": "Anna must write the letter.", "speaker": "Anna", "start": 0.5, "end": 2.0},
    {"text": "So she does.", "speaker": None, "start": 2.5, "end": 3.25},
]


async def summarize(tmp_path: Path, body: Any, mesh: FakeMesh | None = None, **headers: str) -> tuple[int, Any, str]:
    """Return status, headers and text of one summary."""
    async with (mesh or FakeMesh()).client(tmp_path) as client:
        answer = await client.post("/v1/summarize", json=body, headers=headers)
        return answer.status, answer.headers, await answer.text()


@pytest.mark.parametrize(
    ("style", "canonical"),
    [
        ("brief", "brief"),
        ("detailed", "detailed"),
        ("action_items", "action_items"),
        ("bullet_points", "bullet_points"),
        ("bullets", "bullet_points"),
        ("headline", "headline"),
    ],
)
async def test_a_summary_is_as_the_contract_shows_it(tmp_path: Path, style: str, canonical: str) -> None:
    status, headers, text = await summarize(tmp_path, {"text": "A long talk about letters.", "style": style})

    answer = json.loads(text)
    assert status == 200
    assert answer.pop("summary").strip("- ").startswith("A long talk about")
    assert answer.pop("usage")["input_tokens"] == 5
    assert answer == {"style": canonical, "model": MODEL, "language": "en", "coverage": 1.0, "parts": 1}
    assert headers["X-Request-Id"]


async def test_the_summary_of_segments_says_where_it_comes_from(tmp_path: Path) -> None:
    mesh = FakeMesh(summarize=FakeSummarize(warnings=("instructions_set_aside",)))
    body = {"segments": SPOKEN, "style": "bullets", "language": "de", "notes": True}

    status, _, text = await summarize(tmp_path, body, mesh, **AUTH)

    answer = json.loads(text)
    times = [{"start": 0.5, "end": 3.25, "segments": [0, 1]}]
    assert (status, answer["language"], answer["parts"]) == (200, "de", 2)
    assert answer["sources"] == [
        {"text": "- Anna must write the", "times": times},
        {"text": "- letter. So she does.", "times": times},
    ]
    assert answer["notes"] == [
        {"part": 0, "text": "Anna must write the letter.", "kind": "task", "start": 0.5, "end": 2.0},
        {"part": 1, "text": "So she does.", "kind": "point", "start": 2.5, "end": 3.25},
    ]
    assert answer["warnings"] == ["instructions_set_aside"]
    request = mesh.summarize.requests[0]
    assert (request.language_code, request.caller) == ("de", OWNER)
    assert [segment.speaker for segment in request.segments] == ["Anna", ""]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([1], "body"),
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"segments": [{"text": "Hi.", "start": 1}]}, "segments"),
        ({"text": "x", "style": "poem"}, "style"),
        ({"text": "x", "language": "english"}, "language"),
        ({"text": "x", "language": "xx"}, "language"),
        ({"text": "x", "notes": "yes"}, "notes"),
        ({"text": "x", "lenght": 3}, "lenght"),
        ({"text": "x", "\ud800": 1}, "?"),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_wrong_summary_request_names_the_field(tmp_path: Path, body: Any, field: str, accept: str) -> None:
    status, headers, text = await summarize(tmp_path, body, Accept=accept)

    assert (status, headers["Content-Type"]) == (400, "application/json; charset=utf-8")
    assert json.loads(text)["field"] == field


async def test_a_summary_needs_a_valid_key_too(tmp_path: Path) -> None:
    status, _, text = await summarize(tmp_path, {"text": "Hi."}, Authorization="Bearer wrong")

    assert (status, json.loads(text)["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_summarize_that_is_down_is_503_with_retry_after(tmp_path: Path, accept: str) -> None:
    status, headers, text = await summarize(
        tmp_path, {"text": "Hi."}, FakeMesh(down=frozenset({"summarize"})), Accept=accept
    )

    assert (status, json.loads(text)["code"]) == (503, "summarize_unavailable")
    assert int(headers["Retry-After"]) >= 1


async def test_hours_of_segments_with_all_their_words_are_taken(tmp_path: Path) -> None:
    words = [{"word": "word", "start": 1.0, "end": 1.5, "probability": 0.9876, "overlap": False}] * 10
    segment = {
        "start": 1.0,
        "end": 9.0,
        "text": "word " * 10,
        "speaker": "Speaker 1",
        "confidence": 0.9,
        "words": words,
    }
    mesh = FakeMesh()
    async with mesh.client(tmp_path) as client:
        answer = await client.post("/v1/summarize", data=_json({"segments": [segment] * 15_000}))

        assert answer.status == 200
    assert len(mesh.summarize.requests[0].segments) == 15_000


@pytest.mark.parametrize("length_known", [True, False])
async def test_a_body_over_16_mib_is_413(tmp_path: Path, length_known: bool) -> None:
    body = _json({"text": "word " * 3_400_000})
    async with FakeMesh().client(tmp_path) as client:
        answer = await client.post("/v1/summarize", data=body if length_known else _pieces(body))

        assert (answer.status, (await answer.json())["code"]) == (413, "body_too_large")


def _json(body: Any) -> io.BytesIO:
    return io.BytesIO(json.dumps(body).encode())


async def _pieces(body: io.BytesIO) -> AsyncIterator[bytes]:
    while piece := body.read(2**16):
        yield piece


async def test_a_summary_comes_in_events_when_asked_for(tmp_path: Path) -> None:
    body = {"segments": SPOKEN, "notes": True}
    _, _, plain = await summarize(tmp_path, body)
    _, headers, text = await summarize(tmp_path, body, Accept="text/event-stream")

    told = events(text)
    ratios = [data["ratio"] for name, data in told if name == "progress"]
    assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert told[-1] == ("result", json.loads(plain))
    assert "".join(data["text"] for name, data in told if name == "delta") == json.loads(plain)["summary"]
    assert ratios == sorted(ratios)
    assert {name for name, _ in told} <= {"progress", "delta", "result"}


async def test_the_first_words_of_a_summary_come_before_the_last_are_written(tmp_path: Path) -> None:
    mesh = FakeMesh(summarize=FakeSummarize(hold=True))
    async with mesh.client(tmp_path) as client:
        answer = await client.post("/v1/summarize", json={"text": "A long talk."}, headers=EVENTS)
        while (await answer.content.readline()) != b'data: {"text":"A"}\n':
            pass
        mesh.summarize.released.set()
        rest = await answer.text()

    assert events(rest.partition("\n")[2])[-1][1]["summary"] == "A long talk."


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_client_that_leaves_cancels_its_summary(tmp_path: Path, accept: str) -> None:
    mesh = FakeMesh(summarize=FakeSummarize(hold=True))
    body = b'{"text": "A long talk."}'
    head = f"POST /v1/summarize HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nContent-Length: {len(body)}\r\n\r\n"
    async with mesh.client(tmp_path) as client:
        _, writer = await asyncio.open_connection(client.server.host, client.server.port)
        writer.write(head.encode() + body)
        await asyncio.wait_for(mesh.summarize.running.wait(), 10)
        writer.close()

        assert await asyncio.wait_for(mesh.summarize.cancelled.wait(), 10)
        await writer.wait_closed()


@pytest.mark.parametrize("response_format", ["json", "verbose_json"])
async def test_a_transcript_comes_with_its_summary_when_asked_for(tmp_path: Path, response_format: str) -> None:
    mesh = FakeMesh()

    status, _, _, text = await post(tmp_path, form(summarize="bullets", response_format=response_format), mesh)

    answer = json.loads(text)
    assert (status, answer["text"]) == (200, "word0. word1. word2.")
    assert answer["summary"] == "- word0. word1. word2."
    assert answer["summary_details"] == {
        "style": "bullet_points",
        "model": MODEL,
        "language": "en",
        "coverage": 1.0,
        "parts": 3,
        "usage": {"input_tokens": 3, "output_tokens": 4},
        "sources": [{"text": "- word0. word1. word2.", "times": [{"start": 0.1, "end": 1.9, "segments": [0, 1]}]}],
    }
    request = mesh.summarize.requests[0]
    assert [segment.speaker for segment in request.segments] == ["Speaker 1", "Speaker 2", "Speaker 1"]
    assert request.caller == mesh.asr.configs[0].caller


async def test_without_the_wish_for_a_summary_summarize_is_not_needed(tmp_path: Path) -> None:
    status, _, _, text = await post(tmp_path, form(), FakeMesh(down=frozenset({"summarize"})))

    assert status == 200
    assert "summary" not in json.loads(text)


async def test_who_wants_a_summary_while_summarize_is_down_is_told_before_any_work(tmp_path: Path) -> None:
    mesh = FakeMesh(down=frozenset({"summarize"}))

    status, headers, _, text = await post(tmp_path, form(summarize="brief"), mesh)

    assert (status, json.loads(text)["code"]) == (503, "summarize_unavailable")
    assert int(headers["Retry-After"]) >= 1
    assert mesh.asr.configs == []


async def test_progress_of_a_transcript_goes_on_to_its_summary(tmp_path: Path) -> None:
    mesh = FakeMesh(summarize=FakeSummarize(hold=True))
    async with mesh.client(tmp_path) as client:
        answer = await client.post("/v1/transcribe", data=form(summarize="brief"), headers=EVENTS)
        await asyncio.wait_for(mesh.summarize.running.wait(), 10)
        await asyncio.sleep(0.6)  # time enough for two events
        mesh.summarize.released.set()
        told = events(await answer.text())

    order = ["decoding", "transcribing", "summarizing"]
    stages = [order.index(data["stage"]) for name, data in told if name == "progress"]
    assert stages == sorted(stages)
    assert ("progress", {"stage": "summarizing", "ratio": 0.25}) in told
    assert told[-1][0] == "result"
    assert told[-1][1]["summary"] == "word0. word1. word2."


async def test_models_languages_and_health_need_no_key(tmp_path: Path) -> None:
    async with FakeMesh(down=frozenset({"summarize"}), settings={"allow_anonymous": False}).client(tmp_path) as client:
        await client.get("/v1/models")
        models = await (await client.get("/v1/models")).json()
        languages = await (await client.get("/v1/languages")).json()
        for _ in range(50):
            health = await (await client.get("/health")).json()
            if health["tiers"]["diarize"] == "ok":
                break
            await asyncio.sleep(0.05)

    assert models["models"] == [
        {"id": "base", "name": "Whisper Base", "languages": 2, "speed": "very_fast"},
        {"id": "large-v3-turbo", "name": "large-v3-turbo", "languages": 2, "speed": "fast", "runs": "base"},
    ]
    assert languages == {"languages": [{"code": "en", "name": "english"}, {"code": "de", "name": "german"}]}
    assert health["status"] == "degraded"
    assert (health["gpu_available"], health["gpu_name"]) == (False, None)


async def test_health_without_asr_is_503(tmp_path: Path) -> None:
    async with FakeMesh(down=frozenset({"asr"})).client(tmp_path) as client:
        answer = await client.get("/health")

        assert answer.status == 503
        assert (await answer.json())["status"] == "unavailable"
