"""The marks at which written speech pauses, in the scripts that Whisper writes. Pure."""

from typing import Final

# Full-width and other scripts' marks are meant, however much they look like Latin ones.
_SENTENCE_ENDS: Final = frozenset(".!?…。！？।॥؟۔።")  # noqa: RUF001
_CLAUSE_ENDS: Final = frozenset(",;:–—、，；：،؛")  # noqa: RUF001
_CLOSING: Final = "\"'”’»)]）」』】〉》"  # noqa: RUF001
_OPENING: Final = frozenset("“‘«([（「『【〈《¿¡")  # noqa: RUF001


def ends_sentence(text: str) -> bool:
    """Return whether `text` ends with a mark that ends a sentence, a closing quote after it or not."""
    return _last_mark(text) in _SENTENCE_ENDS


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
