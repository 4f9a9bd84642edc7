# ruff: noqa: RUF001 - numerals of every script, whose letters look alike
import pytest
from hypothesis import given
from hypothesis import strategies as st
from num2words import num2words

from services.summarize.numerals import Numerals, positional_numbers, stated_numerals
from tests.summarize.said_and_written import NUMERALS, unsupported


@pytest.mark.parametrize(("language", "said", "written"), NUMERALS)
def test_a_number_is_known_in_numerals_and_in_digits(language: str, said: str, written: str) -> None:
    assert unsupported(f"x {said} x", f"x {written} x", language) == ()


@pytest.mark.parametrize(
    ("run", "key"),
    [
        ("十", "10"),
        ("三万五千", "35000"),
        ("3万5千", "35000"),
        ("1.5万", "15000"),
        ("二〇二六", "2026"),
        ("一百零五", "105"),
        ("兆億", "1000100000000"),
        ("12", "12"),
        ("1.5.2万", ""),
        ("1" * 25, ""),
    ],
)
def test_signs_multiply_and_add(run: str, key: str) -> None:
    signs = {"〇": 0, "零": 0, "一": 1, "二": 2, "三": 3, "五": 5, "六": 6, "十": 10, "百": 100, "千": 1000}
    numerals = Numerals({**signs, "万": 10**4, "億": 10**8, "兆": 10**12}, 10**4)
    assert numerals.key(run) == key


@given(st.integers(1, 10**12))
def test_every_number_is_known_from_its_numerals(number: int) -> None:
    assert str(number) in positional_numbers(num2words(number, lang="ja"))


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("达到四百二十万美元", {"4200000"}),
        ("열두 시", {"12"}),
        ("십이일", {"12"}),
        ("สามพันห้าร้อย", {"3500"}),
        ("12 o'clock", set()),
    ],
)
def test_a_text_says_its_numerals_in_every_script(text: str, keys: set[str]) -> None:
    assert positional_numbers(text) >= keys
    assert bool(positional_numbers(text)) is bool(keys)


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("三千五百", [(0, 4, "3500")]),
        ("x 3만 5천", [(2, 7, "35000")]),
        ("三点", [(0, 1, "3")]),
        ("千万不要", []),
        ("一起", []),
        ("七八个", []),
        ("이번 일정", []),
    ],
)
def test_a_numeral_that_is_part_of_a_word_states_nothing(text: str, stated: list[tuple[int, int, str]]) -> None:
    assert list(stated_numerals(text)) == stated
