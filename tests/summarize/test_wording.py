# ruff: noqa: RUF001 - words of every script, whose letters look alike
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.summarize.wording import (
    each_token,
    endings_of,
    fold,
    fold_keeping_tones,
    grams_of,
    has_content,
    has_prefix,
    stems,
    variants,
    word_values,
)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Netflix가 5GB", ["Netflix", "가", "5", "GB"]),
        ("使用kubernetes", ["使用", "kubernetes"]),
        ("at 14:30, 1,234.5.", ["at", "14:30", "1,234.5"]),
        ("SPEAKER_02", ["SPEAKER", "02"]),
        ("グーグルが", ["グーグル", "が"]),
        ("O'Brien", ["O", "Brien"]),
        ("हिन्दी", ["हिन्दी"]),
        ("… !", []),
    ],
)
def test_a_token_is_a_number_or_letters_of_one_script(text: str, tokens: list[str]) -> None:
    assert [token.text for token in each_token(text)] == tokens


@given(st.text())
def test_tokens_are_cut_from_the_text_in_its_order(text: str) -> None:
    end = 0
    for token in each_token(text):
        assert end <= token.start < token.end
        assert text[token.start : token.end] == token.text
        end = token.end


@pytest.mark.parametrize(
    ("token", "folded"),
    [
        ("MÜNCHEN", "munchen"),
        ("Straße", "strasse"),
        ("Łukasz", "lukasz"),
        ("İstanbul", "istanbul"),
        ("Пётр", "петр"),
        ("ＩＢＭ", "ibm"),
        ("ｸﾞｰｸﾞﾙ", "グーグル"),
        ("Œuvre", "oeuvre"),
        ("हिन्दी", "हिन्दी"),
    ],
)
def test_case_accents_and_encoding_are_folded(token: str, folded: str) -> None:
    assert fold(token) == fold(folded) == folded


def test_tones_make_other_words() -> None:
    assert fold_keeping_tones("BA") == "ba" != fold_keeping_tones("bà")


@pytest.mark.parametrize(
    ("language", "first", "second", "related"),
    [
        ("en", "leaks", "leaked", True),
        ("en", "leaks", "burns", False),
        ("en", "ann", "anna", False),
        ("ru", "яна", "яну", True),
        ("fi", "helsingin", "helsingista", True),
        ("tr", "istanbul", "istanbulda", True),
    ],
)
def test_forms_of_one_word_share_a_stem(language: str, first: str, second: str, related: bool) -> None:
    endings = endings_of(language)
    assert bool(set(stems(first, endings)) & set(stems(second, endings))) is related


@given(st.text(st.characters(categories=["L"]), min_size=1), st.sampled_from(["en", "ru", "ar", "fi", "xx"]))
def test_a_stem_is_a_beginning_longer_than_what_is_left(word: str, language: str) -> None:
    for stem in stems(word, endings_of(language)):
        assert word.startswith(stem)
        assert len(stem) > len(word) - len(stem)


@pytest.mark.parametrize(
    ("word", "cut"), [("والسقف", "سقف"), ("بالماء", "ماء"), ("ובמים", "מים"), ("roof", "roof"), ("", "")]
)
def test_arabic_and_hebrew_words_stand_without_their_prefixes_too(word: str, cut: str) -> None:
    assert {word, cut} <= set(variants(word))


@pytest.mark.parametrize(
    ("word", "grams"),
    [
        ("roof", []),
        ("крыша", []),
        ("屋顶漏", ["屋顶", "顶漏"]),
        ("屋", ["屋"]),
        ("지붕이", ["지붕"]),
        ("이", []),
        ("グーグ", ["グー", "ーグ", "グーグ"]),
        ("หลัง", ["หล", "ลั", "ัง"]),
        ("", []),
    ],
)
def test_scripts_without_spaces_are_cut_in_pieces(word: str, grams: list[str]) -> None:
    assert grams_of(word) == grams


@pytest.mark.parametrize(
    ("word", "content"), [("roof", True), ("the", False), ("طويل", True), ("ماء", True), ("في", False), ("です", False)]
)
def test_long_words_have_content(word: str, content: bool) -> None:
    assert has_content(word) is content


@given(st.lists(st.text("ab")), st.text("ab"))
def test_a_prefix_is_found_among_sorted_words(words: list[str], prefix: str) -> None:
    assert has_prefix(sorted(words), prefix) is any(word.startswith(prefix) for word in words)


def test_a_list_of_values_has_each_before_its_word() -> None:
    assert word_values("2 Zwei 12 zwölf") == [("zwei", 2), ("zwolf", 12)]
