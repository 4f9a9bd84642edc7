import pytest

from services.edge.messages import to_seconds_span, to_segment, to_summarize_request, to_summary, to_suppressed
from services.edge.summary import STYLES, Note, SpokenSegment, SummaryRequest
from services.edge.transcript import Segment, Suppressed, Word
from services.runtime.spans import to_span
from speechmesh.asr.v1 import asr_pb2
from speechmesh.summarize.v1 import summarize_pb2


def test_a_segment_with_all_it_has() -> None:
    message = asr_pb2.Segment(
        span=to_span(1, 2),
        text="Hi.",
        words=[asr_pb2.Word(span=to_span(1, 2), text=" Hi.", probability=0.5)],
        confidence=0.5,
        average_log_probability=-0.25,
        no_speech_probability=0.125,
        compression_ratio=1.5,
        language_code="en",
        language_probability=0.75,
    )

    assert to_segment(message) == Segment(
        1.0, 2.0, "Hi.", (Word(" Hi.", 1.0, 2.0, 0.5),), 0.5, -0.25, 0.125, 1.5, "en", 0.75
    )


@pytest.mark.parametrize(
    ("number", "reason"), [(asr_pb2.SuppressedText.REASON_REPETITION, "repetition"), (99, "unspecified")]
)
def test_a_reason_that_is_not_known_is_unspecified(number: int, reason: str) -> None:
    message = asr_pb2.SuppressedText(span=to_span(1, 2), text="Bye.", reason=number)

    assert to_suppressed(message) == Suppressed(1.0, 2.0, "Bye.", reason)


def test_a_kind_of_note_that_is_not_known_is_a_point() -> None:
    part = summarize_pb2.Part(notes=[summarize_pb2.Note(text="Who knows.", kind=99)])

    assert to_summary(summarize_pb2.Summary(parts=[part]), "brief").notes == (Note(0, "Who knows.", "point", None),)


def test_a_text_beside_segments_is_sent_too_so_that_both_can_be_compared() -> None:
    both = SummaryRequest("Hi.", (SpokenSegment("Hi.", None, None),), "brief", None, "")

    message = to_summarize_request(both)

    assert (message.text, [segment.text for segment in message.segments]) == ("Hi.", ["Hi."])


@pytest.mark.parametrize("style", STYLES)
def test_every_style_has_its_number(style: str) -> None:
    message = to_summarize_request(SummaryRequest("Hi.", (), style, None, ""))

    assert summarize_pb2.SummaryStyle.Name(message.style) == f"SUMMARY_STYLE_{style.upper()}"


def test_a_span() -> None:
    assert to_seconds_span(to_span(0.5, 1.25)) == (0.5, 1.25)
