import pytest
from hypothesis import given
from hypothesis import strategies as st
from num2words import num2words

from services.summarize.number_words import glue_between, number_words, run_keys
from services.summarize.wording import each_token, fold
from tests.summarize.said_and_written import SPOKEN_NUMBERS, unsupported


def keys(text: str, language: str = "en") -> set[str]:
    return set(run_keys(text, list(each_token(text)), number_words(language)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("twenty four", {"20", "24", "4", "204"}),
        ("three point five", {"3", "3.5", "5"}),
        ("five thousand", {"5", "1000", "5000"}),
        ("1.5 million", {"1.5", "1500000", "1", "5"}),
    ],
)
def test_a_run_says_every_number_that_it_can_be_read_as(text: str, said: set[str]) -> None:
    assert keys(text) == said


@pytest.mark.parametrize(
    ("text", "glue"),
    [("two three", " "), ("two-three", " "), ("two, three", ","), ("two; three", ""), ("two     three", "")],
)
def test_parts_of_one_number_have_a_space_a_comma_or_a_hyphen_between_them(text: str, glue: str) -> None:
    assert glue_between(text, *each_token(text)) == glue


def test_a_language_that_nobody_knows_has_abbreviations() -> None:
    table = number_words("xx")
    assert table.canonical("twelve", "twelve", strict=False) == ""
    assert table.scales["mrd"] == 9


@pytest.mark.parametrize(
    ("language", "token", "strict", "word"),
    [
        ("en", "twelve", True, "twelve"),
        ("en", "table", False, ""),
        ("de", "vierzehnter", False, "vierzehnte"),
        ("de", "zwölftausenddreihundert", True, "zwolftausenddreihundert"),
        ("ru", "двенадцатью", True, "двенадцатью"),
        ("ar", "وعشرون", True, "عشرون"),
        ("vi", "bà", True, ""),
        ("vi", "ba", True, "ba"),
    ],
)
def test_a_number_word_is_known_with_its_endings(language: str, token: str, strict: bool, word: str) -> None:
    assert number_words(language).canonical(token, fold(token), strict=strict) == word


def test_thousands_and_what_follows_are_one_word_in_languages_of_compounds() -> None:
    assert number_words("de").compound("zwolftausenddreihundert") == 12_300
    assert number_words("en").compound("twelvethousandthree") is None


@pytest.mark.parametrize(("language", "said", "written"), SPOKEN_NUMBERS)
def test_a_number_in_digits_is_known_when_it_was_said_in_words(language: str, said: str, written: str) -> None:
    assert unsupported(f"x {said} x", f"x {written} x", language) == ()


@given(st.integers(2, 10**9), st.sampled_from(["en", "de", "fr", "es", "pl", "id"]))
def test_every_number_is_known_from_its_words(number: int, language: str) -> None:
    words = num2words(number, lang=language).lower()
    assert unsupported(f"x {words} x", f"x {number} x", language) == ()


@given(st.integers(2, 10**6), st.sampled_from(["en", "de", "fr", "it", "ru", "nl"]))
def test_words_of_a_number_are_known_from_its_digits(number: int, language: str) -> None:
    words = num2words(number, lang=language).lower()
    assert unsupported(f"x {number} x", f"x {words} x", language) == ()
