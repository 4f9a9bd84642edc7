"""Which names and numbers of a summary's sentence its source never says, and how much of the sentence it does. Pure.

A small model that sums up a meeting invents a person, moves a date, doubles an amount. Whether a paraphrase is true
nobody can tell cheaply, but a name or a number is either in the source or it is not. So both are looked up in an
index of the source, which is built once, in linear time, and answers in microseconds.

Transcripts come in lower case and without punctuation, say numbers in digits or words, and inflect names; every
comparison forgives that. A false alarm costs a good sentence, and an invention that is missed leaves things as they
would be without the check: where it is not clear that something is a name or a number, it is none.

So the source is read with every reading it can have and the sentence with the likeliest. "Twenty four" in the source
supports 24, 20 and 4; in a sentence it claims 24. This is also why a sentence that the source has verbatim is always
supported, and why adding to a source takes nothing from it.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from typing import Final, NamedTuple

from num2words import CONVERTER_CLASSES, num2words

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


class Claim(NamedTuple):
    """A number that a sentence states: a stretch of it, and the keys of each of its readings, all to be known."""

    start: int
    end: int
    readings: tuple[tuple[str, ...], ...]


class Item(NamedTuple):
    """A part of what may be one number: digits, or a word that has to do with numbers."""

    word: str
    digits: str
    glue: str
    """What stands between it and the part before: "," for a comma, " " for anything else."""


@dataclass(frozen=True)
class NumberWords:
    """How a language says numbers, learned from what num2words says for many of them."""

    phrases: Mapping[str, int]
    """Values of number words, written together and folded: 0 to 999, whole thousands, ordinals, years in hundreds."""
    weak: frozenset[str]
    """Phrases that support a number but, alone, do not claim one: they mean something else as often."""
    scales: Mapping[str, int]
    """Words that multiply what stands before them, by their power of ten."""
    connectors: frozenset[str]
    """Words inside a number that add nothing: "and"."""
    vocabulary: frozenset[str]
    """Every word of the above."""
    stems: Mapping[str, str]
    """Stems of inflected number words, with the word that they belong to."""
    thousands: frozenset[str]
    """Words for a thousand inside of compound number words."""
    keeps_tones: bool

    def canonical(self, token: str, folded: str, *, strict: bool) -> str:
        """Return the word of the vocabulary that a token is, inflected or not unless `strict`; empty for none."""
        word = _fold_keeping_tones(token) if self.keeps_tones else folded
        if word in self.vocabulary or self.compound(word):
            return word
        if word.startswith(_ATTACHED_AND) and word[1:] in self.vocabulary:
            return word[1:]
        if strict or len(word) > _LONGEST_COMPOUND:
            return ""
        return next((self.stems[word[:end]] for end in _ending_cuts(word) if word[:end] in self.stems), "")

    def compound(self, word: str) -> int | None:
        """Return the value of thousands and what follows them in one word: "zwölftausenddreihundert"."""
        if len(word) > _LONGEST_COMPOUND:
            return None
        for thousand in self.thousands:
            head, found, tail = word.partition(thousand)
            if found and tail:
                high, low = self.phrases.get(head + found), self.phrases.get(tail)
                if high is not None and low is not None and low < 1000 <= high:
                    return high + low
        return None


class Evidence:
    """What a source says: its words and numbers, asked about sentences that claim to follow from it.

    Building it takes time linear in the source, a second for 200,000 words; a question takes time linear in the
    sentence. Nothing in either can make it raise.

    Args:
        source: the whole text, in whatever case and punctuation, of any length.
        language: its ISO 639-1 code, for the number words, endings and nouns with capitals of the language.
            Number words of the source are read in English too.
    """

    def __init__(self, source: str, language: str) -> None:
        self._language = language
        self._endings = _endings_of(language)
        self._numbers = _positional_numbers(source)
        self._labels: set[str] = set()
        self._spelled: set[str] = set()
        folded: dict[str, str] = {}
        self._read(source, folded)
        self._words = {variant for word in folded.values() for variant in _variants(word)} - {""}
        self._stems = {stem for word in self._words for stem in _stems(word, self._endings)}
        self._grams = {gram for word in folded.values() for gram in _grams(word)}
        long_words = self._words if language in _COMPOUNDING else set()
        self._forward = sorted(word for word in long_words if len(word) >= SHORTEST_CONTENT)
        self._backward = sorted(word[::-1] for word in self._forward)
        self._words |= self._spelled

    def unsupported(self, sentence: str, language: str | None = None) -> tuple[str, ...]:
        """Return the names and numbers of `sentence` that are nowhere in the source, as written, each once.

        Numbers are digits of any script and number words that are nothing else; names are what the case of letters
        tells, and Latin and katakana among scripts without case. Days, months and labels such as "Speaker 2" count.

        Args:
            sentence: one sentence or more, of any length.
            language: its ISO 639-1 code if it is not the source's. Then only names that no language translates count:
                those with capitals inside, such as NASA and iPhone.
        """
        foreign = language is not None and language != self._language
        tokens = list(_each_token(sentence))
        spots: dict[int, str] = {}
        spoken: set[int] = set()
        labelled: set[int] = set()
        for label, number in pairwise(tokens):
            if number.is_number and _is_label(label, number):
                labelled.add(number.start)
                if self._labels.isdisjoint(_label_numbers(number, ())):
                    spots[label.start] = sentence[label.start : number.end]
        for claim in _number_claims(sentence, tokens, _number_words(language or self._language)):
            spoken.add(claim.start)
            if claim.start not in labelled and not self._supports(claim):
                spots[claim.start] = sentence[claim.start : claim.end]
        for index in _names(sentence, tokens, self._language):
            token = tokens[index]
            if foreign and not any(letter.isupper() for letter in token.text[1:]):
                continue
            if token.start not in spoken and not self._has_name(sentence, tokens, index):
                spots.setdefault(token.start, token.text)
        return tuple(dict.fromkeys(spots[start] for start in sorted(spots)))

    def support(self, sentence: str) -> float:
        """Return the share, 0 to 1, of what `sentence` says that the source says too; 1.0 when it says nothing.

        Counted are words of `SHORTEST_CONTENT` letters, by their stems; in Arabic and Hebrew without their prefixes;
        the first two syllables of Korean words; pairs of characters in scripts without spaces. How they are put
        together is not looked at.
        """
        known = total = 0
        for match in _WORD.finditer(sentence):
            word = _fold(match.group())
            grams = _grams(word)
            if grams:
                total += len(grams)
                known += sum(gram in self._grams for gram in grams)
            elif _has_content(word):
                total += 1
                known += self._has(word)
        return known / total if total else 1.0

    def _read(self, source: str, folded: dict[str, str]) -> None:
        """Take in the words and numbers of the source, token by token."""
        tables = [_number_words(language) for language in dict.fromkeys((self._language, "en"))]
        numeric: dict[str, bool] = {}
        run: list[Token] = []
        previous: Token | None = None
        letters = ""
        for token in _each_token(source):
            if token.text not in folded:
                folded[token.text] = _fold(token.text)
                numeric[token.text] = token.is_number or any(
                    table.canonical(token.text, folded[token.text], strict=False) for table in tables
                )
            if len(folded[token.text]) == 1 and not token.is_number:
                apart = previous is None or token.start - previous.end > _FARTHEST_LETTER
                letters = ("" if apart else letters)[1 - _LONGEST_ABBREVIATION :] + folded[token.text]
                self._spelled.update(letters[at:] for at in range(len(letters) - 1))
            else:
                letters = ""
            if run and not (numeric[token.text] and _glue(source, run[-1], token)):
                self._read_run(source, run, tables)
                run = []
            if numeric[token.text]:
                if previous is not None and _is_label(previous, token):
                    self._labels |= _label_numbers(token, tables)
                run.append(token)
            previous = token
        self._read_run(source, run, tables)

    def _read_run(self, source: str, run: Sequence[Token], tables: Iterable[NumberWords]) -> None:
        for table in tables:
            items = _items(source, run, table, strict=False)
            parts = [_parts(items, start, table) for start in range(len(items))]
            for start, item in enumerate(items):
                if item.digits:
                    self._numbers.update(_literal_readings(item.digits))
                for end, key in _values(items, start, table):
                    self._numbers.add(key)
                    if end < len(items) and items[end].word in _POINTS and key.isdecimal():
                        self._numbers.update(_decimals(items, parts, end + 1, key, table))
                self._numbers.update(_canonical(said) for _, said in _strings(parts, items, start, least=2))

    def _supports(self, claim: Claim) -> bool:
        return any(all(map(self._has_number, reading)) for reading in claim.readings)

    def _has_number(self, key: str) -> bool:
        if key in self._numbers:
            return True
        # Longer ones were said in parts: a telephone number is there when each stretch of it is.
        windows = (key[at : at + _MOST_DIGITS] for at in range(len(key) - _MOST_DIGITS + 1))
        return (
            len(key) > _MOST_DIGITS and key.isdecimal() and all(_canonical(part) in self._numbers for part in windows)
        )

    def _has(self, word: str) -> bool:
        """Tell whether a folded word is in the source, whatever its ending."""
        for variant in _variants(word):
            if variant in self._words or not self._stems.isdisjoint(_stems(variant, self._endings)):
                return True
        return self._language in _COMPOUNDING and self._has_piece(word)

    def _has_piece(self, word: str) -> bool:
        """Tell whether a compound word shares a word of `SHORTEST_CONTENT` letters with the source."""
        if not SHORTEST_CONTENT <= len(word) <= _LONGEST_COMPOUND:
            return False
        if _has_prefix(self._forward, word) or _has_prefix(self._backward, word[::-1]):
            return True
        cuts = range(SHORTEST_CONTENT, len(word) - SHORTEST_CONTENT + 1)
        ends = range(SHORTEST_CONTENT, len(word))
        return any(word[:cut] in self._words for cut in ends) or any(word[cut:] in self._words for cut in cuts)

    def _has_name(self, sentence: str, tokens: Sequence[Token], index: int) -> bool:
        """Tell whether the source has the name at `index`, as it stands or cut or joined otherwise."""
        token = tokens[index]
        word = _fold(token.text)
        if _IS_KATAKANA.match(token.text):
            trimmed = word.rstrip("ー")
            return all(gram in self._grams for gram in _trigrams(trimmed)) or trimmed in self._words
        if word in self._words or (len(word) > 1 and self._has(word)) or word.removesuffix("s") in self._words:
            return True
        if (value := _roman(word)) and str(value) in self._numbers:
            return True
        pieces = _split_at_capitals(token.text)
        if len(pieces) > 1 and all(_fold(piece) in self._words for piece in pieces):
            return True
        return any(joined in self._words for joined in _joined(sentence, tokens, index))


# Words: runs of letters of one script, so that the Latin name in "Netflix가" stands alone, and digits do too.

_LATIN: Final = "A-Za-zªºÀ-ÖØ-öø-ʯᴀ-ᶿḀ-ỿ\u212a\u212bⱠ-ⱿꜢ-ꟿꬰ-ꭤﬀ-ﬆＡ-Ｚａ-ｚ"  # noqa: RUF001 - full-width letters are meant
_HAN: Final = "々〆〇㐀-䶿一-鿿豈-﫿\U00020000-\U0003134f"
_HIRAGANA: Final = "ぁ-ゖゝ-ゟ"
_KATAKANA: Final = "ァ-ヺー-ヿㇰ-ㇿｦ-ﾟ"
_HANGUL: Final = "ᄀ-ᇿ\u3130-\u318f가-힣"
_UNSPACED: Final = "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"
"""Thai, Lao, Tibetan, Burmese and Khmer."""


def _marks() -> str:
    """Return every combining mark of the scripts in use: regular expressions count none of them as a letter."""
    regions = (range(0x300, 0x2000), range(0x20D0, 0x20F1), range(0x302A, 0x309B), range(0xA66F, 0xAC00))
    return "".join(chr(code) for region in regions for code in region if unicodedata.category(chr(code))[0] == "M")


_MARKS: Final = _marks() + "\ufb1e\ufe00-\ufe0f\ufe20-\ufe2f"
_SCRIPTS: Final = [f"[{script}][{script}{_MARKS}]*" for script in (_LATIN, _HAN, _HIRAGANA, _KATAKANA, _HANGUL)]
_OTHER: Final = rf"(?:[^\W\d_{_LATIN}{_HAN}{_HIRAGANA}{_KATAKANA}{_HANGUL}]|[{_MARKS}])+"
_SEPARATOR: Final = ".,:'’٫٬"  # noqa: RUF001 - the typographic apostrophe is meant
_NUMBER: Final = rf"\d+(?:[{_SEPARATOR}]\d+)*"
_WORD: Final = re.compile("|".join((*_SCRIPTS, _OTHER)))
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

_IS_LATIN: Final = re.compile(f"[{_LATIN}]")
_IS_HAN: Final = re.compile(f"[{_HAN}]")
_IS_KATAKANA: Final = re.compile(f"[{_KATAKANA}]")
_IS_HIRAGANA: Final = re.compile(f"[{_HIRAGANA}]")
_IS_HANGUL: Final = re.compile(f"[{_HANGUL}]")
_IS_UNSPACED: Final = re.compile(f"[{_UNSPACED}]")
_IS_ARABIC: Final = re.compile("[\u0620-\u06ff]")
_IS_HEBREW: Final = re.compile("[\u05d0-\u05ea]")


def _words(text: str) -> frozenset[str]:
    """Return the folded words of a list."""
    return frozenset(map(_fold, text.split()))


def _table(text: str) -> list[tuple[str, int]]:
    """Return folded words and their values from a list of values, each with its word after it."""
    parts = text.split()
    return [(_fold(word), int(value)) for value, word in zip(parts[::2], parts[1::2], strict=True)]


def _each_token(text: str) -> Iterator[Token]:
    return (Token(match.group(), *match.span()) for match in _TOKEN.finditer(text))


def _fold(token: str) -> str:
    """Return a word without its case, its accents and the ways to encode it."""
    if token.isascii():
        return token.lower()
    # Some compatibility characters stand for capitals, so case is folded once more.
    plain = unicodedata.normalize("NFKD", _PILE.sub(r"\1", token).casefold()).casefold()
    return unicodedata.normalize("NFC", _ACCENTS.sub("", plain).translate(_SAME_LETTERS))


def _fold_keeping_tones(token: str) -> str:
    """Fold a word of Vietnamese, whose accents make other words."""
    return unicodedata.normalize("NFC", _PILE.sub(r"\1", token).casefold())


def _grams(word: str) -> list[str]:
    """Return what a folded word of a script without spaces says, or a Korean word, whose endings are many."""
    if not word or word.isascii():
        return []
    if _IS_HANGUL.match(word):
        return [word[:2]] if len(word) > 1 else []
    if _IS_HAN.match(word):
        return _bigrams(word) or [word]
    if _IS_KATAKANA.match(word):
        return _bigrams(word) + _trigrams(word)
    return _bigrams(word) if _IS_UNSPACED.match(word) else []


def _bigrams(word: str) -> list[str]:
    return [first + second for first, second in pairwise(word)]


def _trigrams(word: str) -> list[str]:
    return [word[at : at + 3] for at in range(len(word) - 2)]


def _has_content(word: str) -> bool:
    if _IS_ARABIC.match(word) or _IS_HEBREW.match(word):
        return min(map(len, _variants(word))) >= SHORTEST_SEMITIC_CONTENT
    return len(word) >= SHORTEST_CONTENT and not _IS_HIRAGANA.match(word)


_ARABIC_PREFIXES: Final = re.compile("[وف]?(?:[بكل]?ال|لل|[بلكس])?")
_HEBREW_PREFIXES: Final = re.compile("ו?(?:[בכלמש]?ה|[בכלמש])?")  # noqa: RUF001 - a Hebrew letter
_SHORTEST_ROOT: Final = 2


def _variants(word: str) -> tuple[str, ...]:
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
# A name of three letters has six endings there: Яна, Яны, Яне, Яну, Яной.
_FUSIONAL: Final = frozenset({"ru", "uk", "be", "pl", "cs", "sk", "sl", "hr", "sr", "bs", "bg", "mk", "lt", "lv"})
_FUSIONAL_ENDINGS: Final = Endings(2, 3)
_AGGLUTINATIVE: Final = frozenset(
    {"fi", "et", "hu", "tr", "az", "kk", "ky", "uz", "tk", "tt", "ba", "eu", "ka", "mn", "ta", "te", "kn", "ml"}
)
_AGGLUTINATIVE_ENDINGS: Final = Endings(4, 5)
_COMPOUNDING: Final = frozenset({"de", "lb", "nl", "af", "sv", "da", "no", "nn", "is", "fo", "fi", "et", "hu"})
_LONGEST_COMPOUND: Final = 64


def _endings_of(language: str) -> Endings:
    if language in _FUSIONAL:
        return _FUSIONAL_ENDINGS
    if language in ("ar", "fa", "ur", "he"):
        return _SEMITIC_ENDINGS
    return _AGGLUTINATIVE_ENDINGS if language in _AGGLUTINATIVE else _DEFAULT_ENDINGS


def _stems(word: str, endings: Endings) -> Iterator[str]:
    """Yield the beginnings of a word that leave an ending; an ending is shorter than its stem.

    Two words share one exactly when they begin alike for `shortest_stem` letters, and for all but
    `longest_ending` of either.
    """
    size = len(word)
    shortest = max(endings.shortest_stem, size - endings.longest_ending, size // 2 + 1)
    return (word[:length] for length in range(shortest, size + 1))


def _has_prefix(words: Sequence[str], prefix: str) -> bool:
    """Tell whether one of the sorted words begins with `prefix`."""
    at = bisect_left(words, prefix)
    return at < len(words) and words[at].startswith(prefix)


_FARTHEST_LETTER: Final = 2
"""Characters between the letters of an abbreviation that is spelled."""
_LONGEST_ABBREVIATION: Final = 6

# Numbers: every one is known by a key, its digits without separators and needless zeros: "12000", "3.5", "14:30".

_MOST_DIGITS: Final = 8
"""Digits up to which numbers that were read one by one are put together; longer ones are found by stretches."""
_MOST_PARTS: Final = 4
"""Parts, such as "nineteen" and "eighty four", up to which they are put together."""
_MOST_WORDS: Final = 8
"""Words of one number below a thousand, and of thousands."""


def _ascii_digits(text: str) -> str:
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(letter)) if letter.isdecimal() else letter for letter in text)


def _canonical(digits: str) -> str:
    return digits.lstrip("0") or "0"


def _decimal(whole: str, fraction: str) -> str:
    fraction = fraction.rstrip("0")
    return f"{_canonical(whole)}.{fraction}" if fraction else _canonical(whole)


def _scaled(key: str, exponent: int) -> str:
    """Return the key of a number times ten to the power of `exponent`."""
    whole, _, fraction = key.partition(".")
    fraction = fraction.ljust(exponent, "0")
    return _decimal(whole + fraction[:exponent], fraction[exponent:])


def _split_number(token: str) -> tuple[list[str], str]:
    """Return the groups of digits of a number as ASCII, and the separators between them."""
    text = _ascii_digits(token)
    if text.isdecimal():
        return [text], ""
    text = text.translate(_SEPARATORS)
    return re.split(r"\D", text), "".join(letter for letter in text if not letter.isdecimal())


_SEPARATORS: Final = str.maketrans({"٫": ".", "٬": ",", "’": "'"})  # noqa: RUF001 - the typographic apostrophe is meant


def _readings(token: str) -> list[tuple[str, ...]]:
    """Return what digits with separators can mean, each reading as the keys that it states.

    "12.000" is twelve thousand, "1.500" that or one and a half, "12.30" a decimal or a time, "1.2.3" its pieces.
    """
    groups, separators = _split_number(token)
    if not separators:
        return [(_canonical(groups[0]),)]
    pieces = tuple(map(_canonical, groups))
    if ":" in separators:
        return [(_time(groups),), pieces]
    readings: list[tuple[str, ...]] = []
    uniform = len(set(separators)) == 1
    thousands = _are_thousands(groups)
    if uniform and thousands:
        readings.append(("".join(groups),))
    if len(groups) == 2 and separators != "'" and not (thousands and groups[1] == "000"):
        readings.append((_decimal(*groups),))
        if separators == "." and len(groups[1]) == 2 and len(groups[0]) <= 2:
            readings.append((_time(groups),))
    if not uniform and len(set(separators[:-1])) == 1 and _are_thousands(groups[:-1]):
        readings.append((_decimal("".join(groups[:-1]), groups[-1]),))
    return readings or [pieces]


def _literal_readings(token: str) -> Iterator[str]:
    """Yield every key that digits in the source support: of their readings and, but for thousands, of their pieces."""
    for reading in _readings(token):
        yield from reading
    groups, separators = _split_number(token)
    if len(set(separators)) != 1 or not _are_thousands(groups):
        yield from map(_canonical, groups)
    if separators == ":":
        yield _canonical("".join(groups))


def _time(groups: Sequence[str]) -> str:
    return ":".join((_canonical(groups[0]), *groups[1:]))


def _are_thousands(groups: Sequence[str]) -> bool:
    """Tell whether groups of digits are one number: 1,234,567 or, as in India, 12,34,567."""
    first, *middle, last = groups if len(groups) > 1 else ("", "")
    sizes = set(map(len, middle))
    return 1 <= len(first) <= 3 and first[0] != "0" and len(last) == 3 and (sizes <= {3} or sizes == {2})


def _glue(text: str, first: Token, second: Token) -> str:
    """Return what joins two parts of a number: "," for a comma, " " for a space, a hyphen or nothing; "" if apart."""
    between = text[first.end : second.start]
    if len(between) > _LONGEST_GLUE or between.strip(_GLUE):
        return ""
    return "," if "," in between else " "


_GLUE: Final = " \t\r\n\u00a0\u2009\u202f-‐‑–/.,'’"  # noqa: RUF001 - dashes and Ukrainian's apostrophe
_LONGEST_GLUE: Final = 3


_ATTACHED_AND: Final = ("\u0648", "\u05d5")
"""What is "and" in Arabic and in Hebrew, and written together with what follows."""


def _ending_cuts(word: str) -> range:
    return range(len(word), max(len(word) - 4, 3), -1)


# How languages say numbers.

# num2words' name of a language where it is another, or of a near relative.
_CONVERTERS: Final[Mapping[str, str]] = {"kk": "kz", "nn": "no", "hr": "sr", "bs": "sr", "ms": "id"}
_TONAL: Final = frozenset({"vi"})
# These write numerals one sign or syllable for a digit or a power of ten, which `Numerals` reads.
_POSITIONAL_LANGUAGES: Final = frozenset({"ja", "ko", "th"})
_CONVERTER_FAULTS: Final = (ArithmeticError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError)
"""What num2words raises for a number or form that a language lacks."""

_CONNECTORS: Final[Mapping[str, str]] = {
    **{"en": "and", "es": "y", "fr": "et", "ca": "i", "sv": "och", "ro": "și", "bg": "и", "vi": "lẻ linh"},
    **{
        **dict.fromkeys(["da", "no", "nn", "is"], "og"),
        **dict.fromkeys(["pt", "it"], "e"),
        **dict.fromkeys(["ar", "fa"], "و"),
    },
}
"""Words inside a number that add nothing, where they are written apart."""
_BY_HAND: Final[Mapping[str, str]] = {
    "hi": "0 शून्य 1 एक 2 दो 3 तीन 4 चार 5 पांच 5 पाँच 6 छह 6 छः 7 सात 8 आठ 9 नौ 10 दस 11 ग्यारह 12 बारह 13 तेरह 14 चौदह "
    "15 पंद्रह 16 सोलह 17 सत्रह 18 अठारह 19 उन्नीस 20 बीस 25 पच्चीस 30 तीस 35 पैंतीस 40 चालीस 45 पैंतालीस 50 पचास 60 साठ "
    "70 सत्तर 75 पचहत्तर 80 अस्सी 90 नब्बे",
    "el": "0 μηδέν 1 ένα 2 δύο 3 τρία 3 τρεις 4 τέσσερα 4 τέσσερις 5 πέντε 6 έξι 7 επτά 7 εφτά 8 οκτώ 8 οχτώ 9 εννέα "
    "9 εννιά 10 δέκα 11 έντεκα 12 δώδεκα 13 δεκατρία 14 δεκατέσσερα 15 δεκαπέντε 16 δεκαέξι 17 δεκαεπτά 18 δεκαοκτώ "
    "19 δεκαεννέα 20 είκοσι 30 τριάντα 40 σαράντα 50 πενήντα 60 εξήντα 70 εβδομήντα 80 ογδόντα 90 ενενήντα 100 εκατό "
    "1000 χίλια",
    "bg": "0 нула 1 един 2 два 2 две 3 три 4 четири 5 пет 6 шест 7 седем 8 осем 9 девет 10 десет 11 единадесет "
    "12 дванадесет 12 дванайсет 13 тринадесет 14 четиринадесет 15 петнадесет 15 петнайсет 16 шестнадесет "
    "17 седемнадесет 18 осемнадесет 19 деветнадесет 20 двадесет 30 тридесет 40 четиридесет 50 петдесет "
    "60 шестдесет 70 седемдесет 80 осемдесет 90 деветдесет 100 сто 200 двеста 300 триста 1000 хиляда",
}
"""Values and words for languages that num2words lacks; tens and units are put together from them."""
_SCALES_BY_HAND: Final[Mapping[str, str]] = {
    "hi": "2 सौ 3 हज़ार 3 हजार 5 लाख 7 करोड़ 7 करोड",
    "el": "3 χιλιάδες 6 εκατομμύρια 6 εκατομμύριο",
    "bg": "3 хиляди 6 милиона 6 милион",
    "bn": "5 লাখ 7 কোটি",
}
_MORE_WORDS: Final[Mapping[str, str]] = {
    "en": "0 oh 12 dozen",
    "de": "2 zwo 2 zweier 12 dutzend",
    "fr": "12 douzaine 70 septante 90 nonante",
    "pt": "2 duas 16 dezesseis 17 dezessete 19 dezenove",
    "pl": "2 dwie 2 dwóch 3 trzech 4 czterech 5 pięciu 6 sześciu 7 siedmiu 8 ośmiu 10 dziesięciu 12 dwunastu",
    "cs": "2 dvě 2 dvou 3 tří 4 čtyř 5 pěti 6 šesti 7 sedmi 8 osmi 9 devíti 10 deseti",
    "uk": "2 дві 2 двох 3 трьох 4 чотирьох 7 сімох 8 восьми",
    "fi": "2 kahden 2 kahteen 3 kolmen 4 neljän 5 viiden 6 kuuden 7 seitsemän 8 kahdeksan 9 yhdeksän 10 kymmenen",
    "ms": "8 lapan 0 kosong",
    "ar": "2 اثنين 2 اثنان 2 اثني 3 ثلاث 4 أربع 5 خمس 6 ست 7 سبع 8 ثماني 9 تسع 10 عشر 12 اثنيعشر 12 اثنتيعشرة "
    "13 ثلاثعشرة 14 أربععشرة 15 خمسعشرة 16 ستعشرة 17 سبععشرة 18 ثمانيعشرة 19 تسععشرة 100 مئة 100 مية 200 مئتين",
    "he": "2 שני 2 שתי 2 שניים 3 שלושה 4 ארבעה 5 חמישה 6 שישה 7 שבעה 8 שמונה 9 תשעה 10 עשרה",
}
"""Other forms of number words; they support a number and claim none."""

_SCALES: Final[Mapping[str, int]] = {
    **dict.fromkeys(["k", "tsd", "тыс"], 3),
    **dict.fromkeys(["m", "mm", "mn", "mio", "mln", "млн"], 6),
    **dict.fromkeys(["b", "bn", "mrd", "mld", "млрд"], 9),
}
"""Abbreviations that multiply, in any language."""
_VAGUE_SCALES: Final = frozenset({"m", "mm", "b"})
"""Abbreviations that stand for metres and bytes as well."""
_POINTS: Final = _words(
    "point dot komma comma virgule coma punto virgola vírgula ponto koma przecinek pilkku egész virgül punt kablelis "
    "komats zapeta celá celých celih nöqtə запятая кома коска целых целая цілих ціла κόμμα נקודה فاصلة ممیز "
    "दशमलव দশমিক"
) | {"phẩy"}
"""What is said between a number and its decimals."""
_FRACTIONS: Final = dict(
    _table(
        "1 десятых 1 десятая 2 сотых 2 сотая 3 тысячных 1 десятих 2 сотих 1 dziesiątych 2 setnych "
        "1 tized 2 század 3 ezred"
    )
)
"""What is said after decimals, and how many digits they have then."""

_HOMOGRAPHS: Final[Mapping[str, str]] = {
    **{"fr": "neuf", "it": "sei", "es": "cuarto", "pt": "quarto sexto meia", "ro": "nouă opt", "hu": "hét hat"},
    **{"id": "empat", "tr": "alti yüz bin yedi on", "he": "שש שבע", "ar": "ست سبع", "vi": "ba năm chín tư"},
    **dict.fromkeys(["da", "no", "nn"], "to fire ti"),
}
"""Number words that are mostly, or often enough, other words."""
_FEWEST_CLAIMED: Final = 2
"""Number words below it are articles and negations: "one", "eine", "uno"."""
_FEWEST_CLAIMED_ORDINAL: Final = 4
"""Ordinals below it mostly list: "first", "second", "third"."""


@lru_cache(maxsize=128)
def _number_words(language: str) -> NumberWords:
    """Return how `language` says numbers. It takes a fifth of a second once, and some languages are not known."""
    phrases: dict[str, int] = {}
    weak: dict[str, int] = {}
    scales = dict(_SCALES)
    vocabulary: set[str] = set()
    fold = _fold_keeping_tones if language in _TONAL else _fold
    connectors = frozenset(map(fold, _CONNECTORS.get(language, "").split()))
    for value, words in _conversions(language):
        said = [word for word in words if word not in connectors]
        vocabulary.update(said)
        phrases.setdefault("".join(said), value)
    for word, value in _table(_BY_HAND.get(language, "")):
        phrases.setdefault(word, value)
    tens = {word: value for word, value in _table(_BY_HAND.get(language, "")) if value in range(20, 100, 10)}
    units = {word: value for word, value in phrases.items() if 0 < value < 10} if tens else {}
    phrases.update({ten + unit: tens[ten] + units[unit] for ten in tens for unit in units if language != "hi"})
    scales.update(_scales_of(language), **dict(_table(_SCALES_BY_HAND.get(language, ""))))
    for word, value in (*_bare(phrases, language), *_table(_MORE_WORDS.get(language, ""))):
        weak.setdefault(word, value)
    for value, words in _ordinals(language):
        said = [word for word in words if word not in connectors]
        vocabulary.update(said)
        (phrases if value >= _FEWEST_CLAIMED_ORDINAL else weak).setdefault("".join(said), value)
    every = {**weak, **phrases}
    stems = _inflected(every) if language in _FUSIONAL | _AGGLUTINATIVE | {"de", "is", "el", "ro"} else {}
    thousands = frozenset(word for word, exponent in scales.items() if exponent == 3 and len(word) > 2)
    vocabulary.update(every, scales, connectors, _POINTS, _FRACTIONS)
    return NumberWords(
        phrases=every,
        weak=frozenset(weak.keys() - phrases.keys()).union(map(fold, _HOMOGRAPHS.get(language, "").split())),
        scales=scales,
        connectors=connectors,
        vocabulary=frozenset(vocabulary - {""}),
        stems=stems,
        thousands=thousands if language in _COMPOUNDING | {"it", "tr", "sk"} else frozenset(),
        keeps_tones=language in _TONAL,
    )


def _conversions(language: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield numbers with their words: cardinals in each gender and case that there is, and years in hundreds."""
    thousand, million, milliard = 10**3, 10**6, 10**9
    powers = (
        range(thousand, million, thousand),
        range(million, 100 * million, million),
        range(milliard, 10 * milliard, milliard),
    )
    for value in chain(range(thousand), *powers):
        words = _said(language, value)
        yield value, words
        if language == "da" and thousand <= value < million:
            # As it is written where hundreds follow.
            yield value, (*words[:-1], f"{words[-1]}e")
    if language == "ru":
        for value in (*range(21), *range(30, 100, 10), *range(100, 1000, 100)):
            yield from ((value, _said(language, value, case=case)) for case in "gdip")
        yield from ((value, _said(language, value, gender=gender)) for value in (1, 2) for gender in "fn")
    for year in range(1100, 2100):
        yield year, _said(language, year, to="year")


