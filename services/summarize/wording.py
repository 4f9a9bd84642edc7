"""Words of a text in any script: how they are found, folded and cut, and which of them are forms of one. Pure."""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

SHORTEST_CONTENT: Final = 4
"""Letters of a word that says something, in scripts with spaces between words."""
SHORTEST_SEMITIC_CONTENT: Final = 3
"""The same without the prefixes of Arabic and Hebrew, which hardly write vowels."""


class Token(NamedTuple):
    """A word or a number of a text."""

    text: str
    start: int
    end: int

    @property
    def is_number(self) -> bool:
        """Whether it is of digits."""
        return self.text[0].isdecimal()


# Words: runs of letters of one script, so that the Latin name in "Netflix가" stands alone, and digits do too.

_LATIN: Final = "A-Za-zªºÀ-ÖØ-öø-ʯᴀ-ᶿḀ-ỿ\u212a\u212bⱠ-ⱿꜢ-ꟿꬰ-ꭤﬀ-ﬆＡ-Ｚａ-ｚ"  # noqa: RUF001 - full-width letters are meant
_HAN: Final = "々〆〇㐀-䶿一-鿿豈-﫿\U00020000-\U0003134f"
_HIRAGANA: Final = "ぁ-ゖゝ-ゟ"
_KATAKANA: Final = "ァ-ヺー-ヿㇰ-ㇿｦ-ﾟ"
HANGUL: Final = "ᄀ-ᇿ\u3130-\u318f가-힣"
"""The letters and syllables of Korean, for use within brackets of a regular expression."""
_UNSPACED: Final = "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"
"""Thai, Lao, Tibetan, Burmese and Khmer."""


def _marks() -> str:
    """Return every combining mark of the scripts in use: regular expressions count none of them as a letter."""
    regions = (range(0x300, 0x2000), range(0x20D0, 0x20F1), range(0x302A, 0x309B), range(0xA66F, 0xAC00))
    return "".join(chr(code) for region in regions for code in region if unicodedata.category(chr(code))[0] == "M")


_MARKS: Final = _marks() + "\ufb1e\ufe00-\ufe0f\ufe20-\ufe2f"
_SCRIPTS: Final = [f"[{script}][{script}{_MARKS}]*" for script in (_LATIN, _HAN, _HIRAGANA, _KATAKANA, HANGUL)]
_OTHER: Final = rf"(?:[^\W\d_{_LATIN}{_HAN}{_HIRAGANA}{_KATAKANA}{HANGUL}]|[{_MARKS}])+"
SEPARATOR: Final = ".,:'’٫٬"  # noqa: RUF001 - the typographic apostrophe is meant
"""What may stand between the digits of one number, for use within brackets of a regular expression."""
_NUMBER: Final = rf"\d+(?:[{SEPARATOR}]\d+)*"
WORD: Final = re.compile("|".join((*_SCRIPTS, _OTHER)))
"""A run of letters of one script."""
_TOKEN: Final = re.compile("|".join((_NUMBER, *_SCRIPTS, _OTHER)))

_PILE: Final = re.compile(rf"([{_MARKS}]{{8}})[{_MARKS}]+")
"""More marks on a letter than any language puts: normalizing sorts them in time square to their number."""

_ACCENTS: Final = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed\ufe00-\ufe0f]"
)
"""Accents, Hebrew points, Arabic vowels and stretching; the vowel signs of Indic scripts are letters."""
_SAME_LETTERS: Final = str.maketrans(
    dict(zip("ıłøđىیکة", "ilodييكه", strict=True)) | {"æ": "ae", "œ": "oe", "\u02bc": ""}  # noqa: RUF001 - look-alikes
)

IS_LATIN: Final = re.compile(f"[{_LATIN}]")
"""Matches words of Latin letters."""
_IS_HAN: Final = re.compile(f"[{_HAN}]")
IS_KATAKANA: Final = re.compile(f"[{_KATAKANA}]")
"""Matches words of katakana."""
_IS_HIRAGANA: Final = re.compile(f"[{_HIRAGANA}]")
_IS_HANGUL: Final = re.compile(f"[{HANGUL}]")
_IS_UNSPACED: Final = re.compile(f"[{_UNSPACED}]")
_IS_ARABIC: Final = re.compile("[\u0620-\u06ff]")
_IS_HEBREW: Final = re.compile("[\u05d0-\u05ea]")


def folded_words(text: str) -> frozenset[str]:
    """Return the folded words of a list."""
    return frozenset(map(fold, text.split()))


def word_values(text: str) -> list[tuple[str, int]]:
    """Return folded words and their values from a list of values, each with its word after it."""
    parts = text.split()
    return [(fold(word), int(value)) for value, word in zip(parts[::2], parts[1::2], strict=True)]


def each_token(text: str) -> Iterator[Token]:
    """Yield the words and numbers of a text, in order."""
    return (Token(match.group(), *match.span()) for match in _TOKEN.finditer(text))


