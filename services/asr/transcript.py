"""What recognition gives: words in segments with their evidence, what was held back, and what holds for the whole."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Word:
    """One recognized word."""

    text: str
    """The word with its punctuation and the white space before it."""
    start: float
    """Seconds from the start of the recording."""
    end: float
    """Seconds; never before `start`."""
    probability: float
    """0 to 1."""


@dataclass(frozen=True)
class Evidence:
    """What speaks for a text: what the model knew about the window that it was heard in."""

    average_log_probability: float
    """Mean over its tokens, at most 0."""
    no_speech_probability: float
    """0 to 1."""
    compression_ratio: float
    """Length of the text over its zlib-compressed length; high when the text repeats itself."""
    language: str
    """ISO 639-1 code, or Whisper's own where there is none."""
    language_probability: float
    """0 to 1; 1 when the language was given."""


@dataclass(frozen=True)
class Segment:
    """One finished stretch of recognized speech: a sentence, or as much of it as lies between two pauses."""

    start: float
    """Seconds from the start of the recording; where its first word starts."""
    end: float
    """Seconds; where its last word ends."""
    text: str
    """The text without white space around it; never empty."""
    words: tuple[Word, ...]
    """Its words in order; never empty."""
    evidence: Evidence

    @property
    def confidence(self) -> float:
        """Mean probability of its words, 0 to 1."""
        return sum(word.probability for word in self.words) / len(self.words)


class Reason(StrEnum):
    """Why a text was held back; each stands for two signs that agree, see suppression.py."""

    NO_SPEECH = "no_speech"
    """Sound, model and text give two signs that nobody speaks, or there is nothing but punctuation."""
    OUTSIDE_SPEECH = "outside_speech"
    """It lies where voice activity detection hears nobody, and its words are improbable or a stock phrase."""
    REPETITION = "repetition"
    """It repeats itself at every temperature that was tried, and there is a second sign against it."""
    STOCK_PHRASE = "stock_phrase"
    """It is a phrase that Whisper is known to invent, and there is a second sign against it."""


@dataclass(frozen=True)
class Suppressed:
    """A text that was recognized and held back."""

    start: float
    """Seconds from the start of the recording."""
    end: float
    """Seconds; never before `start`."""
    text: str
    reason: Reason


@dataclass(frozen=True)
class Recognition:
    """What holds for a recording as a whole."""

    language: str
    """ISO 639-1 code; of several, that in which most was said."""
    language_probability: float
    """0 to 1; 1 when the language was given, 0 when there was no speech to tell it from."""
    speech_seconds: float
    """How much of the recording voice activity detection took for speech."""
