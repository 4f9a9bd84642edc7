import io
import json
from dataclasses import replace
from typing import Any

import pytest
import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from services.edge.render import FORMATS, render
from services.edge.summary import Section, Source, Summary, nothing_said
from services.edge.transcript import Segment, Suppressed, Transcript, Word
from services.runtime.errors import Fault, MeshError


def segment(text: str, start: float, speaker: int | None = None) -> Segment:
    tokens = enumerate(text.split(" "))
    confidence = None if speaker is None else 0.87655
    words = tuple(Word(f" {token}", start + n, start + n + 0.8, 0.95, speaker, confidence) for n, token in tokens)
    return Segment(start, words[-1].end, text, words, 0.95, -0.21, 0.01, 1.2, "en", 0.98765, speaker)


def transcript(*segments: Segment, diarized: bool = True, duration: float = 125.4) -> Transcript:
    speakers = {s.speaker for s in segments if s.speaker is not None}
    names = tuple(f"Speaker {number + 1}" for number in range(len(speakers)))
    return Transcript(segments, "en", 0.98765, duration, "base", diarized, names)


TALK = transcript(segment("Hello, welcome.", 0.0, 0), segment("Thank you.", 3.0, 1), segment("Who is that?", 6.0, None))
PLAIN = transcript(segment("Hello, welcome.", 0.0), segment("Thank you.", 3.0), diarized=False)
NOTHING = transcript()


def body(of: Transcript, response_format: str) -> Any:
    return render(of, response_format).body


def test_json_is_the_contract() -> None:
    answer = body(TALK, "json")
    assert list(answer) == ["text", "language", "duration", "segments", "speakers", "model"]
    assert answer["text"] == "Hello, welcome. Thank you. Who is that?"
    assert (answer["language"], answer["duration"], answer["model"]) == ("en", 125.4, "base")
    assert answer["speakers"] == ["Speaker 1", "Speaker 2"]
    assert answer["segments"][0] == {
        "start": 0.0,
        "end": 1.8,
        "text": "Hello, welcome.",
        "speaker": "Speaker 1",
        "confidence": 0.95,
        "words": [
            {"word": "Hello,", "start": 0.0, "end": 0.8},
            {"word": "welcome.", "start": 1.0, "end": 1.8},
        ],
    }


def test_an_unknown_speaker_is_null() -> None:
    assert body(TALK, "json")["segments"][2]["speaker"] is None


@pytest.mark.parametrize("response_format", ["json", "verbose_json"])
def test_without_diarization_nothing_names_a_speaker(response_format: str) -> None:
    answer = body(PLAIN, response_format)
    assert answer["speakers"] == []
    assert '"speaker":' not in json.dumps(answer)


def test_verbose_json_tells_what_the_model_knew() -> None:
    answer = body(TALK, "verbose_json")
    assert (answer["task"], answer["language_probability"]) == ("transcribe", 0.9877)
    assert [item["id"] for item in answer["segments"]] == [0, 1, 2]
    first = answer["segments"][0]
    assert (first["avg_logprob"], first["no_speech_prob"], first["compression_ratio"]) == (-0.21, 0.01, 1.2)
    assert (first["language"], first["language_probability"]) == ("en", 0.9877)
    assert first["words"][0] == {
        "word": "Hello,",
        "start": 0.0,
        "end": 0.8,
        "probability": 0.95,
        "speaker": "Speaker 1",
        "speaker_confidence": 0.8766,
        "overlap": False,
    }


def test_an_unknown_speakers_words_have_no_confidence() -> None:
    word = body(TALK, "verbose_json")["segments"][2]["words"][0]
    assert (word["speaker"], word["speaker_confidence"], word["overlap"]) == (None, None, False)


def test_verbose_json_marks_words_over_which_others_speak() -> None:
    one = segment("Both.", 0.0, 0)
    shouted = replace(one, words=(replace(one.words[0], overlap=True),))
    assert body(transcript(shouted), "verbose_json")["segments"][0]["words"][0]["overlap"] is True


def test_without_diarization_words_have_no_speakers_evidence() -> None:
    word = body(PLAIN, "verbose_json")["segments"][0]["words"][0]
    assert list(word) == ["word", "start", "end", "probability"]


def test_verbose_json_has_all_that_json_has() -> None:
    short, long = body(TALK, "json"), body(TALK, "verbose_json")
    assert {key: long[key] for key in short if key != "segments"} == {
        key: value for key, value in short.items() if key != "segments"
    }
    for brief, full in zip(short["segments"], long["segments"], strict=True):
        assert {key: full[key] for key in brief if key != "words"} == {
            key: value for key, value in brief.items() if key != "words"
        }


def test_verbose_json_lists_what_was_held_back() -> None:
    held_back = Suppressed(7.00049, 8.5, "Thanks for watching!", "stock_phrase")
    answer = body(replace(TALK, suppressed=(held_back,)), "verbose_json")
    assert answer["suppressed"] == [
        {"start": 7.0, "end": 8.5, "text": "Thanks for watching!", "reason": "stock_phrase"}
    ]
    assert "Thanks" not in answer["text"]


