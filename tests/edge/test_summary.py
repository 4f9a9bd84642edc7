import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.render import render
from services.edge.summary import (
    STYLE_ALIASES,
    STYLES,
    Note,
    Section,
    Source,
    SpokenSegment,
    Summary,
    SummaryRequest,
    SummaryWishes,
    answer_json,
    details_json,
    nothing_said,
    parse_style,
    parse_wishes,
)
from services.edge.transcript import Segment, Transcript, Word
from services.runtime.errors import Fault, MeshError

SUMMARY = Summary(
    text="- Anna writes.\n- Ben pays.",
    style="bullet_points",
    model="qwen2.5-1.5b-instruct",
    language="en",
    coverage=0.89999998,
    part_count=2,
    sections=(
        Section("- Anna writes.", (Source(3, 5, (61.00049, 75.5)), Source(1, 1, None))),
        Section("- Ben pays.", ()),
    ),
    notes=(
        Note(0, "Anna writes the letter.", "task", Source(3, 3, (61.0, 66.0))),
        Note(0, "It is late.", "point", Source(4, 4, None)),
        Note(1, "Ben pays.", "point", None),
    ),
    input_tokens=812,
    output_tokens=19,
    warnings=(),
)
TEXT = SummaryRequest("A long talk.", (), "brief", None, "key:17")
TALK = SummaryRequest("", (SpokenSegment("A long talk.", None, None),), "brief", None, "key:17")


def wishes(**fields: Any) -> SummaryWishes:
    return parse_wishes(json.dumps(fields).encode(), "key:17")


def refusal(body: bytes) -> MeshError:
    with pytest.raises(MeshError) as refused:
        parse_wishes(body, "key:17")
    assert refused.value.fault is Fault.INVALID
    return refused.value


def segment_refusal(**segment: Any) -> str:
    refused = refusal(json.dumps({"segments": [{"text": "Hi."}, segment]}).encode())
    assert (refused.field, refused.code) == ("segments", "invalid_field")
    assert "number 1 " in refused.message
    return refused.message


def test_a_text_is_enough_and_the_rest_has_the_contracts_defaults() -> None:
    assert wishes(text="A long talk.") == SummaryWishes(TEXT, notes=False)


def test_segments_are_enough_too_with_speakers_and_times_where_they_are_known() -> None:
    asked = wishes(
        segments=[
            {"text": "Hi.", "speaker": "Anna", "start": 0, "end": 1.5},
            {"text": "Hello.", "speaker": None},
            {"text": "", "start": 2, "end": 2},
        ]
    )

    assert asked.request.text == ""
    assert asked.request.segments == (
        SpokenSegment("Hi.", "Anna", (0.0, 1.5)),
        SpokenSegment("Hello.", None, None),
        SpokenSegment("", None, (2.0, 2.0)),
    )


def test_all_that_can_be_asked_for() -> None:
    asked = wishes(text="Hi.", segments=[{"text": "Hi."}], style="bullets", language=" DE ", notes=True)

    expected = SummaryRequest("Hi.", (SpokenSegment("Hi.", None, None),), "bullet_points", "de", "key:17")
    assert asked == SummaryWishes(expected, notes=True)


@pytest.mark.parametrize(
    ("language", "code"), [("auto", None), ("AUTO", None), ("ko", "ko"), ("yue", "yue"), ("En\n", "en")]
)
def test_a_language_is_a_code_or_found_out(language: str, code: str | None) -> None:
    assert wishes(text="Hi.", language=language).request.language == code


@pytest.mark.parametrize("style", STYLES)
def test_a_style_is_called_by_its_own_name(style: str) -> None:
    assert parse_style("style", style) == style


@pytest.mark.parametrize("alias", STYLE_ALIASES)
def test_or_by_an_alias(alias: str) -> None:
    assert parse_style("style", alias) == STYLE_ALIASES[alias]


