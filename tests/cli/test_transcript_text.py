import pytest

from services.cli.transcript_text import clock, headline, lines, summary_lines, warning_lines

ANSWER = {
    "language": "en",
    "duration": 125.4,
    "model": "base",
    "speakers": ["Speaker 1"],
    "segments": [
        {"start": 1.2, "end": 4.8, "text": " Hello.", "speaker": "Speaker 1"},
        {"start": 59.96, "end": 61, "text": "Who?"},
    ],
}


def test_each_segment_is_a_line_with_times_and_speaker() -> None:
    assert list(lines(ANSWER)) == [
        "[00:01.2 → 00:04.8] Speaker 1: Hello.",
        "[01:00.0 → 01:01.0] Who?",
    ]


def test_a_long_recording_has_hours_in_every_line() -> None:
    assert next(lines({**ANSWER, "duration": 7200.0})) == "[0:00:01.2 → 0:00:04.8] Speaker 1: Hello."


def test_warnings_that_are_sentences_are_told() -> None:
    warnings = ["The recording ends in the middle of a frame: 3.8 s of it were transcribed.", "summary_unavailable"]
    assert list(warning_lines({**ANSWER, "warnings": warnings})) == [f"Warning: {warnings[0]}"]
    assert list(warning_lines(ANSWER)) == []


def test_the_summary_stands_under_a_heading_with_a_blank_line_before() -> None:
    assert list(summary_lines({**ANSWER, "summary": "- One.\n- Two."})) == ["", "Summary:", "- One.", "- Two."]


@pytest.mark.parametrize("more", [{}, {"summary": None}, {"summary": ""}])
def test_where_there_is_no_summary_nothing_stands(more: dict[str, str | None]) -> None:
    assert list(summary_lines({**ANSWER, **more})) == []


def test_the_headline_names_language_duration_model_and_speakers() -> None:
    assert headline(ANSWER) == "en · 02:05.4 · base · 1 speaker"
    assert headline({"language": None, "duration": 0}) == "no speech · 00:00.0"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "00:00.0"),
        (59.949, "00:59.9"),
        (59.96, "01:00.0"),
        (3599.96, "1:00:00.0"),
        (36000, "10:00:00.0"),
        (-1, "00:00.0"),
    ],
)
def test_times_are_rounded_to_tenths(seconds: float, text: str) -> None:
    assert clock(seconds) == text
