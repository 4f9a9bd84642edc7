"""The values that travel between the edge's layers: what asr heard, who spoke, and the two merged."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """One recognized word."""

    text: str
    """The word with its punctuation and the white space before it (none in scripts without spaces)."""
    start: float
    """Seconds from the start of the recording."""
    end: float
    """Seconds; never before `start`."""
    probability: float
    """0 to 1."""
    speaker: int | None = None
    """Index of its speaker, or None when nobody is known to speak there (or nobody was asked)."""


@dataclass(frozen=True)
class Segment:
    """A stretch of recognized speech, of one speaker once merged."""

    start: float
    """Seconds from the start of the recording."""
    end: float
    """Seconds; never before `start`."""
    text: str
    """The text without white space around it."""
    words: tuple[Word, ...]
    """Its words in order; may be empty only when `text` is."""
    confidence: float
    """Mean probability of its words, 0 to 1."""
    average_log_probability: float
    """Mean over its tokens, at most 0."""
    no_speech_probability: float
    """0 to 1."""
    compression_ratio: float
    """Length of the text over its zlib-compressed length."""
    language: str
    """ISO 639-1 code."""
    speaker: int | None = None
    """Index of its speaker; as in `Word`."""


@dataclass(frozen=True)
class Turn:
    """A stretch in which one speaker speaks."""

    start: float
    """Seconds from the start of the recording."""
    end: float
    """Seconds; never before `start`."""
    speaker: int
    """Index of the speaker, from 0."""


@dataclass(frozen=True)
class Transcript:
    """Everything a response is rendered from."""

    segments: tuple[Segment, ...]
    """In order of time."""
    language: str
    """ISO 639-1 code of the recording."""
    language_probability: float
    """0 to 1; 1 when the language was given."""
    duration: float
    """Length of the recording in seconds."""
    model: str
    """Id of the model that really ran."""
    diarized: bool
    """Whether speakers were asked for: decides if there is a `speaker` key at all."""
    speakers: tuple[str, ...] = ()
    """Display names; a speaker's index points here."""
    warnings: tuple[str, ...] = ()
    """Sentences about what the caller should know, such as a recording that is cut off."""

    @property
    def text(self) -> str:
        """The whole text, segments joined by spaces."""
        return " ".join(segment.text for segment in self.segments if segment.text)