@pytest.mark.parametrize("style", ["", "poem", "Brief", " brief"])
def test_another_style_is_refused_under_the_fields_own_name_with_those_that_there_are(style: str) -> None:
    with pytest.raises(MeshError, match=r"'summarize' must be one of: brief, .*, headline, bullets") as refused:
        parse_style("summarize", style)

    assert (refused.value.fault, refused.value.field) == (Fault.INVALID, "summarize")


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (b"{broken", "body", "not valid JSON"),
        (b"", "body", "not valid JSON"),
        (b"[" * 100_000, "body", "not valid JSON"),
        (b'{"text": ' + b"1" * 5000 + b"}", "body", "not valid JSON"),
        (b"\xff\xfe", "body", "not valid JSON"),
        (b"[1]", "body", "not an object"),
        (b'"text"', "body", "not an object"),
        (b"{}", "text", "'text' and 'segments'"),
        (b'{"style": "brief"}', "text", "'text' and 'segments'"),
        (b'{"text": ""}', "text", "not empty"),
        (b'{"text": " \\n", "segments": [{"text": "Hi."}]}', "text", "not empty"),
        (b'{"text": 5}', "text", "string"),
        (b'{"text": null}', "text", "string"),
        (b'{"text": "half a \\ud800 character"}', "text", "string"),
        (b'{"segments": {"text": "Hi."}}', "segments", "list"),
        (b'{"segments": null, "text": "Hi."}', "segments", "list"),
        (b'{"segments": []}', "segments", "nothing is said"),
        (b'{"segments": [{"text": " "}, {"text": ""}]}', "segments", "nothing is said"),
        (b'{"text": "x", "style": "poem"}', "style", "bullets"),
        (b'{"text": "x", "style": null}', "style", "bullets"),
        (b'{"text": "x", "style": ["brief"]}', "style", "bullets"),
        (b'{"text": "x", "language": "english"}', "language", "ISO 639-1"),
        (b'{"text": "x", "language": "e"}', "language", "ISO 639-1"),
        (b'{"text": "x", "language": "d\xc3\xa9"}', "language", "ISO 639-1"),
        (b'{"text": "x", "language": null}', "language", "ISO 639-1"),
        (b'{"text": "x", "language": ""}', "language", "ISO 639-1"),
        (b'{"text": "x", "notes": "true"}', "notes", "true or false"),
        (b'{"text": "x", "notes": 1}', "notes", "true or false"),
        (b'{"text": "x", "lenght": 3}', "lenght", "text, segments, style, language, notes"),
        (b'{"text": "x", "\\ud800": 1}', "\ud800", "There is no field"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(body: bytes, field: str, words: str) -> None:
    refused = refusal(body)

    assert refused.field == field
    assert words in refused.message


@pytest.mark.parametrize(
    ("segment", "words"),
    [
        ({}, "'text'"),
        ({"text": None}, "'text'"),
        ({"text": ["Hi."]}, "'text'"),
        ({"text": "\ud800"}, "'text'"),
        ({"text": "Hi.", "speaker": 1}, "'speaker'"),
        ({"text": "Hi.", "speaker": "\udfff"}, "'speaker'"),
        ({"text": "Hi.", "begin": 1}, "'begin'; read are: text, speaker, start, end"),
        ({"text": "Hi.", "start": 1}, "or neither"),
        ({"text": "Hi.", "end": 1}, "or neither"),
        ({"text": "Hi.", "start": None, "end": None}, "or neither"),
        ({"text": "Hi.", "start": "1", "end": "2"}, "or neither"),
        ({"text": "Hi.", "start": False, "end": True}, "or neither"),
        ({"text": "Hi.", "start": 2, "end": 1}, "0 <= start <= end"),
        ({"text": "Hi.", "start": -0.1, "end": 1}, "0 <= start <= end"),
        ({"text": "Hi.", "start": 0, "end": float("inf")}, "0 <= start <= end"),
        ({"text": "Hi.", "start": float("nan"), "end": float("nan")}, "0 <= start <= end"),
        ({"text": "Hi.", "start": 0, "end": 10**400}, "0 <= start <= end"),
    ],
)
def test_a_wrong_segment_is_told_by_its_number(segment: dict[str, Any], words: str) -> None:
    assert words in segment_refusal(**segment)


@pytest.mark.parametrize("segment", ["Hi.", None, ["Hi."], 5])
def test_a_segment_that_is_no_object_is_refused(segment: Any) -> None:
    refused = refusal(json.dumps({"segments": [segment]}).encode())

    assert refused.field == "segments"
    assert "number 0 " in refused.message


@pytest.mark.parametrize("diarized", [True, False])
@pytest.mark.parametrize("response_format", ["json", "verbose_json"])
def test_the_segments_of_our_own_transcripts_are_taken_as_they_are(response_format: str, diarized: bool) -> None:
    word = Word(" Hi.", 0.5, 1.0, 0.9, 0, 0.8, True)
    segment = Segment(0.5, 1.0, "Hi.", (word,), 0.9, -0.1, 0.01, 1.2, "en", 0.9, 0)
    answer = render(Transcript((segment,), "en", 0.9, 2.0, "base", diarized, ("Speaker 1",)), response_format).body
    assert isinstance(answer, dict)

    asked = wishes(text=answer["text"], segments=answer["segments"], language=answer["language"])

    assert asked.request.segments == (SpokenSegment("Hi.", "Speaker 1" if diarized else None, (0.5, 1.0)),)


def _outcome(body: bytes) -> SummaryWishes | MeshError:
    try:
        return parse_wishes(body, "key:17")
    except MeshError as refused:
        return refused


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5)
a_segment = st.dictionaries(st.sampled_from(["text", "speaker", "start", "end", "words", "x"]), values)
a_field = values | st.lists(values | a_segment, max_size=4)


