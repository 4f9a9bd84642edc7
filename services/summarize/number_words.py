"""How languages say numbers, learned from num2words and a table, and all that may be said in such words. Pure.

The table is `number_words.toml`, which is read once. Where words can be read in several ways, every one is yielded.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from num2words import CONVERTER_CLASSES, num2words

from services.summarize.number_keys import (
    MOST_DIGITS,
    MOST_PARTS,
    ascii_digits,
    decimal_key,
    literal_readings,
    readings_of,
    scaled_key,
    whole_key,
)
from services.summarize.wording import (
    AGGLUTINATIVE,
    COMPOUNDING,
    FUSIONAL,
    LONGEST_COMPOUND,
    WORD,
    Token,
    fold,
    fold_keeping_tones,
    folded_words,
    word_values,
)

_MOST_WORDS: Final = 8
"""Words of one number below a thousand, and of thousands."""
_ATTACHED_AND: Final = ("\u0648", "\u05d5")
"""What is "and" in Arabic and in Hebrew, and written together with what follows."""


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
        word = fold_keeping_tones(token) if self.keeps_tones else folded
        if word in self.vocabulary or self.compound(word):
            return word
        if word.startswith(_ATTACHED_AND) and word[1:] in self.vocabulary:
            return word[1:]
        if strict or len(word) > LONGEST_COMPOUND:
            return ""
        return next((self.stems[word[:end]] for end in _ending_cuts(word) if word[:end] in self.stems), "")

    def compound(self, word: str) -> int | None:
        """Return the value of thousands and what follows them in one word: "zwölftausenddreihundert"."""
        if len(word) > LONGEST_COMPOUND:
            return None
        for thousand in self.thousands:
            head, found, tail = word.partition(thousand)
            if found and tail:
                high, low = self.phrases.get(head + found), self.phrases.get(tail)
                if high is not None and low is not None and low < 1000 <= high:
                    return high + low
        return None


def _ending_cuts(word: str) -> range:
    return range(len(word), max(len(word) - 4, 3), -1)


# How languages say numbers.

with Path(__file__).with_suffix(".toml").open("rb") as _file:
    _TABLES: Final = tomllib.load(_file)
_CONVERTERS: Final[Mapping[str, str]] = _TABLES["converters"]
_CONNECTORS: Final[Mapping[str, str]] = _TABLES["connectors"]
_BY_HAND: Final[Mapping[str, str]] = _TABLES["by_hand"]
_SCALES_BY_HAND: Final[Mapping[str, str]] = _TABLES["scales_by_hand"]
_MORE_WORDS: Final[Mapping[str, str]] = _TABLES["more_words"]
_HOMOGRAPHS: Final[Mapping[str, str]] = _TABLES["homographs"]
_SCALES: Final[Mapping[str, int]] = dict(word_values(_TABLES["abbreviations"]))
_FRACTIONS: Final[Mapping[str, int]] = dict(word_values(_TABLES["fractions"]))
# Vietnamese keeps its tones.
_POINTS: Final = folded_words(_TABLES["points"]) | {"phẩy"}

_TONAL: Final = frozenset({"vi"})
# These write numerals one sign or syllable for a digit or a power of ten, which `Numerals` reads.
_POSITIONAL_LANGUAGES: Final = frozenset({"ja", "ko", "th"})
_CONVERTER_FAULTS: Final = (ArithmeticError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError)
"""What num2words raises for a number or form that a language lacks."""

_FEWEST_CLAIMED_ORDINAL: Final = 4
"""Ordinals below it mostly list: "first", "second", "third"; they support a number and claim none."""


@lru_cache(maxsize=128)
def number_words(language: str) -> NumberWords:
    """Return how `language` says numbers. It takes a fifth of a second once, and some languages are not known."""
    phrases: dict[str, int] = {}
    weak: dict[str, int] = {}
    scales = dict(_SCALES)
    vocabulary: set[str] = set()
    folded = fold_keeping_tones if language in _TONAL else fold
    connectors = frozenset(map(folded, _CONNECTORS.get(language, "").split()))
    for value, words in _conversions(language):
        said = [word for word in words if word not in connectors]
        vocabulary.update(said)
        phrases.setdefault("".join(said), value)
    for word, value in word_values(_BY_HAND.get(language, "")):
        phrases.setdefault(word, value)
    tens = {word: value for word, value in word_values(_BY_HAND.get(language, "")) if value in range(20, 100, 10)}
    units = {word: value for word, value in phrases.items() if 0 < value < 10} if tens else {}
    phrases.update({ten + unit: tens[ten] + units[unit] for ten in tens for unit in units if language != "hi"})
    scales.update(_scales_of(language), **dict(word_values(_SCALES_BY_HAND.get(language, ""))))
    for word, value in (*_bare(phrases, language), *word_values(_MORE_WORDS.get(language, ""))):
        weak.setdefault(word, value)
    for value, words in _ordinals(language):
        said = [word for word in words if word not in connectors]
        vocabulary.update(said)
        (phrases if value >= _FEWEST_CLAIMED_ORDINAL else weak).setdefault("".join(said), value)
    every = {**weak, **phrases}
    stems = _inflected(every) if language in FUSIONAL | AGGLUTINATIVE | {"de", "is", "el", "ro"} else {}
    thousands = frozenset(word for word, exponent in scales.items() if exponent == 3 and len(word) > 2)
    vocabulary.update(every, scales, connectors, _POINTS, _FRACTIONS)
    return NumberWords(
        phrases=every,
        weak=frozenset(weak.keys() - phrases.keys()).union(map(folded, _HOMOGRAPHS.get(language, "").split())),
        scales=scales,
        connectors=connectors,
        vocabulary=frozenset(vocabulary - {""}),
        stems=stems,
        thousands=thousands if language in COMPOUNDING | {"it", "tr", "sk"} else frozenset(),
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
    folded = fold_keeping_tones if language in _TONAL else fold
    return tuple(folded(match.group()) for match in WORD.finditer(text))


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


def run_keys(text: str, run: Sequence[Token], table: NumberWords) -> Iterator[str]:
    """Yield the keys of all that a run of numbers and number words, as a source has it, can say."""
    items = items_of(text, run, table, strict=False)
    parts = [_parts(items, start, table) for start in range(len(items))]
    for start, item in enumerate(items):
        if item.digits:
            yield from literal_readings(item.digits)
        for end, key in _values(items, start, table):
            yield key
            if end < len(items) and items[end].word in _POINTS and key.isdecimal():
                yield from _decimals(items, parts, end + 1, key, table)
        yield from (whole_key(said) for _, said in _strings(parts, items, start, least=2))


def glue_between(text: str, first: Token, second: Token) -> str:
    """Return what joins two parts of a number: "," for a comma, " " for a space, a hyphen or nothing; "" if apart."""
    between = text[first.end : second.start]
    if len(between) > _LONGEST_GLUE or between.strip(_GLUE):
        return ""
    return "," if "," in between else " "


_GLUE: Final = " \t\r\n\u00a0\u2009\u202f-‐‑–/.,'’"  # noqa: RUF001 - dashes and Ukrainian's apostrophe
_LONGEST_GLUE: Final = 3


def _decimals(
    items: Sequence[Item], parts: Sequence[Sequence[tuple[int, str]]], start: int, whole: str, table: NumberWords
) -> Iterator[str]:
    """Yield the keys of `whole` with what begins at `start` behind its point: "two", "one four", "two tenths"."""
    for end, fraction in _strings(parts, items, start, least=1):
        digits = _FRACTIONS.get(items[end].word, 0) if end < len(items) else 0
        decimal = decimal_key(whole, fraction.rjust(digits, "0"))
        yield from (key for _, key in _times(items, end + (digits > 0), decimal, table))


def items_of(text: str, run: Sequence[Token], table: NumberWords, *, strict: bool) -> list[Item]:
    """Return the parts of a run, with number words inflected or, when `strict`, as they are in the vocabulary."""
    items: list[Item] = []
    for index, token in enumerate(run):
        glue = glue_between(text, run[index - 1], token) if index else " "
        word = "" if token.is_number else table.canonical(token.text, fold(token.text), strict=strict)
        items.append(Item(word, token.text if token.is_number else "", glue))
    return items


def _values(items: Sequence[Item], start: int, table: NumberWords) -> Iterator[tuple[int, str]]:
    """Yield every number that begins at `start`, as the index after its end and its key."""
    if not items[start].digits:
        yield from ((end, str(value)) for end, value in spoken_numbers(items, start, table))
        return
    for reading in readings_of(items[start].digits):
        if len(reading) == 1:
            yield from _times(items, start + 1, reading[0], table)


def _times(items: Sequence[Item], at: int, key: str, table: NumberWords) -> Iterator[tuple[int, str]]:
    """Yield a number that ends at `at`, and times the thousands or millions that follow it: "3.5 million"."""
    yield at, key
    exponent = table.scales.get(items[at].word) if at < len(items) else None
    if exponent is not None and ":" not in key:
        yield at + 1, scaled_key(key, exponent)


def spoken_numbers(items: Sequence[Item], start: int, table: NumberWords) -> Iterator[tuple[int, int]]:
    """Yield every number in words that begins at `start`, as the index after its end and its value."""
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
        return [(start + 1, ascii_digits(digits))] if digits.isdecimal() and len(digits) <= MOST_DIGITS else []
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
            if count + 1 < (MOST_DIGITS if one else MOST_PARTS):
                yield from extend(end, said + part, count + 1, one, crossing)

    return extend(start, "", 0, True, False)
