import pytest

from services.text.punctuation import closes, closes_sentence, ends_clause, ends_sentence, opens


@pytest.mark.parametrize(
    "text", ["end.", " really?", 'he said "no!"', "終わり。", "「はい。」", "हाँ।", "نعم؟", "well… "]
)
def test_a_closing_mark_ends_a_sentence_in_every_script(text: str) -> None:
    assert ends_sentence(text)


@pytest.mark.parametrize("text", ["", " ", "word", "well,", "don't", '"'])
def test_other_text_ends_no_sentence(text: str) -> None:
    assert not ends_sentence(text)


def test_commas_end_clauses() -> None:
    assert ends_clause("well,")
    assert ends_clause("那么、")
    assert not ends_clause("well.")


def test_marks_know_which_side_they_belong_to() -> None:
    assert opens("¿")
    assert opens(" (")
    assert not opens("word")
    assert closes("。")
    assert closes(") ")
    assert not closes("word")
    assert not closes("")


@pytest.mark.parametrize(
    ("word", "following", "closes"),
    [
        ("done.", "Then", True),
        ("done.", "then", False),
        ("Good.", "I", True),
        ("Dr.", "Okafor", False),
        ("3.", "Mai", False),
        ("U.S.", "Army", False),
        ("I.", "You", True),
        ("done", "Then", False),
    ],
)
def test_a_sentence_ends_at_its_mark_but_not_at_an_abbreviation(word: str, following: str, *, closes: bool) -> None:
    assert closes_sentence(word, following) is closes
