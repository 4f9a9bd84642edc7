# ruff: noqa: RUF001 - digits of every script, whose letters look alike
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.summarize.number_keys import (
    are_thousands,
    ascii_digits,
    decimal_key,
    literal_readings,
    readings_of,
    scaled_key,
    whole_key,
)


@pytest.mark.parametrize(
    ("token", "readings"),
    [
        ("12", [("12",)]),
        ("007", [("7",)]),
        ("١٢٬٠٠٠", [("12000",)]),
        ("12,000", [("12000",)]),
        ("12'000", [("12000",)]),
        ("1.500", [("1500",), ("1.5",)]),
        ("12.30", [("12.3",), ("12:30",)]),
        ("14:30", [("14:30",), ("14", "30")]),
        ("1.234.567,50", [("1234567.5",)]),
        ("12,34,567", [("1234567",)]),
        ("1.2.3", [("1", "2", "3")]),
    ],
)
def test_digits_with_separators_have_every_reading(token: str, readings: list[tuple[str, ...]]) -> None:
    assert readings_of(token) == readings


@pytest.mark.parametrize(
    ("token", "keys"),
    [
        ("12,000", {"12000"}),
        ("1.5", {"1.5", "1", "5"}),
        ("14:30", {"14:30", "14", "30", "1430"}),
        ("1.2.3", {"1", "2", "3"}),
    ],
)
def test_digits_of_a_source_support_their_pieces_but_those_of_thousands(token: str, keys: set[str]) -> None:
    assert set(literal_readings(token)) == keys


@given(st.integers(0, 10**12), st.integers(0, 12))
def test_a_key_times_a_power_of_ten_is_the_key_of_the_product(number: int, exponent: int) -> None:
    assert scaled_key(str(number), exponent) == str(number * 10**exponent)


def test_needless_zeros_make_no_other_key() -> None:
    assert whole_key("000") == "0"
    assert whole_key("0120") == "120"
    assert decimal_key("03", "50") == "3.5"
    assert decimal_key("3", "00") == "3"
    assert scaled_key("3.5", 6) == "3500000"
    assert scaled_key("1.234", 2) == "123.4"


def test_digits_of_every_script_are_those_of_ascii() -> None:
    assert ascii_digits("१२ ١٢ １２ ๑๒ x") == "12 12 12 12 x"


@pytest.mark.parametrize(
    ("groups", "together"),
    [
        (["12", "000"], True),
        (["1", "234", "567"], True),
        (["12", "34", "567"], True),
        (["12"], False),
        (["012", "000"], False),
        (["1234", "567"], False),
        (["12", "00"], False),
        (["1", "2", "345"], False),
    ],
)
def test_groups_of_three_digits_or_of_two_in_india_are_one_number(groups: list[str], together: bool) -> None:
    assert are_thousands(groups) is together
