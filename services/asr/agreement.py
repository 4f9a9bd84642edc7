"""What is shown of an utterance while it is still spoken. Pure.

Every hypothesis on growing audio changes its end: the last word is cut, the next ones are guessed. What two
successive hypotheses agree on rarely changes any more (LocalAgreement-2: Liu et al. 2020; Macháček et al. 2023).
What is shown stays until two successive hypotheses agree on something else, so it does not flicker.

The first hypothesis has none before it to agree with. Its words are shown but for the last ones, which is where
it would be wrong: a reader sees the beginning half a second earlier.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

HELD_BACK_WORDS = 1
"""Last words of a first hypothesis that are not shown: measured, see benchmarks/README.md."""

_OFF_WORDS = 3

# Written without spaces between words: there a character counts as one.
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")


class Agreement:
    """What is shown of one utterance."""

    def __init__(self) -> None:
        self._before: tuple[str, ...] | None = None
        self._shown: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The text that is shown."""
        return "".join(self._shown).strip()

    def carry(self, text: str) -> None:
        """Show what was heard of its beginning before it was an utterance of its own, unless more is shown already."""
        if not self._shown:
            self._shown = parts(text)

    def hear(self, text: str) -> str:
        """Take the next hypothesis, made of more audio than the one before; return what is shown now."""
        words = parts(text)
        if self._before is None:
            likely = words[: max(0, len(words) - HELD_BACK_WORDS)]
            # What was carried over stays, unless this says the same and more.
            if _alike(self._shown, likely) == len(self._shown):
                self._shown = likely
        else:
            agreed = words[: _alike(self._before, words)]
            differs = _alike(self._shown, words) < min(len(self._shown), len(words))
            settled = len(agreed) > _alike(self._shown, words)
            if len(agreed) >= len(self._shown) or (differs and settled):
                self._shown = agreed
        self._before = words
        return self.shown


def after(shown: str, final: str) -> str:
    """Return what is left of a shown text once its beginning has become final, a little otherwise perhaps."""
    words, said = parts(shown), parts(final)
    ends = [place for place in range(1, len(words) + 1) if said and _plain(words[place - 1]) == _plain(said[-1])]
    near = [place for place in ends if abs(place - len(said)) <= _OFF_WORDS]
    return "".join(words[min(near, key=lambda place: abs(place - len(said)), default=len(said)) :]).strip()


def parts(text: str) -> tuple[str, ...]:
    """Return the words of a text, each with the space before it; together they are the text.

    Where a script has no spaces between words, every character is one.
    """
    found: list[str] = []
    word = ""
    for character in text:
        alone = _stands_alone(character)
        if word.strip() and (character.isspace() or alone):
            found.append(word)
            word = ""
        word += character
        if alone:
            found.append(word)
            word = ""
    return (*found, word) if word else tuple(found)


def _stands_alone(character: str) -> bool:
    return ord(character) > 0x0E00 and unicodedata.name(character, "").startswith(_UNSPACED)


def _alike(first: Sequence[str], second: Sequence[str]) -> int:
    """Return how many words two texts have in common at their beginning; punctuation and case do not count."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if _plain(one) != _plain(other):
            break
        count += 1
    return count


def _plain(word: str) -> str:
    # Vowel signs of Indic scripts are marks.
    return "".join(character for character in word.casefold() if unicodedata.category(character)[0] in "LMN")
