"""What asr and diarize answer, as values of the edge: nothing decided."""

from services.edge.transcript import Segment, Suppressed, Word
from services.runtime.spans import to_seconds
from speechmesh.asr.v1 import asr_pb2
from speechmesh.common.v1 import common_pb2

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
