"""From an engine's own spans and labels to turns as the service promises them."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.diarize.engine import Diarization, Turn


@dataclass(frozen=True, order=True)
class LabelledSpan:
    """A stretch of one speaker as an engine says it."""

    start: float
    """Seconds; may lie outside the recording, since engines pad."""
    end: float
    """Seconds."""
    label: str
    """The engine's own name for the speaker."""


def to_diarization(
    spans: Iterable[LabelledSpan], exclusive_spans: Iterable[LabelledSpan], duration: float
) -> Diarization:
    """Return turns inside 0 to `duration` seconds, by start, speakers numbered by first speech.

    Both lists share the labels, and so the numbers; what is empty or lies outside is left out.
    """
    inside = _inside(spans, duration)
    exclusive = _inside(exclusive_spans, duration)
    numbers: dict[str, int] = {}
    for span in (*inside, *exclusive):
        numbers.setdefault(span.label, len(numbers))
    return Diarization(_numbered(inside, numbers), _numbered(exclusive, numbers))


def _inside(spans: Iterable[LabelledSpan], duration: float) -> list[LabelledSpan]:
    clamped = (LabelledSpan(max(0.0, span.start), min(duration, span.end), span.label) for span in spans)
    return sorted(span for span in clamped if span.start < span.end)


def _numbered(spans: list[LabelledSpan], numbers: dict[str, int]) -> tuple[Turn, ...]:
    return tuple(Turn(span.start, span.end, numbers[span.label]) for span in spans)