def fold(token: str) -> str:
    """Return a word without its case, its accents and the ways to encode it."""
    if token.isascii():
        return token.lower()
    # Some compatibility characters stand for capitals, so case is folded once more.
    plain = unicodedata.normalize("NFKD", _PILE.sub(r"\1", token).casefold()).casefold()
    return unicodedata.normalize("NFC", _ACCENTS.sub("", plain).translate(_SAME_LETTERS))


def fold_keeping_tones(token: str) -> str:
    """Fold a word of Vietnamese, whose accents make other words."""
    return unicodedata.normalize("NFC", _PILE.sub(r"\1", token).casefold())


def grams_of(word: str) -> list[str]:
    """Return what a folded word of a script without spaces says, or a Korean word, whose endings are many."""
    if not word or word.isascii():
        return []
    if _IS_HANGUL.match(word):
        return [word[:2]] if len(word) > 1 else []
    if _IS_HAN.match(word):
        return _bigrams(word) or [word]
    if IS_KATAKANA.match(word):
        return _bigrams(word) + trigrams(word)
    return _bigrams(word) if _IS_UNSPACED.match(word) else []


def _bigrams(word: str) -> list[str]:
    return [first + second for first, second in pairwise(word)]


def trigrams(word: str) -> list[str]:
    """Return every three characters in a row."""
    return [word[at : at + 3] for at in range(len(word) - 2)]


def has_content(word: str) -> bool:
    """Tell whether a folded word is long enough to say something."""
    if _IS_ARABIC.match(word) or _IS_HEBREW.match(word):
        return min(map(len, variants(word))) >= SHORTEST_SEMITIC_CONTENT
    return len(word) >= SHORTEST_CONTENT and not _IS_HIRAGANA.match(word)


_ARABIC_PREFIXES: Final = re.compile("[وف]?(?:[بكل]?ال|لل|[بلكس])?")
_HEBREW_PREFIXES: Final = re.compile("ו?(?:[בכלמש]?ה|[בכלמש])?")  # noqa: RUF001 - a Hebrew letter
_SHORTEST_ROOT: Final = 2


def variants(word: str) -> tuple[str, ...]:
    """Return a folded word as it stands and, in Arabic and Hebrew, without "and", "in", "for" and the article."""
    prefixes = _ARABIC_PREFIXES if _IS_ARABIC.match(word) else _HEBREW_PREFIXES if _IS_HEBREW.match(word) else None
    prefix = prefixes.match(word) if prefixes else None
    if prefix is None:
        return (word,)
    # Any part of what looks like prefixes may belong to the root.
    cuts = range(min(prefix.end(), len(word) - _SHORTEST_ROOT) + 1)
    return tuple(word[cut:] for cut in cuts) or (word,)


class Endings(NamedTuple):
    """How a language inflects: two words are forms of one when what they begin with is long enough."""

    shortest_stem: int
    longest_ending: int


_DEFAULT_ENDINGS: Final = Endings(4, 3)
_SEMITIC_ENDINGS: Final = Endings(3, 2)
FUSIONAL: Final = frozenset({"ru", "uk", "be", "pl", "cs", "sk", "sl", "hr", "sr", "bs", "bg", "mk", "lt", "lv"})
"""Languages in which a name of three letters has six endings: Яна, Яны, Яне, Яну, Яной."""
_FUSIONAL_ENDINGS: Final = Endings(2, 3)
AGGLUTINATIVE: Final = frozenset(
    {"fi", "et", "hu", "tr", "az", "kk", "ky", "uz", "tk", "tt", "ba", "eu", "ka", "mn", "ta", "te", "kn", "ml"}
)
"""Languages that string endings together."""
_AGGLUTINATIVE_ENDINGS: Final = Endings(4, 5)
COMPOUNDING: Final = frozenset({"de", "lb", "nl", "af", "sv", "da", "no", "nn", "is", "fo", "fi", "et", "hu"})
"""Languages that write compound words together."""
LONGEST_COMPOUND: Final = 64
"""Letters up to which a word is taken apart."""


def endings_of(language: str) -> Endings:
    """Return how `language` inflects."""
    if language in FUSIONAL:
        return _FUSIONAL_ENDINGS
    if language in ("ar", "fa", "ur", "he"):
        return _SEMITIC_ENDINGS
    return _AGGLUTINATIVE_ENDINGS if language in AGGLUTINATIVE else _DEFAULT_ENDINGS


def stems(word: str, endings: Endings) -> Iterator[str]:
    """Yield the beginnings of a word that leave an ending; an ending is shorter than its stem.

    Two words share one exactly when they begin alike for `shortest_stem` letters, and for all but
    `longest_ending` of either.
    """
    size = len(word)
    shortest = max(endings.shortest_stem, size - endings.longest_ending, size // 2 + 1)
    return (word[:length] for length in range(shortest, size + 1))


def has_prefix(words: Sequence[str], prefix: str) -> bool:
    """Tell whether one of the sorted words begins with `prefix`."""
    at = bisect_left(words, prefix)
    return at < len(words) and words[at].startswith(prefix)


FARTHEST_LETTER: Final = 2
"""Characters between the letters of an abbreviation that is spelled."""
LONGEST_ABBREVIATION: Final = 6
"""Letters of an abbreviation that is spelled."""
