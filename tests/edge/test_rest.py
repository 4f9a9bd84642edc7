import asyncio
import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import pytest
import srt
import webvtt

from services.diarize.engine import LocalSpeakers
from services.diarize.windows import Block
from services.edge.keys import Caller, opaque_name
from services.runtime.errors import Fault, MeshError, invalid_field
from speechmesh.asr.v1 import asr_pb2
from tests.diarize.fake_engine import FakeDiarizer
from tests.edge.fake_mesh import AUTH, KEY, FakeAsr, FakeMesh, form, post, spooled, tone
from tests.summarize.fake_engine import FakeSummarizer


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
        for headers in (AUTH, AUTH, {}, {}, {"Accept": "text/event-stream"}):
            answer = await client.post("/v1/transcribe", data=form(diarize="false"), headers=headers)
            await answer.read()

    with_key, again, *anonymous = [config.caller for config in mesh.asr.configs]
    assert with_key == again == f"key:{hashlib.sha256(KEY.encode()).hexdigest()[:8]}"
    assert set(anonymous) == {opaque_name(Caller(None), "127.0.0.1")}
    assert len(anonymous) == 3


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
    _, _, content_type, text = await post(tmp_path, form(), headers={"Accept": "text/event-stream"})

    events = [block.split("\ndata: ") for block in text.strip().split("\n\n")]
    assert content_type == "text/event-stream"
    assert events[0][0] == "event: progress"
    assert set(json.loads(events[0][1])) == {"stage", "ratio"}
    assert events[-1][0] == "event: result"
    assert json.loads(events[-1][1])["text"] == "word0. word1. word2."


async def test_a_failure_after_the_first_event_comes_as_an_event(tmp_path: Path) -> None:
    data = aiohttp.FormData()
    data.add_field("file", b"nonsense" * 100, filename="x.wav")

    status, _, _, text = await post(tmp_path, data, headers={"Accept": "text/event-stream"})

    event, body = text.strip().split("\n\n")[-1].split("\ndata: ")
    assert (status, event) == (200, "event: error")
    assert json.loads(body)["status"] == 400


async def test_summaries_take_every_style_and_name_the_model(tmp_path: Path) -> None:
    async with FakeMesh().client(tmp_path) as client:
        for style, canonical in [("brief", "brief"), ("bullets", "bullet_points"), ("headline", "headline")]:
            answer = await client.post("/v1/summarize", json={"text": "A long talk.", "style": style})

            assert answer.status == 200
            body = await answer.json()
            assert (body["style"], body["model"]) == (canonical, FakeSummarizer().model)
            assert body["summary"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{broken", "body"),
        (b"", "body"),
        (b"[1]", "body"),
        (b'"text"', "body"),
        (b"\xff\xfe", "body"),
        (b"{}", "text"),
        (b'{"text": ""}', "text"),
        (b'{"text": 5}', "text"),
        (b'{"text": "half a \\ud800 character"}', "text"),
        (b'{"text": "x", "\\ud800": 1}', "?"),
        (b'{"text": "x", "style": "poem"}', "style"),
        (b'{"text": "x", "style": null}', "style"),
        (b'{"text": "x", "lenght": 3}', "lenght"),
    ],
)
async def test_a_wrong_summary_request_names_the_field(tmp_path: Path, body: bytes, field: str) -> None:
    async with FakeMesh().client(tmp_path) as client:
        answer = await client.post("/v1/summarize", data=body, headers={"Content-Type": "application/json"})

        assert answer.status == 400
        assert (await answer.json())["field"] == field


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
