"""Judges what the model wrote, sentence by sentence, before anybody sees it. Pure.

Names and numbers that are nowhere in the source, another language, words that come from nowhere, the same thing
twice, questions and announcements are refused; so is what a sentence that speaks to the model wants to have
said, for that is no part of the source. A small model that copies instead of summing up may copy only what says
much (see `salience`).
"""

import re
from collections.abc import Collection, Iterable

from services.summarize.faithfulness import Evidence
from services.summarize.languages import is_written_in

LEAST_SUPPORT = 0.5
"""Share of a sentence's content that must be in the source, where both are in one language."""

LONGEST = 400
"""Characters of a sentence or line; what is longer is no summary."""

_ALIKE = 0.75
_KEPT = 0.6
_NO_STATEMENT = ("?", "？", "؟", "՞", ":", "：")  # noqa: RUF001 - of several scripts
_WORD = re.compile(r"\w+")


class Judge:
    """Judges the units of one text.

    Args:
        evidence: what the source says.
        language: code of the language that is wanted.
        source_language: code of that of the source.
        speakers: their names; "Name: " before a sentence is taken away.
        uncopied: sentences of the source that say little; to repeat one is no summary.
        longest: most characters of a unit; by default `LONGEST`.
    """

    def __init__(
        self,
        evidence: Evidence,
        language: str,
        source_language: str,
        *,
        speakers: Collection[str] = (),
        uncopied: Iterable[str] = (),
        longest: int | None = None,
    ) -> None:
        self._evidence = evidence
        self._language = language
        self._source_language = source_language
        self._speakers = frozenset(speakers)
        self._uncopied = frozenset(_plain(sentence) for sentence in uncopied)
        self._longest = longest or LONGEST
        self._accepted = list[frozenset[str]]()

    def judge(self, unit: str) -> str | None:
        """Return the unit as it may be shown, or None."""
        unit = self._without_speaker(unit.strip())
        words = _words(unit)
        if not words or len(unit) > self._longest or not is_statement(unit):
            return None
        if self._says_nothing_new(unit, words) or not self._is_faithful(unit):
            return None
        self._accepted.append(words)
        return unit

    def _without_speaker(self, unit: str) -> str:
        speaker, colon, said = unit.partition(": ")
        return said.strip() if colon and speaker.strip() in self._speakers else unit

    def _says_nothing_new(self, unit: str, words: frozenset[str]) -> bool:
        return _plain(unit) in self._uncopied or any(_likeness(words, known) >= _ALIKE for known in self._accepted)

    def _is_faithful(self, unit: str) -> bool:
        if not is_written_in(unit, self._language, self._source_language):
            return False
        if self._language == self._source_language and self._evidence.support(unit) < LEAST_SUPPORT:
            return False
        return not self._evidence.unsupported(unit, self._language)


def is_statement(sentence: str) -> bool:
    """Return whether a sentence states something: it neither asks nor announces."""
    return not sentence.rstrip().endswith(_NO_STATEMENT)


def is_same_task(said: str, item: str, language: str) -> bool:
    """Return whether `item` says in other words what `said` does: all its words are there, no name or number is lost.

    The first word may be the name of who is asked ("Ben, please …"), which no script tells for sure: it must stay.

    Args:
        said: the sentence in the transcript, with its speaker where known.
        item: the model's short form of it.
        language: code of the language of both.
    """
    forth, back = Evidence(said, language), Evidence(item, language)
    if forth.unsupported(item) or forth.support(item) < 1.0 or len(item) > 1.2 * len(said):
        return False
    speaker, _, words = said.partition(": ")
    if words and ": " not in item:
        return False  # who has to do it is lost
    without_speaker = words or speaker
    first = _WORD.search(without_speaker.casefold())
    if first is None or first[0] not in _WORD.findall(item.casefold()):
        return False
    return not back.unsupported(without_speaker) and back.support(without_speaker) >= _KEPT


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


def _likeness(words: frozenset[str], others: frozenset[str]) -> float:
    return len(words & others) / len(words | others)


class Distinct:
    """Tells whether something has been said before, but for capitals and punctuation."""

    def __init__(self) -> None:
        self._said = set[str]()

    def add(self, unit: str) -> bool:
        """Take a unit; return whether it is the first of its kind."""
        plain = _plain(unit)
        if plain in self._said:
            return False
        self._said.add(plain)
        return True


def different(units: Iterable[str]) -> list[str]:
    """Return the units without those that say what an earlier one says."""
    distinct = Distinct()
    return [unit for unit in units if distinct.add(unit)]
