"""Which recognized texts are held back because nobody said them. Pure.

Whisper invents: on noise, on music, in silence, and at the end of a recording. One sign alone is no proof; it is
often sure of what it invents, and unsure of what somebody mumbles. So a text is held back only when two signs
agree, each of which is measured on its own: the sound, the model's token for silence, the odds of its words, the
text itself. Then it is listed with its reason.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from enum import Enum, auto

from services.asr.engine import AlignedWord, Hypothesis
from services.asr.fallback import LOG_PROBABILITY_LIMIT, NO_SPEECH_LIMIT, repeats
from services.asr.stock_phrases import STOCK_PHRASES
from services.asr.transcript import Reason
from services.asr.word_times import Span, overlap

_WEAK_VOICE = 0.65
_SHORTEST_SPEECH_SECONDS = 0.2
_FASTEST_CHARACTERS_PER_SECOND = 35.0
_OUTSIDE_SHARE = 0.2
_IMPROBABLE_WORDS = 0.4


class Sign(Enum):
    """What speaks against a text."""

    WEAK_VOICE = auto()
    """The sound: voice activity detection was nearly silent, or unsure all along."""
    NO_SPEECH = auto()
    """The model's own token for "nobody speaks" is probable."""
    GUESSED = auto()
    """The model was unsure of its tokens."""
    REPEATS = auto()
    """The text repeats itself, at every temperature that was tried; or a segment the one before it."""
    HURRIED = auto()
    """It is longer than anybody could speak in the time."""
    STOCK_PHRASE = auto()
    """It is one of the phrases that Whisper learned from the subtitles of silent films' ends."""
    OUTSIDE = auto()
    """Its words lie where no speech was heard."""


def window_signs(hypothesis: Hypothesis, speech_seconds: float, speech_probability: float) -> frozenset[Sign]:
    """Return what speaks against the text of a whole window.

    Args:
        hypothesis: the text that was taken.
        speech_seconds: how much speech was heard in the window.
        speech_probability: how sure voice activity detection was of it, 0 to 1.
    """
    present = {
        Sign.WEAK_VOICE: speech_probability < _WEAK_VOICE or speech_seconds < _SHORTEST_SPEECH_SECONDS,
        Sign.NO_SPEECH: hypothesis.no_speech_probability > NO_SPEECH_LIMIT,
        Sign.GUESSED: hypothesis.average_log_probability < LOG_PROBABILITY_LIMIT,
        Sign.REPEATS: repeats(hypothesis),
        Sign.HURRIED: _is_hurried(hypothesis.text, speech_seconds),
        Sign.STOCK_PHRASE: is_stock_phrase(hypothesis.text),
    }
    return frozenset(sign for sign, there in present.items() if there)


def segment_signs(words: Sequence[AlignedWord], speech: Sequence[Span], before: str = "") -> frozenset[Sign]:
    """Return what speaks against a segment of a window, by where its words lie and what was said before it.

    Args:
        words: of the segment, not empty.
        speech: stretches of speech on the same clock.
        before: text of the segment before it in the window, if there is one.
    """
    text = "".join(word.text for word in words)
    seconds = sum(word.end - word.start for word in words)
    inside = sum(overlap(word.start, word.end, speech) for word in words)
    probability = sum(word.probability for word in words) / len(words)
    present = {
        Sign.OUTSIDE: inside < _OUTSIDE_SHARE * seconds if seconds else not _touches(words[0].start, speech),
        Sign.GUESSED: probability < _IMPROBABLE_WORDS,
        Sign.REPEATS: bool(before) and _plain(text) == _plain(before),
        Sign.HURRIED: _is_hurried(text, words[-1].end - words[0].start),
        Sign.STOCK_PHRASE: is_stock_phrase(text),
    }
    return frozenset(sign for sign, there in present.items() if there)


def verdict(signs: frozenset[Sign]) -> Reason | None:
    """Return why a text with these signs is held back, or None when it is kept."""
    if len(signs) < 2:
        return None
    return next((reason for sign, reason in _REASONS if sign in signs), Reason.NO_SPEECH)


_REASONS = (
    (Sign.OUTSIDE, Reason.OUTSIDE_SPEECH),
    (Sign.REPEATS, Reason.REPETITION),
    (Sign.STOCK_PHRASE, Reason.STOCK_PHRASE),
)


def has_words(text: str) -> bool:
    """Return whether there is a letter or a digit in a text."""
    return any(character.isalnum() for character in text)


def is_stock_phrase(text: str) -> bool:
    """Return whether a text is nothing but a phrase that Whisper is known to invent."""
    return _plain(text) in _STOCK_PHRASES


def _is_hurried(text: str, seconds: float) -> bool:
    return len(text) > _FASTEST_CHARACTERS_PER_SECOND * max(seconds, 0.5)


def _touches(moment: float, speech: Sequence[Span]) -> bool:
    return any(first <= moment <= last for first, last in speech)


def _plain(text: str) -> str:
    # A capital Turkish i leaves its dot behind as a mark of its own, a small one without a dot has none to lose.
    folded = unicodedata.normalize("NFKC", text).casefold().replace("\u0131", "i")
    marked = (character for character in folded if not unicodedata.combining(character))
    return " ".join("".join(character if character.isalnum() else " " for character in marked).split())


_STOCK_PHRASES = frozenset(map(_plain, STOCK_PHRASES))