def test_where_nothing_was_held_back_verbose_json_says_so() -> None:
    assert body(TALK, "verbose_json")["suppressed"] == []


@pytest.mark.parametrize("response_format", ["json", "txt", "srt", "vtt"])
def test_no_other_format_tells_what_was_held_back(response_format: str) -> None:
    held_back = Suppressed(7.0, 8.5, "Thanks for watching!", "stock_phrase")
    assert body(replace(TALK, suppressed=(held_back,)), response_format) == body(TALK, response_format)


@pytest.mark.parametrize("task", ["transcribe", "translate"])
def test_verbose_json_says_which_task_was_asked_for(task: str) -> None:
    assert body(replace(TALK, task=task), "verbose_json")["task"] == task


def test_verbose_json_without_word_times_is_the_same_but_for_the_words() -> None:
    full, wordless = body(TALK, "verbose_json"), body(replace(TALK, word_timestamps=False), "verbose_json")
    for item in full["segments"]:
        del item["words"]
    assert wordless == full


SUMMARY = Summary(
    text="They meet.",
    style="brief",
    model="qwen",
    language="en",
    coverage=1.0,
    part_count=1,
    sections=(Section("They meet.", (Source(0, 1, (0.0, 3.80049)),)),),
    notes=(),
    input_tokens=40,
    output_tokens=3,
    warnings=(),
)


@pytest.mark.parametrize("response_format", ["json", "verbose_json"])
def test_a_summary_that_was_asked_for_comes_with_all_that_is_known_of_it(response_format: str) -> None:
    answer = body(replace(TALK, summary_asked=True, summary=SUMMARY), response_format)
    assert answer["summary"] == "They meet."
    assert answer["summary_details"] == {
        "style": "brief",
        "model": "qwen",
        "language": "en",
        "coverage": 1.0,
        "parts": 1,
        "usage": {"input_tokens": 40, "output_tokens": 3},
        "sources": [{"text": "They meet.", "times": [{"start": 0.0, "end": 3.8, "segments": [0, 1]}]}],
    }


def test_a_summarys_warnings_are_its_own() -> None:
    warned = replace(TALK, summary_asked=True, summary=replace(SUMMARY, warnings=("instructions_set_aside",)))
    answer = body(warned, "json")
    assert answer["summary_details"]["warnings"] == ["instructions_set_aside"]
    assert "warnings" not in answer


def test_a_summary_that_is_not_to_be_had_is_null() -> None:
    answer = body(replace(TALK, summary_asked=True, warnings=("summary_unavailable",)), "json")
    assert (answer["summary"], answer["summary_details"]) == (None, None)
    assert answer["warnings"] == ["summary_unavailable"]


def test_a_recording_without_speech_has_an_empty_summary() -> None:
    answer = body(replace(NOTHING, summary_asked=True, summary=nothing_said("brief", "en")), "json")
    assert (answer["summary"], answer["summary_details"]["sources"]) == ("", [])


@pytest.mark.parametrize("response_format", ["json", "verbose_json"])
def test_without_the_wish_for_a_summary_nothing_speaks_of_one(response_format: str) -> None:
    assert "summary" not in json.dumps(body(TALK, response_format))


def chinese(*speakers: int | None) -> Transcript:
    segments = (replace(segment("今天很好", 2.0 * n, who), language="zh") for n, who in enumerate(speakers))
    return transcript(*segments)


@pytest.mark.parametrize("response_format", ["json", "verbose_json"])
def test_chinese_text_has_no_spaces_between_segments(response_format: str) -> None:
    assert body(chinese(0, 1, 0), response_format)["text"] == "今天很好" * 3


def test_chinese_dialogue_has_no_spaces_between_segments() -> None:
    assert body(chinese(0, 0, 1), "txt") == "Speaker 1: 今天很好今天很好\nSpeaker 2: 今天很好\n"


@given(st.lists(st.floats(0.0, 1e5), min_size=4, max_size=4).map(sorted))
def test_rounding_keeps_times_in_order(edges: list[float]) -> None:
    word = Word("a", edges[1], edges[2], 0.5)
    one = Segment(edges[0], edges[2], "a", (word,), 0.5, -1.0, 0.0, 1.0, "en", 1.0)
    answer = body(transcript(one, duration=edges[3]), "json")
    shown = answer["segments"][0]
    assert shown["start"] <= shown["words"][0]["start"] <= shown["words"][0]["end"] <= shown["end"]
    assert shown["end"] <= answer["duration"]


def test_text_with_speakers_reads_as_dialogue() -> None:
    more = transcript(segment("One.", 0.0, 0), segment("Two.", 2.0, 0), segment("Three.", 4.0, 1))
    assert body(more, "txt") == "Speaker 1: One. Two.\nSpeaker 2: Three.\n"
    assert body(TALK, "txt").splitlines()[-1] == "Unknown: Who is that?"


