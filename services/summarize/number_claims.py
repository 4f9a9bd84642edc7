"""The numbers that a sentence states, each as the likeliest of what it can mean. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from services.summarize.number_keys import (
    MOST_PARTS,
    are_thousands,
    ascii_digits,
    readings_of,
    scaled_key,
    whole_key,
)
from services.summarize.number_words import Item, NumberWords, glue_between, items_of, spoken_numbers
from services.summarize.numerals import stated_numerals
from services.summarize.wording import FARTHEST_LETTER, SEPARATOR, Token, fold, folded_words

_DATE: Final = re.compile(rf"(?<![\d{SEPARATOR}])(\d{{1,4}})([./-])(\d{{1,2}})\2(\d{{1,4}})(?!\d|[{SEPARATOR}]\d)")
_HALF_DAY: Final = 12
_CLOCK: Final = re.compile(r"\s?(?:[ap]\.?\s?m\b|uhr\b|h\b|시|[点點時时])", re.IGNORECASE)

_VAGUE_SCALES: Final = frozenset({"m", "mm", "b"})
"""Abbreviations that multiply, and stand for metres and bytes as well."""
_FEWEST_CLAIMED: Final = 2
"""Number words below it are articles and negations: "one", "eine", "uno"."""

_LABELS: Final = folded_words(
    "speaker sprecher sprecherin locuteur intervenant hablante orador falante parlante spreker talare taler puhuja "
    "mówca mluvčí konusmaci pembicara спикер говорящий 화자 話者 说话人 發言人 发言人 المتحدث"
)
"""What a diarized transcript calls those who speak, before their number."""


class Claim(NamedTuple):
    """A number that a sentence states: a stretch of it, and the keys of each of its readings, all to be known."""

    start: int
    end: int
    readings: tuple[tuple[str, ...], ...]


def number_claims(text: str, tokens: Sequence[Token], table: NumberWords) -> Iterator[Claim]:
    """Yield the numbers that a sentence states; none of them overlap."""
    numerals = (Claim(start, end, ((key,),)) for start, end, key in stated_numerals(text))
    special = sorted((*numerals, *_date_claims(text)))
    free = list(_outside(tokens, special))
    yield from _disjoint(special)
    run: list[Token] = []
    for token in free:
        if not (token.is_number or table.canonical(token.text, fold(token.text), strict=True)):
            continue
        if run and not glue_between(text, run[-1], token):
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


def _date_claims(text: str) -> Iterator[Claim]:
    """Yield dates of digits. The source may have said the month by its name, so one of the short parts may lack."""
    for match in _DATE.finditer(text):
        first, middle, last = (whole_key(ascii_digits(match[group])) for group in (1, 3, 4))
        readings: list[tuple[str, ...]] = [(first, middle, last)]
        if len(match[1]) == 4:
            readings += [(first, middle), (first, last)]
        elif len(match[4]) > 1:
            years = {last, f"20{last}" if len(match[4]) == 2 else last}
            readings += [(day, year) for day in (first, middle) for year in sorted(years)]
        yield Claim(*match.span(), tuple(readings))


def _run_claims(text: str, run: Sequence[Token], table: NumberWords) -> Iterator[Claim]:
    items = items_of(text, run, table, strict=True)
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
    whole: tuple[tuple[str, ...], ...] = ((whole_key(said),),) if len(claims) > 1 and said.isdecimal() else ()
    yield from (claim._replace(readings=claim.readings + whole) for claim in claims)


def _claimed_words(items: Sequence[Item], start: int, table: NumberWords) -> tuple[int, tuple[tuple[str, ...], ...]]:
    end, value = max(spoken_numbers(items, start, table), default=(start + 1, 0))
    words = "".join(item.word for item in items[start:end] if item.word not in table.connectors)
    return end, () if value < _FEWEST_CLAIMED or words in table.weak else ((str(value),),)


def _claimed_digits(
    text: str, run: Sequence[Token], items: Sequence[Item], start: int, table: NumberWords
) -> tuple[int, tuple[tuple[str, ...], ...]]:
    """Return the end of a number of digits, with its thousands apart and the word that multiplies it, and readings."""
    end = _end_of_thousands(items, start)
    groups = [ascii_digits(item.digits) for item in items[start:end]]
    readings = [("".join(groups),), *([tuple(map(whole_key, groups))] if "000" not in groups else [])]
    if len(groups) == 1:
        readings = readings_of(groups[0])
    scale = items[end].word if end < len(items) else ""
    exponent = table.scales.get(scale)
    if exponent is not None:
        scaled = [
            (scaled_key(reading[0], exponent),) for reading in readings if len(reading) == 1 and ":" not in reading[0]
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
        end - start < MOST_PARTS
        and end < len(items)
        and items[end].glue == " "
        and are_thousands([item.digits for item in items[start : end + 1]])
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
            more += [(hours,)] if minutes == "00" else [(hours, whole_key(minutes))] if minutes.isdecimal() else []
    return more


def is_label(label: Token, number: Token) -> bool:
    """Tell whether two tokens may be a label such as "Speaker 2", "speaker two" or "SPEAKER_02"."""
    return number.start - label.end <= FARTHEST_LETTER and fold(label.text) in _LABELS


def label_numbers(number: Token, tables: Iterable[NumberWords]) -> set[str]:
    """Return the keys of the number of a label, in digits or one word."""
    if number.is_number:
        return {whole_key(ascii_digits(number.text))}
    words = {table.canonical(number.text, fold(number.text), strict=True): table for table in tables}
    return {str(table.phrases[word]) for word, table in words.items() if word in table.phrases}
