"""Finds the sentences of a transcript that a sentence of its summary comes from. Pure.

By the beginnings of their words, which endings do not change: a word that few sentences have tells more than one
that many have (inverse document frequency). Where a language puts no spaces, pairs of characters do for words.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from heapq import nsmallest
from math import log

from services.text.spacing import UNSPACED_LETTERS

LEAST = 0.25
"""Share of a sentence's words, by what they tell, that a source must have."""

MOST = 3
"""Sources of one sentence."""

_NEARLY_AS_GOOD = 0.6
_BEGINNING = 5
_WORD = re.compile(r"\w+")
_UNSPACED = re.compile(f"[{UNSPACED_LETTERS}]")


class SourceFinder:
    """An index of the sentences of a transcript.

    Args:
        sentences: the text of each.
    """

    def __init__(self, sentences: Sequence[str]) -> None:
        self._having = defaultdict[str, list[int]](list)
        self._sizes = list[int]()
        for number, sentence in enumerate(sentences):
            features = _features(sentence)
            self._sizes.append(len(features))
            for feature in features:
                self._having[feature].append(number)
        self._count = len(sentences)

    def find(self, text: str, among: range | None = None) -> list[int]:
        """Return the numbers of the sentences that `text` comes from, the best first; up to `MOST`, perhaps none.

        Args:
            text: a sentence of the summary, or a paragraph.
            among: numbers of the sentences to look among; all when None.
        """
        shares = defaultdict[int, float](float)
        told = 0.0
        for feature in sorted(_features(text)):
            having = self._having.get(feature, [])
            weight = log(1 + self._count / (1 + len(having)))
            told += weight
            for number in having if among is None else _within(having, among):
                shares[number] += weight
        # Of those that have as much, the one that says least beside it.
        best = nsmallest(MOST, shares.items(), key=lambda share: (-share[1], self._sizes[share[0]], share[0]))
        least = max(LEAST * told, _NEARLY_AS_GOOD * best[0][1]) if best else 0.0
        return [number for number, share in best if share >= least]


def _features(text: str) -> set[str]:
    features = set[str]()
    for word in _WORD.findall(text.casefold()):
        if _UNSPACED.search(word):
            features.update(word[at : at + 2] for at in range(max(1, len(word) - 1)))
        else:
            features.add(word[:_BEGINNING])
    return features


def _within(numbers: Sequence[int], among: range) -> Sequence[int]:
    """Return those of some rising numbers that are in a range of step 1."""
    return numbers[bisect_left(numbers, among.start) : bisect_left(numbers, among.stop)]
