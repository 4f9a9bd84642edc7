"""The marks at which written speech pauses, in the scripts that Whisper writes. Pure."""

import re
from typing import Final

# Full-width and other scripts' marks are meant, however much they look like Latin ones.
_SENTENCE_ENDS: Final = frozenset(".!?…。！？।॥؟۔።")  # noqa: RUF001
_CLAUSE_ENDS: Final = frozenset(",;:–—、，；：،؛")  # noqa: RUF001
_CLOSING: Final = "\"'”’»)]）」』】〉》"  # noqa: RUF001
# A letter or a small number alone, letters parted by dots, and the titles that stand before names: "J. S. Bach",
# German "am 3. Mai", "the U.S. Army", "Dr. Who". Whisper writes them so; other abbreviations it writes out.
_ABBREVIATION: Final = re.compile(
    r"(?:[^\W\d_]|\d{1,2}|(?:[^\W\d_]\.)+[^\W\d_]|mrs?|ms|drs?|prof|st|jr|sra?|mme|vs)\.",
    re.IGNORECASE,
)
_OPENING: Final = frozenset("“‘«([（「『【〈《¿¡")  # noqa: RUF001


def ends_sentence(text: str) -> bool:
    """Return whether `text` ends with a mark that ends a sentence, a closing quote after it or not."""
    return _last_mark(text) in _SENTENCE_ENDS


def closes_sentence(word: str, following: str) -> bool:
    """Return whether a sentence ends with `word`, before another word.

    What is not sure is no end: a sentence that goes on for too long does less harm than one that is cut in two.
    """
    if not ends_sentence(word) or following.lstrip()[:1].islower():
        return False
    return _ABBREVIATION.fullmatch(word.strip()) is None or word.strip() == "I."


def ends_clause(text: str) -> bool:
    """Return whether `text` ends with a comma or its like."""
    return _last_mark(text) in _CLAUSE_ENDS


def opens(text: str) -> bool:
    """Return whether `text` ends with a mark that belongs to what follows."""
    return text.rstrip()[-1:] in _OPENING


def closes(text: str) -> bool:
    """Return whether `text` begins with a mark that belongs to what stands before."""
    first = text.lstrip()[:1]
    return first in _SENTENCE_ENDS or first in _CLAUSE_ENDS or (first != "" and first in _CLOSING)


def _last_mark(text: str) -> str:
    return text.rstrip().rstrip(_CLOSING)[-1:]
