"""The values that travel between the edge's layers: what asr heard, who spoke, and the two merged."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.edge.summary import Summary
from services.text.spacing import UNSPACED_LANGUAGES


@dataclass(frozen=True, slots=True)
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
    speaker_confidence: float | None = None
    """How probable it is that `speaker` said it, 0 to 1; None exactly when `speaker` is None."""
    overlap: bool = False
    """Whether more than one speaker speaks there for a good part of the word."""


@dataclass(frozen=True, slots=True)
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
    """ISO 639-1 code of the language that is spoken."""
    language_probability: float
    """Probability of that language there, 0 to 1; 1 when it was given."""
    speaker: int | None = None
    """Index of its speaker; as in `Word`."""
    channel: int | None = None
    """Channel of the recording that it was heard on, from 0; None where the channels were mixed."""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A text that asr recognized and held back, because nobody seems to have said it."""

    start: float
    """Seconds from the start of the recording."""
    end: float
    """Seconds; never before `start`."""
    text: str
    reason: str
    """`no_speech`, `outside_speech`, `repetition` or `stock_phrase`; `unspecified` when asr does not tell."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A stretch in which one speaker speaks."""

    start: float
    """Seconds from the start of the recording."""
    end: float
    """Seconds; never before `start`."""
    speaker: int
    """Index of the speaker, from 0."""


@dataclass(frozen=True)
class Activity:
    """How surely each speaker speaks, from frame to frame: the soft evidence behind turns."""

    step: float
    """Seconds between frames; frame n covers n * step to (n + 1) * step. diarize sends 0.05."""
    probabilities: tuple[bytes, ...]
    """One row a speaker, indexed as the turns' speakers, all of one length; 0 to 255 stand for 0 to 1."""


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
    suppressed: tuple[Suppressed, ...] = ()
    """What was recognized and held back."""
    task: str = "transcribe"
    """What was asked for: `transcribe`, or `translate` into English."""
    word_timestamps: bool = True
    """Whether word times were asked for: decides if verbose_json has a `words` key at all."""
    channels: int = 1
    """How many channels were transcribed apart from each other; 1 where they were mixed."""
    summary_asked: bool = False
    """Whether a summary was asked for: decides if there is a `summary` key at all."""
    summary: Summary | None = None
    """Its summary; None where nobody asked for it, or it is not to be had."""

    @property
    def heard_seconds(self) -> float:
        """Seconds of audio that were transcribed: those of all channels, where they were taken apart."""
        return self.duration * self.channels

    @property
    def text(self) -> str:
        """The whole text."""
        return self.joined(self.segments)

    def joined(self, segments: Iterable[Segment]) -> str:
        """Return the text of some of the segments, with spaces between them where the language is written so."""
        return joined(segments, translated=self.task == "translate")


def joined(segments: Iterable[Segment], *, translated: bool) -> str:
    """Return the text of segments, with spaces between them where the language is written so.

    Args:
        segments: in order.
        translated: whether the text is in English, whatever was spoken.
    """
    text, unspaced = "", False
    for segment in segments:
        if segment.text:
            follows_unspaced, unspaced = unspaced, not translated and segment.language in UNSPACED_LANGUAGES
            text += ("" if not text or (follows_unspaced and unspaced) else " ") + segment.text
    return text
