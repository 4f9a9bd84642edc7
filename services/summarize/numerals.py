"""Han, Korean and Thai numerals, which have a sign or a syllable for every digit and every power of ten. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from services.summarize.number_keys import MOST_PARTS, ascii_digits, scaled_key
from services.summarize.wording import HANGUL, word_values


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
            return scaled_key(ascii_digits(fraction[1]), len(str(self._signs[fraction[2]])) - 1)
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
    word_values(
        "0 零 0 \u3007 1 一 2 二 2 两 2 兩 3 三 4 四 5 五 6 六 7 七 8 八 9 九 10 十 100 百 1000 千 10000 万 10000 萬 "
        "100000000 亿 100000000 億 1000000000000 兆"
    )
)
_HANGUL_SIGNS: Final = dict(
    word_values(
        "0 영 0 공 1 일 2 이 3 삼 4 사 5 오 6 육 7 칠 8 팔 9 구 10 십 100 백 1000 천 10000 만 100000000 억 "
        "1000000000000 조"
    )
)
_THAI_SIGNS: Final = dict(
    word_values(
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
    rf"(?<![{HANGUL}\d.,])(?:(?:\d++(?:[.,]\d++)*+)?{_SINO}++(?:[ \u00a0](?=\d|{_SINO}))?+)++"
)
_MIXED_HANGUL: Final = re.compile(r"(?<![\d.,])\d++(?:[.,]\d++)*+[십백천만억조]++(?:[ \u00a0]\d++[십백천만억조]++)*+")
_HANGUL_END: Final = re.compile(
    "명|개|월|일|년|시|분|초|원|주|층|도|차|회|호|퍼센트|프로|배|살|대|권|장|잔|달러|유로|킬로|미터|가지|번째|(?![가-힣])"
)
"""What may follow Sino-Korean numerals, whose syllables begin many words."""
_NATIVE_TENS: Final = dict(word_values("10 열 20 스물 20 스무 30 서른 40 마흔 50 쉰 60 예순 70 일흔 80 여든 90 아흔"))
_NATIVE_UNITS: Final = dict(word_values("1 한 2 두 3 세 4 네 5 다섯 6 여섯 7 일곱 8 여덟 9 아홉"))
_NATIVE_RUN: Final = re.compile(
    rf"(?<![가-힣])({'|'.join(_NATIVE_TENS)})?({'|'.join(_NATIVE_UNITS)})?"
    r"(?=\s?(?:시|명|개|번|살|달|주|가지|마리|사람|분|대|권|잔|장|곳))"
)


def _stretches(run: str) -> Iterator[str]:
    """Yield every stretch of a few parts that spaces divide, without the spaces."""
    parts = run.replace("\u00a0", " ").split(" ")
    for start in range(len(parts)):
        yield from ("".join(parts[start:end]) for end in range(start + 1, min(start + MOST_PARTS, len(parts)) + 1))


def positional_numbers(text: str) -> set[str]:
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


def stated_numerals(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield where `text` surely has numbers in Han numerals, or digits with Korean ones: start, end and key."""
    for match in _HAN_NUMERALS.runs(text):
        run = match.group()
        key = _HAN_NUMERALS.key(run)
        if key and _is_han_number(run):
            yield *match.span(), key
    for match in _COUNTED_HAN.finditer(text):
        yield *match.span(), _HAN_NUMERALS.key(match.group())
    for match in _MIXED_HANGUL.finditer(text):
        if key := _HANGUL_NUMERALS.key(match.group().replace(" ", "").replace("\u00a0", "")):
            yield *match.span(), key


def _is_han_number(run: str) -> bool:
    if len(run) == 1 or run in _HAN_IDIOMS:
        return False
    powers = not _HAN_POWERS.isdisjoint(run)
    return powers or len(run) >= _FEWEST_HAN_DIGITS or not {"\u3007", "零"}.isdisjoint(run)
