from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from services.summarize.detokenizer import Detokenizer


def from_bytes(tokens: Sequence[int]) -> str:
    """A tokenizer with one token a byte."""
    return bytes(tokens).decode("utf-8", "replace")


def from_words(tokens: Sequence[int]) -> str:
    """A tokenizer whose tokens bring the space before them, which the first one of a text loses."""
    return "".join(f" word{token}" for token in tokens).lstrip()


def pieces_of(text: str) -> list[str]:
    detokenizer = Detokenizer(from_bytes)
    return [*(detokenizer.feed(token) for token in text.encode()), detokenizer.finish()]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\N{REPLACEMENT CHARACTER}")))
def test_pieces_are_whole_characters_and_make_up_the_text(text: str) -> None:
    pieces = pieces_of(text)

    assert "".join(pieces) == text
    assert all("\N{REPLACEMENT CHARACTER}" not in piece for piece in pieces)


def test_a_character_comes_with_its_last_byte() -> None:
    assert pieces_of("한a") == ["", "", "한", "a", ""]


def test_a_character_that_is_never_finished_is_left_out() -> None:
    detokenizer = Detokenizer(from_bytes)
    pieces = [detokenizer.feed(token) for token in "a한".encode()[:-1]]

    assert "".join(pieces) + detokenizer.finish() == "a"


def test_spaces_between_words_are_kept_although_the_first_is_dropped() -> None:
    detokenizer = Detokenizer(from_words)

    assert [detokenizer.feed(token) for token in (1, 2, 3)] == ["word1", " word2", " word3"]