def test_text_without_speakers_has_a_line_for_each_segment() -> None:
    assert body(PLAIN, "txt") == "Hello, welcome.\nThank you.\n"
    assert body(transcript(segment("Nobody known.", 0.0)), "txt") == "Nobody known.\n"


def test_text_is_another_name_of_txt() -> None:
    assert render(TALK, "text") == render(TALK, "txt")


def test_srt_reads_back_with_names_and_times() -> None:
    subtitles = list(srt.parse(body(TALK, "srt")))
    assert [subtitle.content for subtitle in subtitles] == [
        "Speaker 1: Hello, welcome.",
        "Speaker 2: Thank you.",
        "Who is that?",
    ]
    assert [subtitle.index for subtitle in subtitles] == [1, 2, 3]
    assert subtitles[1].start.total_seconds() == 3.0
    assert body(TALK, "srt").startswith("1\n00:00:00,000 --> 00:00:02,300\n")


def test_vtt_reads_back_with_voices_and_times() -> None:
    captions = list(webvtt.WebVTT.from_buffer(io.StringIO(body(TALK, "vtt"))))
    assert [(caption.voice, caption.text) for caption in captions] == [
        ("Speaker 1", "Hello, welcome."),
        ("Speaker 2", "Thank you."),
        (None, "Who is that?"),
    ]
    assert captions[1].start == "00:00:03.000"


def test_subtitles_without_diarization_name_nobody() -> None:
    assert "Speaker" not in body(PLAIN, "srt") + body(PLAIN, "vtt") + body(PLAIN, "txt")


def test_vtt_escapes_what_would_be_markup() -> None:
    answer = body(transcript(segment("R&D <b> a --> b", 0.0)), "vtt")
    assert "R&amp;D &lt;b&gt; a --&gt; b" in answer


def test_srt_text_cannot_pass_for_a_cues_times() -> None:
    (subtitle,) = srt.parse(body(transcript(segment("00:00:01,000 --> 00:00:02,000 x", 0.0)), "srt"))
    assert "-->" not in subtitle.content


@pytest.mark.parametrize("response_format", ["srt", "vtt"])
def test_line_breaks_in_the_text_do_not_break_the_file(response_format: str) -> None:
    words = (
        Word(" one\r\n\r\ntwo", 0.0, 1.0, 0.9),
        Word("\n\n", 1.0, 1.0, 0.9),
        Word(" \rthree", 1.0, 2.0, 0.9),
    )
    broken = Segment(0.0, 2.0, "one\r\n\r\ntwo \rthree", words, 0.9, -0.1, 0.0, 1.0, "en", 1.0)
    answer = body(transcript(broken), response_format)
    assert "one two three" in answer
    assert "\r" not in answer


def test_recordings_may_be_longer_than_a_hundred_hours() -> None:
    late = transcript(segment("Still here.", 360_000.0), duration=400_000.0)
    assert "100:00:00,000 --> 100:00:02,300" in body(late, "srt")
    assert "100:00:00.000 --> 100:00:02.300" in body(late, "vtt")


def test_a_recording_without_speech_gives_valid_empty_files() -> None:
    assert body(NOTHING, "srt") == ""
    assert body(NOTHING, "vtt") == "WEBVTT\n\n"
    assert body(NOTHING, "txt") == ""
    assert body(NOTHING, "json")["text"] == ""
    assert list(webvtt.WebVTT.from_buffer(io.StringIO(body(NOTHING, "vtt")))) == []


def test_each_format_has_its_content_type() -> None:
    assert {name: render(TALK, name).content_type for name in FORMATS} == {
        "json": "application/json",
        "verbose_json": "application/json",
        "txt": "text/plain",
        "srt": "application/x-subrip",
        "vtt": "text/vtt",
    }


def test_an_unknown_format_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(MeshError, match="json, verbose_json, txt, srt, vtt") as caught:
        render(TALK, "docx")
    assert (caught.value.fault, caught.value.field) == (Fault.INVALID, "response_format")


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(words, min_size=1, max_size=12))
def test_subtitles_of_any_text_can_be_read_back(texts: list[str]) -> None:
    spoken = tuple(Word(f" {text}", n, n + 0.5, 0.9, 0) for n, text in enumerate(texts))
    one = Segment(0.0, spoken[-1].end, "".join(w.text for w in spoken), spoken, 0.9, -0.1, 0.0, 1.0, "en", 1.0, 0)
    answers = transcript(one)
    subtitles = list(srt.parse(body(answers, "srt")))
    captions = list(webvtt.WebVTT.from_buffer(io.StringIO(body(answers, "vtt")), strict=True))
    assert len(subtitles) >= bool(captions)
    assert all(caption.voice == "Speaker 1" for caption in captions)
    assert bool(subtitles) == bool(captions)