def _ordinals(language: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    for value in range(1, 101):
        words = _said(language, value, to="ordinal")
        if not words:
            return
        yield value, words


def _said(language: str, value: int, **form: str) -> tuple[str, ...]:
    """Return the folded words of a number; none where num2words has none."""
    converter = _CONVERTERS.get(language, language)
    if converter not in CONVERTER_CLASSES or converter in _POSITIONAL_LANGUAGES:
        return ()
    try:
        text = num2words(value, lang=converter, **form)
    except _CONVERTER_FAULTS:
        return ()
    fold = _fold_keeping_tones if language in _TONAL else _fold
    return tuple(fold(match.group()) for match in _WORD.finditer(text))


def _scales_of(language: str) -> dict[str, int]:
    """Return the words for thousands, millions and so on: what follows "one", "two" and "five" with them."""
    scales: dict[str, int] = {}
    for exponent in (3, 6, 9):
        for factor in (1, 2, 5):
            words, unit = _said(language, factor * 10**exponent), _said(language, factor)
            if len(words) in (2, len(unit) + 1):
                scales.setdefault(words[-1], exponent)
            elif len(words) == 1 and words != unit:
                scales.setdefault(words[0].removeprefix("".join(unit)), exponent)
    return scales


def _bare(phrases: Mapping[str, int], language: str) -> Iterator[tuple[str, int]]:
    """Yield hundreds and thousands without the "one" before them: "hundred five", "tausend"."""
    two, hundred, thousand = ("".join(_said(language, value)) for value in (2, 200, 2000))
    for many, power in ((hundred, 100), (thousand, 1000)):
        bare = many.removeprefix(two)
        one = "".join(_said(language, power)).removesuffix(bare)
        if bare and bare != many and one and one != "".join(_said(language, power)):
            yield bare, power
            for word, value in phrases.items():
                if power < value < 2 * power and word.startswith(one + bare):
                    yield word.removeprefix(one), value


def _inflected(phrases: Mapping[str, int]) -> dict[str, str]:
    """Return the stems of number words, without one or two last vowels, that belong to one value only."""
    stems: dict[str, str] = {}
    for word, value in phrases.items():
        stem = word[:-2] + word[-2:].rstrip(_LAST_VOWELS)
        if len(stem) >= _SHORTEST_NUMBER_STEM and phrases[stems.setdefault(stem, word)] != value:
            stems[stem] = ""
    return {stem: word for stem, word in stems.items() if word}


_LAST_VOWELS: Final = "aeiouyаеиоуыэюяьαειουη"  # noqa: RUF001 - of three alphabets
_SHORTEST_NUMBER_STEM: Final = 4

# What parts of a text say as numbers.


def _decimals(
    items: Sequence[Item], parts: Sequence[Sequence[tuple[int, str]]], start: int, whole: str, table: NumberWords
) -> Iterator[str]:
    """Yield the keys of `whole` with what begins at `start` behind its point: "two", "one four", "two tenths"."""
    for end, fraction in _strings(parts, items, start, least=1):
        digits = _FRACTIONS.get(items[end].word, 0) if end < len(items) else 0
        decimal = _decimal(whole, fraction.rjust(digits, "0"))
        yield from (key for _, key in _times(items, end + (digits > 0), decimal, table))


def _items(text: str, run: Sequence[Token], table: NumberWords, *, strict: bool) -> list[Item]:
    items: list[Item] = []
    for index, token in enumerate(run):
        glue = _glue(text, run[index - 1], token) if index else " "
        word = "" if token.is_number else table.canonical(token.text, _fold(token.text), strict=strict)
        items.append(Item(word, token.text if token.is_number else "", glue))
    return items


def _values(items: Sequence[Item], start: int, table: NumberWords) -> Iterator[tuple[int, str]]:
    """Yield every number that begins at `start`, as the index after its end and its key."""
    if not items[start].digits:
        yield from ((end, str(value)) for end, value in _spoken(items, start, table))
        return
    for reading in _readings(items[start].digits):
        if len(reading) == 1:
            yield from _times(items, start + 1, reading[0], table)


def _times(items: Sequence[Item], at: int, key: str, table: NumberWords) -> Iterator[tuple[int, str]]:
    """Yield a number that ends at `at`, and times the thousands or millions that follow it: "3.5 million"."""
    yield at, key
    exponent = table.scales.get(items[at].word) if at < len(items) else None
    if exponent is not None and ":" not in key:
        yield at + 1, _scaled(key, exponent)


def _spoken(items: Sequence[Item], start: int, table: NumberWords) -> Iterator[tuple[int, int]]:
    for end, value in _phrases(items, start, table):
        yield end, value
        yield from _continued(items, end, value, table)


def _phrases(items: Sequence[Item], start: int, table: NumberWords) -> Iterator[tuple[int, int]]:
    joined = ""
    for index in range(start, min(len(items), start + _MOST_WORDS)):
        word = items[index].word
        if not word or (index == start and word in table.connectors):
            return
        if word in table.connectors:
            continue
        joined += word
        value = table.phrases.get(joined)
        if value is None and index == start:
            value = table.compound(word)
        if value is not None:
            yield index + 1, value


def _continued(items: Sequence[Item], at: int, value: int, table: NumberWords) -> Iterator[tuple[int, int]]:
    """Yield the numbers that begin with `value` and go on at `at`: times a thousand, or with what is less than one."""
    word = items[at].word if at < len(items) else ""
    exponent = table.scales.get(word)
    if exponent is not None and 0 < value < 10**exponent:
        yield at + 1, value * 10**exponent
        yield from _continued(items, at + 1, value * 10**exponent, table)
    rest = 1
    while value and value % (rest * 1000) == 0:
        rest *= 1000
    if rest > 1:
        for end, added in _phrases(items, at + 1 if word in table.connectors else at, table):
            if 0 < added < rest:
                yield end, value + added
                yield from _continued(items, end, value + added, table)


def _parts(items: Sequence[Item], start: int, table: NumberWords) -> list[tuple[int, str]]:
    """Return what may be a part of a number that is said in parts: digits, or a number word below a hundred."""
    digits = items[start].digits
    if digits:
        return [(start + 1, _ascii_digits(digits))] if digits.isdecimal() and len(digits) <= _MOST_DIGITS else []
    return [(end, str(value)) for end, value in _phrases(items, start, table) if value < 100]


def _strings(
    parts: Sequence[Sequence[tuple[int, str]]], items: Sequence[Item], start: int, least: int
) -> Iterator[tuple[int, str]]:
    """Yield the ends and digits of numbers in parts that begin at `start`: "nineteen eighty four", "four seven one".

    Across commas only single digits are put together, three at least: what else stands between commas is a list.

    Args:
        parts: for each item, its `_parts`.
        items: the run.
        start: index of the first item.
        least: of how many parts.
    """

    def extend(at: int, said: str, count: int, single: bool, commas: bool) -> Iterator[tuple[int, str]]:
        for end, part in parts[at] if at < len(items) else ():
            crossing = commas or (count > 0 and items[at].glue == ",")
            one = single and len(part) == 1
            if crossing and not one:
                continue
            if count + 1 >= (max(least, 3) if crossing else least):
                yield end, said + part
            if count + 1 < (_MOST_DIGITS if one else _MOST_PARTS):
                yield from extend(end, said + part, count + 1, one, crossing)

    return extend(start, "", 0, True, False)


# Numerals with a sign for every digit and every power of ten.


class Numerals:
    """The numerals of a script, and how to find and read them; digits may stand among them, as in "3万5千".

    Args:
        signs: values of the signs.
        group: from which power of ten on a sign multiplies all that stands before it.
    """

    def __init__(self, signs: Mapping[str, int], group: int) -> None:
        self._signs = signs
        self._group = group
        sign = "|".join(signs)
        self._part = re.compile(rf"\d+(?:[.,]\d+)*|{sign}")
        # Possessive, so that long digits are not tried in every division.
        self._run = re.compile(rf"(?:\d++(?:[.,]\d++)*+|{sign})+")
        self._fraction = re.compile(rf"(\d+\.\d+)({sign})")

    def runs(self, text: str) -> Iterator[re.Match[str]]:
        """Yield where `text` has numerals, not digits alone."""
        return (match for match in self._run.finditer(text) if any(sign in match.group() for sign in self._signs))

    def key(self, run: str) -> str:
        """Return the key of the number that a run of numerals says; empty when it says none."""
        if len(run) > _LONGEST_NUMERAL:
            return ""
        fraction = self._fraction.fullmatch(run)
        if fraction and self._signs[fraction[2]] >= _TEN:
            return _scaled(_ascii_digits(fraction[1]), len(str(self._signs[fraction[2]])) - 1)
        total = section = 0
        number: int | None = None
        for part in self._part.findall(run):
            value = self._signs.get(part)
            if value is None:
                digits = part.replace(",", "")
                if number is not None or not digits.isdecimal():
                    return ""
                number = int(digits)
            elif value < _TEN:
                number = (number or 0) * 10 + value
            elif value < self._group:
                section, number = section + (1 if number is None else number) * value, None
            else:
                total, section, number = total + (section + (number or 0) or 1) * value, 0, None
        return str(total + section + (number or 0))


_TEN: Final = 10
_LONGEST_NUMERAL: Final = 24

_HAN_SIGNS: Final = dict(
    _table(
        "0 零 0 \u3007 1 一 2 二 2 两 2 兩 3 三 4 四 5 五 6 六 7 七 8 八 9 九 10 十 100 百 1000 千 10000 万 10000 萬 "
        "100000000 亿 100000000 億 1000000000000 兆"
    )
)
_HANGUL_SIGNS: Final = dict(
    _table(
        "0 영 0 공 1 일 2 이 3 삼 4 사 5 오 6 육 7 칠 8 팔 9 구 10 십 100 백 1000 천 10000 만 100000000 억 "
        "1000000000000 조"
    )
)
_THAI_SIGNS: Final = dict(
    _table(
        "0 ศูนย์ 1 หนึ่ง 1 เอ็ด 2 สอง 2 ยี่ 3 สาม 4 สี่ 5 ห้า 6 หก 7 เจ็ด 8 แปด 9 เก้า 10 สิบ 100 ร้อย 1000 พัน 10000 หมื่น "
        "100000 แสน 1000000 ล้าน"
    )
)
_HAN_NUMERALS: Final = Numerals(_HAN_SIGNS, 10**4)
_HANGUL_NUMERALS: Final = Numerals(_HANGUL_SIGNS, 10**4)
_THAI_NUMERALS: Final = Numerals(_THAI_SIGNS, 10**6)

_COUNTED_HAN: Final = re.compile(
    "(?<![第周週期拜零\u3007一二三四五六七八九十百千万萬亿億])"
    "[二三四五六七八九十两兩](?=[个個名人位点點時时月日号號年天歳岁元円])"
)
"""A single numeral before a counter; anywhere else it may be part of any word."""
_HAN_POWERS: Final = frozenset("十百千万萬亿億兆")
_HAN_IDIOMS: Final = frozenset({"千万", "千萬", "万一", "萬一", "万千", "千百"})
"""By all means, in case, a great many."""
_FEWEST_HAN_DIGITS: Final = 3
"""Numerals without powers of ten that are a number, a year mostly, and not "seven or eight"."""

_SINO: Final = f"[{''.join(_HANGUL_SIGNS)}]"
_HANGUL_RUN: Final = re.compile(
    rf"(?<![{_HANGUL}\d.,])(?:(?:\d++(?:[.,]\d++)*+)?{_SINO}++(?:[ \u00a0](?=\d|{_SINO}))?+)++"
)
_MIXED_HANGUL: Final = re.compile(r"(?<![\d.,])\d++(?:[.,]\d++)*+[십백천만억조]++(?:[ \u00a0]\d++[십백천만억조]++)*+")
_HANGUL_END: Final = re.compile(
    "명|개|월|일|년|시|분|초|원|주|층|도|차|회|호|퍼센트|프로|배|살|대|권|장|잔|달러|유로|킬로|미터|가지|번째|(?![가-힣])"
)
"""What may follow Sino-Korean numerals, whose syllables begin many words."""
_NATIVE_TENS: Final = dict(_table("10 열 20 스물 20 스무 30 서른 40 마흔 50 쉰 60 예순 70 일흔 80 여든 90 아흔"))
_NATIVE_UNITS: Final = dict(_table("1 한 2 두 3 세 4 네 5 다섯 6 여섯 7 일곱 8 여덟 9 아홉"))
_NATIVE_RUN: Final = re.compile(
    rf"(?<![가-힣])({'|'.join(_NATIVE_TENS)})?({'|'.join(_NATIVE_UNITS)})?"
    r"(?=\s?(?:시|명|개|번|살|달|주|가지|마리|사람|분|대|권|잔|장|곳))"
)


def _stretches(run: str) -> Iterator[str]:
    """Yield every stretch of a few parts that spaces divide, without the spaces."""
    parts = run.replace("\u00a0", " ").split(" ")
    for start in range(len(parts)):
        yield from ("".join(parts[start:end]) for end in range(start + 1, min(start + _MOST_PARTS, len(parts)) + 1))


def _positional_numbers(text: str) -> set[str]:
    """Return the keys of all that `text` says in Han, Korean and Thai numerals."""
    keys = {_HAN_NUMERALS.key(match.group()) for match in _HAN_NUMERALS.runs(text)}
    keys.update(_THAI_NUMERALS.key(match.group()) for match in _THAI_NUMERALS.runs(text))
    keys.update(_HAN_NUMERALS.key(match.group()) for match in _COUNTED_HAN.finditer(text))
    for match in _MIXED_HANGUL.finditer(text):
        keys.update(map(_HANGUL_NUMERALS.key, _stretches(match.group())))
    for match in _HANGUL_RUN.finditer(text):
        # The last sign may be a counter that looks like a numeral: 십이일 is the twelfth day.
        for end in (match.end(), match.end() - 1):
            if end > match.start() and _HANGUL_END.match(text, end):
                keys.update(map(_HANGUL_NUMERALS.key, _stretches(text[match.start() : end])))
    for match in _NATIVE_RUN.finditer(text):
        tens, unit = match.groups()
        keys.add(str(_NATIVE_TENS.get(tens, 0) + _NATIVE_UNITS.get(unit, 0)))
    return keys - {""}


# What a sentence claims as numbers.

_DATE: Final = re.compile(rf"(?<![\d{_SEPARATOR}])(\d{{1,4}})([./-])(\d{{1,2}})\2(\d{{1,4}})(?!\d|[{_SEPARATOR}]\d)")
_HALF_DAY: Final = 12
_CLOCK: Final = re.compile(r"\s?(?:[ap]\.?\s?m\b|uhr\b|h\b|시|[点點時时])", re.IGNORECASE)


def _number_claims(text: str, tokens: Sequence[Token], table: NumberWords) -> Iterator[Claim]:
    """Yield the numbers that a sentence states; none of them overlap."""
    special = sorted((*_numeral_claims(text), *_date_claims(text)))
    free = list(_outside(tokens, special))
    yield from _disjoint(special)
    run: list[Token] = []
    for token in free:
        if not (token.is_number or table.canonical(token.text, _fold(token.text), strict=True)):
            continue
        if run and not _glue(text, run[-1], token):
            yield from _run_claims(text, run, table)
            run = []
        run.append(token)
    yield from _run_claims(text, run, table)


def _disjoint(claims: Iterable[Claim]) -> Iterator[Claim]:
    end = 0
    for claim in claims:
        if claim.start >= end:
            yield claim
            end = claim.end


def _outside(tokens: Iterable[Token], claims: Sequence[Claim]) -> Iterator[Token]:
    """Yield the tokens that do not begin inside one of the sorted claims."""
    at = end = 0
    for token in tokens:
        while at < len(claims) and claims[at].start <= token.start:
            end = max(end, claims[at].end)
            at += 1
        if token.start >= end:
            yield token


def _numeral_claims(text: str) -> Iterator[Claim]:
    for match in _HAN_NUMERALS.runs(text):
        run = match.group()
        key = _HAN_NUMERALS.key(run)
        if key and _is_han_number(run):
            yield Claim(*match.span(), ((key,),))
    for match in _COUNTED_HAN.finditer(text):
        yield Claim(*match.span(), ((_HAN_NUMERALS.key(match.group()),),))
    for match in _MIXED_HANGUL.finditer(text):
        if key := _HANGUL_NUMERALS.key(match.group().replace(" ", "").replace("\u00a0", "")):
            yield Claim(*match.span(), ((key,),))


def _is_han_number(run: str) -> bool:
    if len(run) == 1 or run in _HAN_IDIOMS:
        return False
    powers = not _HAN_POWERS.isdisjoint(run)
    return powers or len(run) >= _FEWEST_HAN_DIGITS or not {"\u3007", "零"}.isdisjoint(run)


def _date_claims(text: str) -> Iterator[Claim]:
    """Yield dates of digits. The source may have said the month by its name, so one of the short parts may lack."""
    for match in _DATE.finditer(text):
        first, middle, last = (_canonical(_ascii_digits(match[group])) for group in (1, 3, 4))
        readings: list[tuple[str, ...]] = [(first, middle, last)]
        if len(match[1]) == 4:
            readings += [(first, middle), (first, last)]
        elif len(match[4]) > 1:
            years = {last, f"20{last}" if len(match[4]) == 2 else last}
            readings += [(day, year) for day in (first, middle) for year in sorted(years)]
        yield Claim(*match.span(), tuple(readings))


def _run_claims(text: str, run: Sequence[Token], table: NumberWords) -> Iterator[Claim]:
    items = _items(text, run, table, strict=True)
    claims: list[Claim] = []
    said = ""
    at = 0
    while at < len(items):
        end, readings = (
            _claimed_digits(text, run, items, at, table) if items[at].digits else _claimed_words(items, at, table)
        )
        if readings:
            claims.append(Claim(run[at].start, run[end - 1].end, readings))
            said += readings[0][0]
        at = end
    # A telephone number and the like: its parts may be divided otherwise in the source.
    whole: tuple[tuple[str, ...], ...] = ((_canonical(said),),) if len(claims) > 1 and said.isdecimal() else ()
    yield from (claim._replace(readings=claim.readings + whole) for claim in claims)


def _claimed_words(items: Sequence[Item], start: int, table: NumberWords) -> tuple[int, tuple[tuple[str, ...], ...]]:
    end, value = max(_spoken(items, start, table), default=(start + 1, 0))
    words = "".join(item.word for item in items[start:end] if item.word not in table.connectors)
    return end, () if value < _FEWEST_CLAIMED or words in table.weak else ((str(value),),)


def _claimed_digits(
    text: str, run: Sequence[Token], items: Sequence[Item], start: int, table: NumberWords
) -> tuple[int, tuple[tuple[str, ...], ...]]:
    """Return the end of a number of digits, with its thousands apart and the word that multiplies it, and readings."""
    end = _end_of_thousands(items, start)
    groups = [_ascii_digits(item.digits) for item in items[start:end]]
    readings = [("".join(groups),), *([tuple(map(_canonical, groups))] if "000" not in groups else [])]
    if len(groups) == 1:
        readings = _readings(groups[0])
    scale = items[end].word if end < len(items) else ""
    exponent = table.scales.get(scale)
    if exponent is not None:
        scaled = [
            (_scaled(reading[0], exponent),) for reading in readings if len(reading) == 1 and ":" not in reading[0]
        ]
        if scaled:
            return end + 1, tuple(scaled + readings if scale in _VAGUE_SCALES else scaled)
    if len(groups) == 1 and (":" in readings[0][0] or _CLOCK.match(text, run[start].end)):
        readings += _clock_readings(readings)
    return end, tuple(readings)


def _end_of_thousands(items: Sequence[Item], start: int) -> int:
    """Return where a number ends whose thousands are set apart by spaces: "12 000"."""
    end = start + 1
    while (
        end - start < _MOST_PARTS
        and end < len(items)
        and items[end].glue == " "
        and _are_thousands([item.digits for item in items[start : end + 1]])
        and all(item.digits.isdecimal() for item in items[start : end + 1])
    ):
        end += 1
    return end


def _clock_readings(readings: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return what else an hour or a time may be said as: with the hours of half a day, without a colon or minutes."""
    more: list[tuple[str, ...]] = []
    for hour, _, minutes in (reading[0].partition(":") for reading in readings if len(reading) == 1):
        if not (hour.isdecimal() and len(hour) <= 2):
            continue
        other = str(int(hour) + (-_HALF_DAY if int(hour) > _HALF_DAY else _HALF_DAY))
        for hours in (hour, other):
            more += [(f"{hours}:{minutes}",), (hours + minutes,)] if minutes else [(hours,)]
            more += [(hours,)] if minutes == "00" else [(hours, _canonical(minutes))] if minutes.isdecimal() else []
    return more


# Names.

_UNCASED: Final = _words("zh ja ko ar fa ur ps he yi hi mr ne bn as pa gu or ta te kn ml si th lo km my bo am ka")
_NOUNS_HAVE_CAPITALS: Final = frozenset({"de", "lb"})

_LABELS: Final = _words(
    "speaker sprecher sprecherin locuteur intervenant hablante orador falante parlante spreker talare taler puhuja "
    "mówca mluvčí konusmaci pembicara спикер говорящий 화자 話者 说话人 發言人 发言人 المتحدث"
)
"""What a diarized transcript calls those who speak, before their number."""

_TITLES: Final = _words(
    "mr mrs ms dr prof st herr herrn frau m mme mlle monsieur madame señor señora sr sra sig signor signora don doña "
    "pan pani dhr mevr hr fr"
)
_NO_NAMES: Final = _TITLES | _words("ok am pm tbd tba na nb ps asap eod fyi todo aka etc vs none usd eur gbp")
"""Written with capitals, and yet no name."""
_POLITE: Final = _words("sie ihnen ihr ihre ihren ihrem ihrer ihres")
"""German pronouns with a capital out of politeness."""

_OPENERS: Final[Mapping[str, frozenset[str]]] = {
    "en": _words(
        "the this that these those there here it he she they we you one who what when where why how which while "
        "after before since during until once if although though because as at by for from in into of on onto "
        "over under with within without about above across against along among around behind below between beyond "
        "despite except inside like near outside past per than through throughout to toward towards upon via and "
        "but or nor so yet not no yes all any both each either every few many more most much neither none other "
        "others several some such another same its his her their our your my everyone everybody someone somebody "
        "anyone nobody nothing something everything only also then thus hence however therefore meanwhile "
        "moreover finally additionally overall today tomorrow yesterday now later soon next last first second "
        "third can could may might must shall should will would do does did has have had is are was were let lets "
        "please according regarding concerning following given due even just still instead"
    ),
    "de": _words(
        "der die das den dem des ein eine einen einem einer eines er sie es wir ihr ich man wer was wann wo warum "
        "wie wenn weil dass ob als und oder aber denn sondern mit ohne für durch in im an am auf bei beim von vom "
        "zu zum zur nach vor seit über unter zwischen gegen bis während wegen trotz laut alle jeder jede jedes "
        "kein keine dieser diese dieses sein seine ihre unser unsere auch dann danach jedoch schließlich zudem "
        "außerdem heute morgen gestern"
    ),
    "fr": _words(
        "le la les un une des du de ce cet cette ces il elle ils elles on nous vous je tu qui que quoi quand "
        "comme comment pourquoi si mais ou et donc or car avec sans pour par dans sur sous chez vers entre depuis "
        "pendant avant après selon contre malgré lors tout tous toute toutes chaque plusieurs aucun aucune mon ma "
        "mes son sa ses notre nos votre vos leur leurs aussi ainsi puis ensuite enfin cependant"
    ),
    "es": _words(
        "el la los las un una unos unas lo le les se que quien cuando como donde porque si pero y ni con sin para "
        "por de del al a en sobre entre desde hasta durante antes después según contra tras ante bajo todo todos "
        "toda todas cada este esta estos estas ese esa su sus mi mis nuestra nuestro también además luego "
        "entonces finalmente no ya"
    ),
    "it": _words(
        "il lo la i gli le un uno una di del dello della dei degli delle a al allo alla ai da dal dalla in nel "
        "nella con su sul sulla per tra fra che chi quando come dove perché se ma o e né non si questo questa "
        "questi queste ogni tutti tutto tutte tutta suo sua loro anche poi infine inoltre tuttavia dopo prima "
        "durante secondo contro senza"
    ),
    "pt": _words(
        "o a os as um uma uns umas de do da dos das em no na nos nas por pelo pela para com sem sobre entre desde "
        "até durante antes depois segundo contra após que quem quando como onde porque se mas ou e nem não este "
        "esta estes estas esse essa cada todo toda todos todas seu sua também além então finalmente já"
    ),
    "nl": _words(
        "de het een die dat deze dit er hij zij ze wij we jij je u ik wie wat wanneer waar waarom hoe als of en "
        "maar want dus omdat terwijl nadat voordat sinds tijdens tot met zonder voor door in op aan bij van uit "
        "naar over onder tussen tegen na alle elke iedere geen zijn haar hun ons onze ook dan toen daarna volgens"
    ),
}
"""Words that begin sentences and are no names, for languages in which a first word is looked at."""
_CONJUNCTIONS: Final = _words("and und et y e en och og")
_ENGLISH_ACTS: Final = _words(
    "will should must needs wants agreed said says suggested proposed asked promised offered explained mentioned "
    "reported confirmed presented volunteered plans"
)
"""What follows a name at the beginning of an English sentence: singular nouns have an article there."""
_ENGLISH_MASS_NOUNS: Final = _words(
    "work revenue progress feedback staff data time money demand traffic software hardware research sales marketing "
    "engineering finance legal support customers participants attendees"
)
_NOUN_ENDINGS: Final = ("ment", "tion", "sion", "ing", "ness", "ity", "ance", "ence", "ship", "s")

_ROMAN: Final = re.compile("(?=[ivxlc]{2})(c{0,3})(xc|xl|l?x{0,3})(ix|iv|v?i{0,3})")
_ROMAN_DIGITS: Final = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}

_SENTENCE_ENDS: Final = frozenset(".!?…。！？\n•|")  # noqa: RUF001 - punctuation of other scripts is meant
_INTRODUCTIONS: Final = frozenset(':"“„«‘「『：')  # noqa: RUF001 - quotation marks are meant
_CLOSERS: Final = frozenset(',;.)]"”’»」』\n')  # noqa: RUF001 - quotation marks are meant
_LONGEST_UNIT: Final = 3
"""Letters of a unit after a number: km, GB, EUR."""


def _is_label(label: Token, number: Token) -> bool:
    """Tell whether two tokens may be a label such as "Speaker 2", "speaker two" or "SPEAKER_02"."""
    return number.start - label.end <= _FARTHEST_LETTER and _fold(label.text) in _LABELS


def _label_numbers(number: Token, tables: Iterable[NumberWords]) -> set[str]:
    """Return the keys of the number of a label, in digits or one word."""
    if number.is_number:
        return {_canonical(_ascii_digits(number.text))}
    words = {table.canonical(number.text, _fold(number.text), strict=True): table for table in tables}
    return {str(table.phrases[word]) for word, table in words.items() if word in table.phrases}


def _names(text: str, tokens: Sequence[Token], language: str) -> Iterator[int]:
    """Yield the indices of the tokens that are names."""
    uncased = sum(len(token.text) for token in tokens if _is_uncased(token))
    cased = sum(len(token.text) for token in tokens if _has_case(token.text))
    latin_are_names = uncased > (0 if language in _UNCASED else cased)
    plain = (
        latin_are_names or _is_shouted(tokens) or (language not in _NOUNS_HAVE_CAPITALS and _is_titled(text, tokens))
    )
    for index, token in enumerate(tokens):
        if _IS_KATAKANA.match(token.text):
            if len(token.text.rstrip("ー")) >= _SHORTEST_KATAKANA and _fold(token.text) not in _COMMON_KATAKANA:
                yield index
        elif not _has_case(token.text) or _is_unit(text, tokens, index) or _fold(token.text) in _NO_NAMES:
            continue
        elif latin_are_names:
            if _IS_LATIN.match(token.text) and len(token.text) > 1:
                yield index
        elif _is_mixed(token.text) or (not plain and _is_name(text, tokens, index, language)):
            yield index


def _is_name(text: str, tokens: Sequence[Token], index: int, language: str) -> bool:
    word = tokens[index].text
    if not (word[0].isupper() or word[0].istitle()):
        return False
    if len(word) > 1 and word.isupper():
        return True
    if len(word) == 1 and not _stands_alone(text, tokens[index]):
        return False
    introduction = _introduction(text, tokens, index, language)
    if introduction == ":":
        return text[tokens[index].end : tokens[index].end + 1] in _CLOSERS | {""} or _begins_name(
            text, tokens, index, language
        )
    if introduction:
        return _begins_name(text, tokens, index, language)
    return language not in _NOUNS_HAVE_CAPITALS or _is_german_name(tokens, index)


def _begins_name(text: str, tokens: Sequence[Token], index: int, language: str) -> bool:
    """Tell whether a first word is a name, by what follows it: another name, "and" with one, "'s", an act."""
    openers = _OPENERS.get(language)
    word = _fold(tokens[index].text)
    following = tokens[index + 1 : index + 3]
    if openers is None or not following or len(word) < _SHORTEST_FIRST_NAME or word in openers:
        return False
    between = text[tokens[index].end : following[0].start]
    after = _fold(following[0].text)
    if between in _APOSTROPHES:
        return language == "en" and after == "s"
    if between not in (" ", "-"):
        return False
    if _is_capitalized(following[0]) and len(following[0].text) > 1:
        # German begins so with any adjective or noun before a noun.
        return language not in _NOUNS_HAVE_CAPITALS or not word.endswith(_GERMAN_ADJECTIVE_ENDINGS)
    if after in _CONJUNCTIONS and len(following) > 1:
        return language not in _NOUNS_HAVE_CAPITALS and _is_capitalized(following[1])
    return (
        language == "en"
        and after in _ENGLISH_ACTS
        and word not in _ENGLISH_MASS_NOUNS
        and not word.endswith(_NOUN_ENDINGS)
    )


def _introduction(text: str, tokens: Sequence[Token], index: int, language: str) -> str:
    """Return why a word may have a capital without being a name: "." as the first of a sentence, ":" of a quotation."""
    if index == 0:
        return "."
    previous = tokens[index - 1]
    between = text[previous.end : tokens[index].start]
    if not _SENTENCE_ENDS.isdisjoint(between):
        abbreviated = _fold(previous.text) in _TITLES or (len(previous.text) == 1 and _is_capitalized(previous))
        ordinal = language in _NOUNS_HAVE_CAPITALS and previous.is_number
        return "" if between.strip() == "." and (abbreviated or ordinal) else "."
    return "" if _INTRODUCTIONS.isdisjoint(between) else ":"


def _is_uncased(token: Token) -> bool:
    return not token.is_number and not _has_case(token.text)


def _has_case(word: str) -> bool:
    """Tell whether a word is of a script with capitals that are in use; those of Georgian are not."""
    return word[0].lower() != word[0].upper() and not "\u10d0" <= word[0] <= "\u10ff"


def _is_capitalized(token: Token) -> bool:
    return token.text[0].isupper() or token.text[0].istitle()


def _is_mixed(word: str) -> bool:
    """Tell whether a word has capitals where only names have them: iPhone, McDonald."""
    return not word.isupper() and any(letter.isupper() for letter in word[1:])


def _stands_alone(text: str, token: Token) -> bool:
    """Tell whether a capital is a word, "I" or "Plan B", and no part of "L'Oréal" or "Q3"."""
    return text[token.end : token.end + 1] not in _APOSTROPHES and not text[token.end : token.end + 1].isdecimal()


def _is_unit(text: str, tokens: Sequence[Token], index: int) -> bool:
    if index == 0 or len(tokens[index].text) > _LONGEST_UNIT or not tokens[index - 1].is_number:
        return False
    between = text[tokens[index - 1].end : tokens[index].start]
    return not between or (between in (" ", "\u00a0") and not tokens[index].text.istitle())


def _is_shouted(tokens: Sequence[Token]) -> bool:
    """Tell whether a sentence is written in capitals, so that they say nothing."""
    words = [token.text for token in tokens if len(token.text) > 1 and _has_case(token.text)]
    return len(words) >= _FEWEST_WORDS and sum(map(str.isupper, words)) > len(words) / 2


def _is_titled(text: str, tokens: Sequence[Token]) -> bool:
    """Tell whether a sentence is written Like a Title of English, so that its capitals say little.

    A list of names has capitals too, but never as many in a row without a comma.
    """
    row = longest = capitalized = words = 0
    end = 0
    for token in tokens:
        row = 0 if text[end : token.start].strip() else row
        end = token.end
        if not _has_case(token.text) or len(token.text) < SHORTEST_CONTENT:
            row += _is_capitalized(token)
            continue
        words += 1
        capitalized += _is_capitalized(token)
        row = row + 1 if _is_capitalized(token) else 0
        longest = max(longest, row)
    if longest >= _FEWEST_WORDS:
        return capitalized >= words * _TITLED_SHARE
    return capitalized == words >= _FEWEST_TITLED and longest == words


_FEWEST_WORDS: Final = 4
_FEWEST_TITLED: Final = 3
_TITLED_SHARE: Final = 0.8
_SHORTEST_FIRST_NAME: Final = 3
_SHORTEST_KATAKANA: Final = 3
_APOSTROPHES: Final = ("'", "’")  # noqa: RUF001 - the typographic apostrophe is meant
_COMMON_KATAKANA: Final = _words(
    "プロジェクト ミーティング スケジュール メンバー チーム タスク データ システム サービス レポート リスク コスト "
    "プラン リリース レビュー テスト ユーザー サポート フォロー スタート ポイント テーマ トピック アクション "
    "アイテム グループ リーダー マネージャー メール ファイル コメント フィードバック アイデア オンライン オフィス "
    "スタッフ ニーズ バージョン アップデート コミュニケーション"
)
"""Loan words that summaries use whatever was said."""

# German writes every noun with a capital, so the names are to be told from the nouns.

_GERMAN_DETERMINERS: Final = _words(
    "der die das den dem des ein eine einen einem einer eines kein keine keinen keinem keiner im am zum zur vom "
    "beim ins ans mein meine meinen meinem dein deine sein seine seinen seinem seiner ihr ihre ihren ihrem ihrer "
    "unser unsere unseren unserem unserer euer eure dieser diese dieses diesen diesem jeder jede jedes jeden jedem "
    "jener jene jenes welche welcher alle allen aller viele vielen vieler mehrere mehreren einige einigen einiger "
    "beide beiden wenige weniger mehr viel etwas manche solche zwei drei vier fünf sechs sieben acht neun zehn elf "
    "zwölf"
)
"""What stands before a noun and, but in colloquial speech, before no name."""
_GERMAN_DAYS_AND_MONTHS: Final = _words(
    "montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag januar februar märz april mai juni juli "
    "august september oktober november dezember"
)
_GERMAN_ADJECTIVE_ENDINGS: Final = ("e", "en", "er", "es", "em")
_NO_GERMAN_ADJECTIVES: Final = _words(
    "gegen neben wegen zwischen hinter unter über außer während bitte heute habe haben hatte hatten wurde wurden "
    "werde werden wäre wären würde würden sollte sollten wollte wollten könnte konnte konnten musste müsste "
    "mussten aber oder sagte meinte fragte bat ohne"
)
_GERMAN_NOUN_ENDINGS: Final = tuple(
    _words(
        "ung ungen heit heiten keit keiten schaft schaften tion tionen sion sionen tät täten ismus nis nisse nissen "
        "ment ments anz enz enzen zeit zeiten plan arbeit team teams projekt projekte projekten gespräch gespräche "
        "gesprächs termin termine kosten preis preise liste listen frage fragen thema themen punkt punkte punkten "
        "schritt schritte woche wochen monat monate monaten jahr jahre jahren tage tagen ende anfang beginn bereich "
        "leiter leiterin kunde kunden teilnehmer teilnehmern mitarbeiter mitarbeitern prozent euro dollar uhr problem "
        "probleme problemen bedarf rahmen details daten gründe gründen ziel ziele ergebnis treffen fazit stand seite "
        "seiten meinung grund feedback"
    )
)
"""Endings, and second parts of compounds, that nouns have and names do not."""


def _is_german_name(tokens: Sequence[Token], index: int) -> bool:
    """Tell whether a capital in the middle of a German sentence is a name's.

    It is none after an article, a number or the like, with adjectives between or not; after an adjective; or when it
    ends as nouns do. Days and months always count. `Evidence` then forgives what shares a word of four letters with
    the source, so that "Budgetplanung" follows from "Budget".
    """
    word = _fold(tokens[index].text)
    if word in _GERMAN_DAYS_AND_MONTHS:
        return True
    if word in _POLITE or word.endswith(_GERMAN_NOUN_ENDINGS):
        return False
    before = [_fold(token.text) for token in reversed(tokens[max(index - _FARTHEST_ARTICLE, 0) : index])]
    for distance, word_before in enumerate(before):
        previous = tokens[index - 1 - distance]
        if word_before in _GERMAN_DETERMINERS or previous.is_number:
            return False
        adjective = word_before.endswith(_GERMAN_ADJECTIVE_ENDINGS) and word_before not in _NO_GERMAN_ADJECTIVES
        if _is_capitalized(previous) or not adjective:
            return True
        if not word_before.endswith(("te", "ten")):
            return False
    return True


_FARTHEST_ARTICLE: Final = 3


def _joined(text: str, tokens: Sequence[Token], index: int) -> Iterator[str]:
    """Yield a name written together with the word before it or after it, and an abbreviation without its dots."""
    first = last = index
    if len(tokens[index].text) == 1:
        while (
            index - first < _LONGEST_ABBREVIATION and first > 0 and _is_dotted(text, tokens[first - 1], tokens[first])
        ):
            first -= 1
        while (
            last - index < _LONGEST_ABBREVIATION
            and last + 1 < len(tokens)
            and _is_dotted(text, *tokens[last : last + 2])
        ):
            last += 1
        yield "".join(_fold(token.text) for token in tokens[first : last + 1])
    for first, second in pairwise(range(max(index - 1, 0), min(index + 2, len(tokens)))):
        between = text[tokens[first].end : tokens[second].start]
        if len(between) <= _FARTHEST_LETTER and not between.strip(_NAME_GLUE):
            yield _fold(tokens[first].text) + _fold(tokens[second].text)


def _is_dotted(text: str, first: Token, second: Token) -> bool:
    return len(first.text) == len(second.text) == 1 and text[first.end : second.start] == "."


_NAME_GLUE: Final = " .-'’"  # noqa: RUF001 - the typographic apostrophe is meant


def _split_at_capitals(word: str) -> list[str]:
    """Return the words of a name that is written together: "Open" and "AI"."""
    cuts = [at for at in range(1, len(word)) if word[at].isupper() and not word[at - 1].isupper()]
    return [word[start:end] for start, end in pairwise([0, *cuts, len(word)])]


def _roman(word: str) -> int:
    """Return the value of a Roman numeral, as kings and wars have them; 0 for anything else."""
    if not _ROMAN.fullmatch(word):
        return 0
    values = [_ROMAN_DIGITS[letter] for letter in word]
    return sum(
        -value if value < following else value for value, following in zip(values, [*values[1:], 0], strict=True)
    )