@given(st.dictionaries(st.sampled_from(["text", "segments", "style", "language", "notes", "x"]), a_field) | a_field)
def test_whatever_comes_is_taken_or_refused_with_a_field(value: Any) -> None:
    outcome = _outcome(json.dumps(value).encode())

    assert isinstance(outcome, SummaryWishes) or (outcome.fault, bool(outcome.field)) == (Fault.INVALID, True)


def test_the_answer_to_a_text() -> None:
    assert answer_json(SUMMARY, SummaryWishes(TEXT, notes=False)) == {
        "summary": "- Anna writes.\n- Ben pays.",
        "style": "bullet_points",
        "model": "qwen2.5-1.5b-instruct",
        "language": "en",
        "coverage": 0.9,
        "parts": 2,
        "usage": {"input_tokens": 812, "output_tokens": 19},
    }


def test_the_answer_to_segments_says_where_every_section_comes_from() -> None:
    assert answer_json(SUMMARY, SummaryWishes(TALK, notes=False))["sources"] == [
        {
            "text": "- Anna writes.",
            "times": [{"start": 61.0, "end": 75.5, "segments": [3, 4, 5]}, {"segments": [1]}],
        },
        {"text": "- Ben pays.", "times": []},
    ]


@pytest.mark.parametrize("request_of", [TEXT, TALK])
def test_notes_come_when_they_are_asked_for(request_of: SummaryRequest) -> None:
    assert answer_json(SUMMARY, SummaryWishes(request_of, notes=True))["notes"] == [
        {"part": 0, "text": "Anna writes the letter.", "kind": "task", "start": 61.0, "end": 66.0},
        {"part": 0, "text": "It is late.", "kind": "point"},
        {"part": 1, "text": "Ben pays.", "kind": "point"},
    ]


@pytest.mark.parametrize(("coverage", "told"), [(1.0, 1.0), (0.99999, 0.9999), (0.123456, 0.1235), (0.0, 0.0)])
def test_what_was_left_out_is_never_rounded_away(coverage: float, told: float) -> None:
    assert details_json(replace(SUMMARY, coverage=coverage), with_sources=False)["coverage"] == told


def test_warnings_come_when_there_are_any() -> None:
    warned = replace(SUMMARY, warnings=("instructions_set_aside",))

    assert answer_json(warned, SummaryWishes(TEXT, notes=False))["warnings"] == ["instructions_set_aside"]


@pytest.mark.parametrize("style", STYLES)
def test_where_nobody_speaks_nothing_has_to_be_read(style: str) -> None:
    nothing = nothing_said(style, "en")

    assert nothing.text == ("none" if style == "action_items" else "")
    assert details_json(nothing, with_sources=True) == {
        "style": style,
        "model": None,
        "language": "en",
        "coverage": 1.0,
        "parts": 0,
        "usage": {"input_tokens": 0, "output_tokens": 0},
        "sources": [],
    }
