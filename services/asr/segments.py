"""Cuts the words of a window into segments that a person can read: sentences, or what lies between pauses. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from services.asr.engine import AlignedWord
from services.text.punctuation import ends_clause, ends_sentence

PAUSE_SECONDS = 0.8
"""A pause that ends a segment whatever the punctuation."""

LONGEST_SECONDS = 15.0
"""A longer sentence is cut at its best inner pause."""

# "Mr." ends no sentence. A short list for the languages that write most of them; a sentence cut in two is no harm.
_ABBREVIATIONS = frozenset(
    "mr. mrs. ms. dr. prof. st. jr. sr. vs. no. sra. dra. mme. hr. fr. nr. bzw. etc. z.b. d.h. u.a.".split()  # noqa: SIM905
)


def cut(words: Sequence[AlignedWord]) -> list[tuple[AlignedWord, ...]]:
    """Return the words in groups of one segment each; together they are `words`, and no group is empty."""
    groups: list[tuple[AlignedWord, ...]] = []
    start = 0
    for place in range(1, len(words) + 1):
        if place == len(words) or _parts(words[place - 1], words[place]):
            groups += _shortened(tuple(words[start:place]))
            start = place
    return groups


def _parts(before: AlignedWord, after: AlignedWord) -> bool:
    if after.start - before.end >= PAUSE_SECONDS:
        return True
    return ends_sentence(before.text) and before.text.strip().casefold() not in _ABBREVIATIONS


def _shortened(words: tuple[AlignedWord, ...]) -> list[tuple[AlignedWord, ...]]:
    if words[-1].end - words[0].start <= LONGEST_SECONDS or len(words) < 2:
        return [words]
    place = max(range(1, len(words)), key=lambda place: _worth(words, place))
    return [*_shortened(words[:place]), *_shortened(words[place:])]


def _worth(words: tuple[AlignedWord, ...], place: int) -> float:
    """Return how good a place before words[place] is: at a comma or a pause, and not near an end."""
    before, after = words[place - 1], words[place]
    pause = min(max(after.start - before.end, 0.0), PAUSE_SECONDS)
    total = words[-1].end - words[0].start
    balance = min(before.end - words[0].start, words[-1].end - after.start) / total
    return (0.1 + pause + 0.5 * ends_clause(before.text)) * balance
