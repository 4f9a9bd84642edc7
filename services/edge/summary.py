"""Summaries: what is asked for, what comes back, and how both look in JSON. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from services.runtime.errors import Fault, MeshError, invalid_field

STYLES: Final = ("brief", "detailed", "action_items", "bullet_points", "headline")
"""Styles of summaries; the first is what is written unless another one is asked for."""

STYLE_ALIASES: Final = {"bullets": "bullet_points"}
"""Other names of styles."""

UNUSED_KEYS: Final = frozenset(
    {
        "id",
        "words",
        "confidence",
        "language",
        "language_probability",
        "avg_logprob",
        "no_speech_prob",
        "compression_ratio",
    }
)
"""Keys of a segment that are taken and not looked at: those of our own transcripts."""

_FIELDS: Final = ("text", "segments", "style", "language", "notes")
_USED_KEYS: Final = ("text", "speaker", "start", "end")
_KNOWN_KEYS: Final = UNUSED_KEYS.union(_USED_KEYS)

# The longest time that a protobuf Duration takes.
_LATEST_SECONDS: Final = 315_576_000_000

# Two letters, but of some languages three: the transcripts' own codes come back here.
_LANGUAGE_CODE: Final = re.compile(r"[a-z]{2,3}")

Json = dict[str, Any]

Span = tuple[float, float]
"""Start and end in seconds, 0 <= start <= end."""


@dataclass(frozen=True)
class SpokenSegment:
    """A stretch of a transcript that one person says."""

    text: str
    """May be empty."""
    speaker: str | None
    """What he is called; None where nobody knows."""
    span: Span | None
    """When it is said; None where nobody knows."""


@dataclass(frozen=True)
class SummaryRequest:
    """What is to be summed up, and how."""

    text: str
    """The transcript; may be empty only where there are segments."""
    segments: tuple[SpokenSegment, ...]
    """The transcript in segments, in order. Where there are any, they are what is read."""
    style: str
    """One of `STYLES`."""
    language: str | None
    """Code of the language to write in; None for that of the transcript."""
    caller: str
    """Who asks, as other services know him."""


@dataclass(frozen=True)
class SummaryWishes:
    """What a caller of POST /v1/summarize wants."""

    request: SummaryRequest
    notes: bool
    """Whether the answer tells what was noted of every part."""


@dataclass(frozen=True)
class Source:
    """Where something comes from."""

    first: int
    """Number of the first segment of the request, from 0."""
    last: int
    """Number of the last one; never less."""
    span: Span | None
    """From the start of the first to the end of the last; None where nobody knows."""


@dataclass(frozen=True)
class Section:
    """A unit of a summary: a sentence, a paragraph or a line."""

    text: str
    """As it stands in the summary."""
    sources: tuple[Source, ...]
    """The best first; empty where the request had no segments."""


@dataclass(frozen=True)
class Note:
    """Something noted while reading."""

    part: int
    """Number of the part that was read, from 0."""
    text: str
    kind: str
    """`point` for what was said, `task` for what somebody has to do."""
    source: Source | None
    """None where the request had no segments."""


@dataclass(frozen=True)
class Summary:
    """A finished summary."""

    text: str
    style: str
    """One of `STYLES`."""
    model: str | None
    """Id of the model that really ran; None where none had to."""
    language: str
    """Code of the language that it is written in."""
    coverage: float
    """Share of the transcript that was read, 0 to 1."""
    part_count: int
    """In how many parts it was read."""
    sections: tuple[Section, ...]
    """The text in its units."""
    notes: tuple[Note, ...]
    """Of all parts, in order."""
    input_tokens: int
    """Tokens that the model read, the transcript as often as it was read."""
    output_tokens: int
    """Tokens that the model wrote, notes included."""
    warnings: tuple[str, ...]
    """Codes of what the caller should know."""


def nothing_said(style: str, language: str) -> Summary:
    """Return the summary of a recording in which nobody speaks; no model has to read it."""
    return Summary(
        text="none" if style == "action_items" else "",
        style=style,
        model=None,
        language=language,
        coverage=1.0,
        part_count=0,
        sections=(),
        notes=(),
        input_tokens=0,
        output_tokens=0,
        warnings=(),
    )


def parse_style(name: str, value: str) -> str:
    """Return the style that the field `name` asks for, by its own name.

    Raises:
        MeshError: INVALID; names the field and what is allowed.
    """
    style = STYLE_ALIASES.get(value, value)
    if style not in STYLES:
        raise invalid_field(name, f"The field '{name}' must be one of: {', '.join([*STYLES, *STYLE_ALIASES])}.")
    return style


def parse_wishes(body: bytes, caller: str) -> SummaryWishes:
    """Return what the body of POST /v1/summarize asks for.

    A body of megabytes takes a while: call it in a thread.

    Args:
        body: the JSON as it was sent.
        caller: who asks.

    Raises:
        MeshError: INVALID; names the field and what is allowed.
    """
    fields = _object(body)
    for name in fields:
        if name not in _FIELDS:
            raise invalid_field(name[:64], f"There is no field {name[:64]!r}; the fields are: {', '.join(_FIELDS)}.")
    if "text" not in fields and "segments" not in fields:
        raise invalid_field("text", "One of the fields 'text' and 'segments' must be there: what to sum up.")
    request = SummaryRequest(
        text=_text(fields["text"]) if "text" in fields else "",
        segments=_segments(fields["segments"]) if "segments" in fields else (),
        style=_style(fields.get("style", STYLES[0])),
        language=_language(fields.get("language", "auto")),
        caller=caller,
    )
    return SummaryWishes(request, _notes(fields.get("notes", False)))


def answer_json(summary: Summary, wishes: SummaryWishes) -> Json:
    """Return the answer of POST /v1/summarize."""
    notes = {"notes": [_note_json(note) for note in summary.notes]} if wishes.notes else {}
    details = details_json(summary, with_sources=bool(wishes.request.segments))
    return {"summary": summary.text, **details, **notes}


def details_json(summary: Summary, *, with_sources: bool) -> Json:
    """Return all but the text and the notes.

    Args:
        summary: what is told about.
        with_sources: whether its request had segments.
    """
    sources = {"sources": [_section_json(section) for section in summary.sections]} if with_sources else {}
    return {
        "style": summary.style,
        "model": summary.model,
        "language": summary.language,
        "coverage": _coverage_json(summary.coverage),
        "parts": summary.part_count,
        "usage": {"input_tokens": summary.input_tokens, "output_tokens": summary.output_tokens},
        **sources,
        **({"warnings": list(summary.warnings)} if summary.warnings else {}),
    }


def _object(body: bytes) -> Json:
    try:
        # The scanner is one long call that lets no other thread run; a function of ours after each object does.
        value = json.loads(body, object_hook=lambda found: found)
    except (ValueError, RecursionError):
        raise _bad_body("The body is not valid JSON") from None
    if not isinstance(value, dict):
        raise _bad_body("The body is JSON, but not an object")
    return value


def _bad_body(complaint: str) -> MeshError:
    message = f'{complaint}; send an object such as {{"text": "...", "style": "brief"}}.'
    return MeshError(Fault.INVALID, message, code="invalid_json", field="body")


def _text(value: Any) -> str:
    if not _is_text(value) or not value.strip():
        raise invalid_field("text", "The field 'text' must be a string that is not empty: the text to sum up.")
    return value


def _style(value: Any) -> str:
    # What is no string is no style either; the refusal tells which there are.
    return parse_style("style", value if isinstance(value, str) else "")


def _language(value: Any) -> str | None:
    code = value.strip().lower() if isinstance(value, str) else ""
    if code == "auto":
        return None
    if not _LANGUAGE_CODE.fullmatch(code):
        raise invalid_field(
            "language", "The field 'language' must be 'auto' or the ISO 639-1 code of a language, such as 'en'."
        )
    return code


def _notes(value: Any) -> bool:
    if not isinstance(value, bool):
        raise invalid_field("notes", "The field 'notes' must be true or false.")
    return value


def _segments(value: Any) -> tuple[SpokenSegment, ...]:
    if not isinstance(value, list):
        raise invalid_field("segments", "The field 'segments' must be a list of objects, each with a 'text'.")
    segments = tuple(_segment(number, segment) for number, segment in enumerate(value))
    if not any(segment.text.strip() for segment in segments):
        raise invalid_field("segments", "In the field 'segments' nothing is said: one of its texts must not be empty.")
    return segments


def _segment(number: int, value: Any) -> SpokenSegment:
    if not isinstance(value, dict):
        raise _bad_segment(number, "must be an object with a 'text'")
    for key in value:
        if key not in _KNOWN_KEYS:
            raise _bad_segment(number, f"has a key {key[:64]!r}; read are: {', '.join(_USED_KEYS)}")
    text, speaker = value.get("text"), value.get("speaker")
    if not _is_text(text):
        raise _bad_segment(number, "must have a 'text' that is a string")
    if speaker is not None and not _is_text(speaker):
        raise _bad_segment(number, "has a 'speaker' that is neither a string nor null")
    return SpokenSegment(text, speaker or None, _span(number, value))


def _span(number: int, segment: Mapping[str, Any]) -> Span | None:
    if "start" not in segment and "end" not in segment:
        return None
    start, end = segment.get("start"), segment.get("end")
    # Compared and not converted: JSON as Python reads it has NaN, Infinity and whole numbers of any size.
    if not (_is_number(start) and _is_number(end) and 0 <= start <= end <= _LATEST_SECONDS):
        raise _bad_segment(number, "must have a 'start' and an 'end' in seconds, 0 <= start <= end, or neither")
    return float(start), float(end)


def _bad_segment(number: int, complaint: str) -> MeshError:
    return invalid_field("segments", f"In the field 'segments', number {number} (from 0) {complaint}.")


def _is_text(value: Any) -> TypeGuard[str]:
    """Say whether it is a string of whole characters; JSON can carry half a one ("\\ud800")."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _coverage_json(coverage: float) -> float:
    # Whatever was left out must show: nearly all is not all.
    return 1.0 if coverage >= 1 else min(round(coverage, 4), 0.9999)


def _section_json(section: Section) -> Json:
    return {"text": section.text, "times": [_source_json(source) for source in section.sources]}


def _source_json(source: Source) -> Json:
    return {**_span_json(source.span), "segments": list(range(source.first, source.last + 1))}


def _note_json(note: Note) -> Json:
    span = note.source.span if note.source else None
    return {"part": note.part, "text": note.text, "kind": note.kind, **_span_json(span)}


def _span_json(span: Span | None) -> Json:
    return {"start": round(span[0], 3), "end": round(span[1], 3)} if span else {}
