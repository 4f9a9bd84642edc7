"""The keys by which numbers are known, and what digits with separators can mean. Pure.

A key is the digits of a number without separators and needless zeros: "12000", "3.5"; of a time "14:30".
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final

MOST_DIGITS: Final = 8
"""Digits up to which numbers that were read one by one are put together; longer ones are found by stretches."""
MOST_PARTS: Final = 4
"""Parts, such as "nineteen" and "eighty four", up to which they are put together."""


def ascii_digits(text: str) -> str:
    """Return a text with the digits of any script as those of ASCII."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(letter)) if letter.isdecimal() else letter for letter in text)


def whole_key(digits: str) -> str:
    """Return the key of a whole number."""
    return digits.lstrip("0") or "0"


def decimal_key(whole: str, fraction: str) -> str:
    """Return the key of a number with the digits before and after its point."""
    fraction = fraction.rstrip("0")
    return f"{whole_key(whole)}.{fraction}" if fraction else whole_key(whole)


def scaled_key(key: str, exponent: int) -> str:
    """Return the key of a number times ten to the power of `exponent`."""
    whole, _, fraction = key.partition(".")
    fraction = fraction.ljust(exponent, "0")
    return decimal_key(whole + fraction[:exponent], fraction[exponent:])


def _split_number(token: str) -> tuple[list[str], str]:
    """Return the groups of digits of a number as ASCII, and the separators between them."""
    text = ascii_digits(token)
    if text.isdecimal():
        return [text], ""
    text = text.translate(_SEPARATORS)
    return re.split(r"\D", text), "".join(letter for letter in text if not letter.isdecimal())


_SEPARATORS: Final = str.maketrans({"٫": ".", "٬": ",", "’": "'"})  # noqa: RUF001 - the typographic apostrophe is meant


def readings_of(token: str) -> list[tuple[str, ...]]:
    """Return what digits with separators can mean, each reading as the keys that it states.

    "12.000" is twelve thousand, "1.500" that or one and a half, "12.30" a decimal or a time, "1.2.3" its pieces.
    """
    groups, separators = _split_number(token)
    if not separators:
        return [(whole_key(groups[0]),)]
    pieces = tuple(map(whole_key, groups))
    if ":" in separators:
        return [(_time_key(groups),), pieces]
    readings: list[tuple[str, ...]] = []
    uniform = len(set(separators)) == 1
    thousands = are_thousands(groups)
    if uniform and thousands:
        readings.append(("".join(groups),))
    if len(groups) == 2 and separators != "'" and not (thousands and groups[1] == "000"):
        readings.append((decimal_key(*groups),))
        if separators == "." and len(groups[1]) == 2 and len(groups[0]) <= 2:
            readings.append((_time_key(groups),))
    if not uniform and len(set(separators[:-1])) == 1 and are_thousands(groups[:-1]):
        readings.append((decimal_key("".join(groups[:-1]), groups[-1]),))
    return readings or [pieces]


def literal_readings(token: str) -> Iterator[str]:
    """Yield every key that digits in the source support: of their readings and, but for thousands, of their pieces."""
    for reading in readings_of(token):
        yield from reading
    groups, separators = _split_number(token)
    if len(set(separators)) != 1 or not are_thousands(groups):
        yield from map(whole_key, groups)
    if separators == ":":
        yield whole_key("".join(groups))


def _time_key(groups: Sequence[str]) -> str:
    return ":".join((whole_key(groups[0]), *groups[1:]))


def are_thousands(groups: Sequence[str]) -> bool:
    """Tell whether groups of digits are one number: 1,234,567 or, as in India, 12,34,567."""
    first, *middle, last = groups if len(groups) > 1 else ("", "")
    sizes = set(map(len, middle))
    return 1 <= len(first) <= 3 and first[0] != "0" and len(last) == 3 and (sizes <= {3} or sizes == {2})
