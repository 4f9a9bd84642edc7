import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.asr.agreement import Agreement, after, parts


def shown(*hypotheses: str) -> list[str]:
    agreement = Agreement()
    return [agreement.hear(hypothesis) for hypothesis in hypotheses]


def test_of_the_first_hypothesis_the_last_words_are_held_back() -> None:
    assert shown("a book could be") == ["a book could"]


def test_what_two_hypotheses_agree_on_is_shown() -> None:
    assert shown("A book", "A book could", "A book could be written") == ["A", "A book", "A book could"]


def test_case_and_punctuation_are_no_disagreement_and_the_later_ones_are_shown() -> None:
    assert shown("well i know", "Well, I know not", "Well, I know not how")[-1] == "Well, I know not"


def test_one_hypothesis_that_differs_takes_nothing_back() -> None:
    assert shown("we saw the sea", "we saw the sea today", "we saw a", "we saw the sea today and")[1:] == [
        "we saw the sea",
        "we saw the sea",
        "we saw the sea",
    ]


def test_two_hypotheses_that_differ_together_change_it() -> None:
    assert (
        shown("we saw the sea now", "we saw the sea now", "we saw a ship", "we saw a ship sail")[-1] == "we saw a ship"
    )


def test_a_shorter_hypothesis_takes_nothing_back() -> None:
    assert shown("one two three", "one two three four", "one two")[-1] == "one two three"


def test_scripts_without_spaces_are_compared_by_character() -> None:
    assert shown("今天天气", "今天天气很好", "今天天气很好啊")[1:] == ["今天天气", "今天天气很好"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("one", ("one",)),
        (" one two", (" one", " two")),
        ("今天 ok", ("今", "天", " ok")),
        ("a今b", ("a", "今", "b")),
        ("สวัสดี", tuple("สวัสดี")),
    ],
)
def test_words(text: str, expected: tuple[str, ...]) -> None:
    assert parts(text) == expected


@given(st.text())
def test_words_together_are_the_text(text: str) -> None:
    assert "".join(parts(text)) == text


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c"]), max_size=6).map(" ".join), max_size=8))
def test_only_what_a_hypothesis_said_is_shown(hypotheses: list[str]) -> None:
    agreement = Agreement()
    for number, hypothesis in enumerate(hypotheses):
        text = agreement.hear(hypothesis)
        assert any(said.startswith(text) for said in hypotheses[: number + 1])


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=12))
def test_a_text_that_only_grows_is_never_revised(words: list[str]) -> None:
    agreement = Agreement()
    before = ""
    for count in range(len(words) + 1):
        text = agreement.hear(" ".join(words[:count]))
        assert text.startswith(before)
        before = text


@pytest.mark.parametrize(
    ("shown", "final", "left"),
    [
        ("so it was said that day we went", "So it was said.", "that day we went"),
        ("so it was sad that day", "It was said.", "sad that day"),
        ("the cat saw the cat run", "The cat saw the cat", "run"),
        ("one two", "One two three.", ""),
        ("one two three", "", "one two three"),
        ("今天很好我们", "今天很好", "我们"),
    ],
)
def test_what_is_left_of_a_text_whose_beginning_is_final(shown: str, final: str, left: str) -> None:
    assert after(shown, final) == left


def test_what_was_carried_over_stays_until_more_is_heard() -> None:
    agreement = Agreement()
    agreement.carry("that day we")

    assert [agreement.hear(text) for text in ("that", "that day we went", "that day we went home")] == [
        "that day we",
        "that day we",
        "that day we went",
    ]
