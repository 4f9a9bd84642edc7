"""Which languages and letters are written without spaces between words. Pure."""

from typing import Final

UNSPACED_LANGUAGES: Final = frozenset({"zh", "ja", "yue", "th", "lo", "my", "km", "bo"})
"""Codes of the languages that are written without spaces between words."""

UNSPACED_LETTERS: Final = r"\u0e00-\u109f\u1780-\u17ff\u3040-\u9fff\U00020000-\U0003ffff"
"""Thai to Tibetan, Burmese, Khmer, kana and Han, for use within brackets of a regular expression."""
