"""Where sentences end among recognized words. Pure.

A closing mark is most of it, but not all: "Mr." and "U.S." end in one too, and speech pauses where no mark is.
What is not sure is no end: a sentence that goes on for too long does less harm than one that is cut in two.
"""

from collections.abc import Iterable, Iterator, Sequence

from services.edge.transcript import Word
from services.text import punctuation

SENTENCE_PAUSE_SECONDS = 1.0
"""A pause that ends a sentence, whatever the punctuation."""


def pauses(word: Word, following: Word) -> bool:
    """Return whether the speech pauses between two words for so long that a sentence ends."""
    return following.start - word.end >= SENTENCE_PAUSE_SECONDS


def closes_sentence(word: Word, following: Word | None) -> bool:
    """Return whether a sentence ends with `word`: at a closing mark, or before a long pause.

    Args:
        word: with its punctuation.
        following: the next word; None when it was the last one.
    """
    if following is None or pauses(word, following):
        return True
    return punctuation.closes_sentence(word.text, following.text)


def sentence_ends(words: Sequence[Word]) -> list[bool]:
    """Return for each word whether a sentence ends with it."""
    return [closes_sentence(word, following) for word, following in _with_next(words)]


def _with_next(words: Sequence[Word]) -> Iterator[tuple[Word, Word | None]]:
    following: Iterable[Word | None] = [*words[1:], None] if words else []
    return zip(words, following, strict=True)
