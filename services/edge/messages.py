"""What is said to the services and what they answer, as values of the edge: nothing decided."""

from collections.abc import Iterator

from services.edge.summary import Note, Section, Source, SpokenSegment, Summary, SummaryRequest
from services.edge.transcript import Segment, Suppressed, Word
from services.runtime.spans import to_seconds, to_span
from speechmesh.asr.v1 import asr_pb2
from speechmesh.common.v1 import common_pb2
from speechmesh.summarize.v1 import summarize_pb2

_REASONS = {number: name.removeprefix("REASON_").lower() for name, number in asr_pb2.SuppressedText.Reason.items()}


def to_segment(segment: asr_pb2.Segment) -> Segment:
    """Return a segment as the edge has it."""
    start, end = to_seconds_span(segment.span)
    return Segment(
        start=start,
        end=end,
        text=segment.text,
        words=tuple(Word(word.text, *to_seconds_span(word.span), word.probability) for word in segment.words),
        confidence=segment.confidence,
        average_log_probability=segment.average_log_probability,
        no_speech_probability=segment.no_speech_probability,
        compression_ratio=segment.compression_ratio,
        language=segment.language_code,
        language_probability=segment.language_probability,
    )


def to_suppressed(suppressed: asr_pb2.SuppressedText) -> Suppressed:
    """Return a text that was held back as the edge has it."""
    unknown = _REASONS[asr_pb2.SuppressedText.REASON_UNSPECIFIED]  # a newer asr may have reasons that we do not know
    return Suppressed(*to_seconds_span(suppressed.span), suppressed.text, _REASONS.get(suppressed.reason, unknown))


def to_seconds_span(span: common_pb2.TimeSpan) -> tuple[float, float]:
    """Return start and end in seconds."""
    return to_seconds(span.start_offset), to_seconds(span.end_offset)


def to_summarize_request(request: SummaryRequest) -> summarize_pb2.SummarizeRequest:
    """Return what summarize is asked; a text beside segments, too: it looks whether both say the same."""
    return summarize_pb2.SummarizeRequest(
        text=request.text,
        style=summarize_pb2.SummaryStyle.Value(f"SUMMARY_STYLE_{request.style.upper()}"),
        language_code=request.language or "",
        segments=(_spoken(segment) for segment in request.segments),
        caller=request.caller,
    )


def to_summary(summary: summarize_pb2.Summary, style: str) -> Summary:
    """Return a summary in `style` as the edge has it."""
    return Summary(
        text=summary.text,
        style=style,
        model=summary.model,
        language=summary.language_code,
        coverage=summary.coverage,
        part_count=len(summary.parts),
        sections=tuple(
            Section(section.text, tuple(_source(source) for source in section.sources)) for section in summary.sections
        ),
        notes=tuple(note for number, part in enumerate(summary.parts) for note in _notes(number, part)),
        input_tokens=summary.input_token_count,
        output_tokens=summary.output_token_count,
        warnings=tuple(summary.warnings),
    )


def _spoken(segment: SpokenSegment) -> summarize_pb2.TranscriptSegment:
    span = to_span(*segment.span) if segment.span else None
    return summarize_pb2.TranscriptSegment(text=segment.text, speaker=segment.speaker or "", span=span)


def _notes(number: int, part: summarize_pb2.Part) -> Iterator[Note]:
    for note in part.notes:
        # A kind that we do not know is, like every note, a point.
        kind = "task" if note.kind == summarize_pb2.NOTE_KIND_TASK else "point"
        yield Note(number, note.text, kind, _source(note.source) if note.HasField("source") else None)


def _source(source: summarize_pb2.Source) -> Source:
    span = to_seconds_span(source.span) if source.HasField("span") else None
    return Source(source.first_segment_index, source.last_segment_index, span)
