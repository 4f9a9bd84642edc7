import pytest

from services.edge.sentences import SENTENCE_PAUSE_SECONDS, closes_sentence, sentence_ends
from services.edge.transcript import Word


def evenly(text: str) -> list[Word]:
    return [Word(f" {word}", 0.3 * n, 0.3 * n + 0.3, 0.9) for n, word in enumerate(text.split())]


def last_words(text: str) -> list[str]:
    words = evenly(text)
    return [word.text.strip() for word, ends in zip(words, sentence_ends(words), strict=True) if ends]


def test_a_sentence_ends_at_its_mark_and_with_the_last_word() -> None:
    assert last_words("How are you? Fine. And you") == ["you?", "Fine.", "you"]


def test_a_year_may_end_a_sentence() -> None:
    assert last_words("I was born in 1990. And you? 2010. Nice.") == ["1990.", "you?", "2010.", "Nice."]


def test_no_words_have_no_sentences() -> None:
    assert sentence_ends([]) == []


def test_a_long_pause_ends_a_sentence() -> None:
    before, after = Word(" so", 0.0, 1.0, 0.9), Word(" well", 1.0 + SENTENCE_PAUSE_SECONDS, 3.0, 0.9)
    assert closes_sentence(before, after)
    assert not closes_sentence(before, Word(" well", 1.9, 3.0, 0.9))


@pytest.mark.parametrize(
    "text",
    [
        "Ask Dr. Miller.",
        "Am 3. Mai.",
        "J. S. Bach.",
        "the U.S. Army.",
        "It costs 3.5 dollars.",
        "See e.g. this.",
        "Wait... what?",
    ],
)
def test_a_dot_that_is_no_full_stop_ends_nothing(text: str) -> None:
    assert last_words(text) == [text.split()[-1]]


@pytest.mark.parametrize(
    "text", ["So am I. Are you?", "Oh no. Not that.", "Er kam. Ging er?", "Я дома. Ты?", "是的。 你呢。", "Ja! Nein!"]
)
def test_short_words_may_end_a_sentence(text: str) -> None:
    assert len(last_words(text)) == 2
