"""The values of a summary, as they leave the service. Pure."""

from dataclasses import dataclass
from enum import Enum

from services.summarize.style import Style
from services.summarize.transcript import Transcript

INSTRUCTIONS_SET_ASIDE = "instructions_set_aside"
"""Warning: some of the transcript speaks to a language model; it was read, but not obeyed and not summed up."""

LANGUAGE_NOT_WRITTEN = "language_not_written"
"""Warning: the model could not say some of it in the wanted language; it is quoted in that of the transcript."""


@dataclass(frozen=True)
class Wishes:
    """What is wanted."""

    transcript: Transcript
    """With one sentence at least."""
    style: Style = Style.BRIEF
    """The shape."""
    language: str | None = None
    """Code of the language to write in, one of `languages.NAMES`; None for that of the transcript."""
    caller: str = ""
    """Who asks; he takes turns with others."""


class NoteKind(Enum):
    """What kind of note it is."""

    POINT = "point"
    """Something that was said."""
    TASK = "task"
    """Something that somebody has to do."""


@dataclass(frozen=True)
class Note:
    """Something noted while a part was read."""

    text: str
    kind: NoteKind
    sentences: tuple[int, ...]
    """Numbers of the sentences of the transcript that it comes from; never empty."""


@dataclass(frozen=True)
class PartNotes:
    """A part of the transcript that was read at once."""

    tokens: int
    """Its size."""
    notes: tuple[Note, ...]
    """What was noted, in order."""


@dataclass(frozen=True)
class Section:
    """A unit of the summary: a sentence, a paragraph, a line."""

    text: str
    """As it stands in the summary."""
    sentences: tuple[int, ...]
    """Numbers of the sentences of the transcript that it comes from, the best first; may be empty."""


@dataclass(frozen=True)
class Summary:
    """A finished summary."""

    text: str
    """The whole text, in the shape of its style; exactly the pieces that were shown, joined."""
    language: str
    """Code of the language that it is written in."""
    sections: tuple[Section, ...]
    """Its units, in order."""
    parts: tuple[PartNotes, ...]
    """What was read at once, in order."""
    coverage: float
    """Share of the transcript's characters that the model read, 0 to 1."""
    input_tokens: int
    """Tokens that the model read: transcript, as often as it was read, notes and instructions."""
    output_tokens: int
    """Tokens that the model wrote, notes and what was refused included."""
    warnings: tuple[str, ...]
    """Codes of what the caller should know."""
