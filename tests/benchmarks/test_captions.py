from typing import Any

import pytest

from benchmarks.captions import (
    Message,
    WordShown,
    finalisation_seconds,
    first_seconds,
    revised_words,
    speech_ends,
    speech_starts,
    words_shown,
)
from benchmarks.scoring import Utterance


def partial(at: float, text: str) -> Message:
    return Message(at, {"type": "partial", "partial": text})


def final(at: float, text: str, end: float = 1.0) -> Message:
    words: list[dict[str, Any]] = [{"word": word, "start": end, "end": end} for word in text.split()]
    return Message(at, {"type": "transcript", "text": text, "partial": "", "words": words})


def said(*spans: tuple[float, float]) -> list[Utterance]:
    return [Utterance("a", "one", start, end) for start, end in spans]


def test_a_word_is_shown_stable_and_final() -> None:
    messages = [partial(1, "one"), partial(2, "one two"), partial(3, "one too"), final(4, "One two.")]

    assert words_shown(messages) == [
        WordShown("one", 1.0, first=1, stable=1, final=4),
        WordShown("two", 1.0, first=2, stable=4, final=4),
    ]


def test_a_word_that_was_never_in_a_partial_is_shown_when_it_is_final() -> None:
    assert words_shown([final(4, "One")]) == [WordShown("one", 1.0, 4, 4, 4)]


def test_a_partial_counts_for_the_final_that_it_belongs_to() -> None:
    messages = [
        partial(1, "one two"),
        partial(2, "one two one"),
        final(3, "One two."),
        partial(3, "one"),
        final(5, "One"),
    ]

    assert [(word.text, word.first, word.final) for word in words_shown(messages)] == [
        ("one", 1, 3),
        ("two", 1, 3),
        ("one", 2, 5),
    ]


def test_two_finals_of_one_utterance_share_its_partials() -> None:
    messages = [partial(1, "one two one"), final(3, "One two."), final(3.01, "One"), partial(3.02, ""), final(9, "one")]

    assert [(word.text, word.first) for word in words_shown(messages)] == [
        ("one", 1),
        ("two", 1),
        ("one", 1),
        ("one", 9),
    ]


def test_words_that_were_taken_back_do_not_count_for_the_next_final() -> None:
    messages = [
        partial(1, "i think so you know"),
        final(3, "I think so, you knew."),
        partial(3.2, ""),
        final(9, "know"),
    ]

    assert words_shown(messages)[-1] == WordShown("know", 1.0, 9, 9, 9)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([partial(1, "one"), partial(2, "one two"), final(3, "One two.")], 0),
        ([partial(1, "one"), partial(2, "won two"), final(3, "Won two.")], 1),
        ([partial(1, "one two"), partial(2, "one"), final(3, "One two.")], 1),
        ([partial(1, "one two three"), final(3, "One two."), partial(3, "three")], 0),
        ([partial(1, "one two three"), final(3, "One two."), partial(4, "")], 1),
    ],
)
def test_revised_words(messages: list[Message], expected: int) -> None:
    assert revised_words(messages) == expected


def test_speech_ends_and_starts_at_pauses_only() -> None:
    spoken = said((5.2, 7), (1, 3), (2, 5), (9, 10))

    assert speech_ends(spoken) == [7, 10]
    assert speech_starts(spoken) == [1, 9]


def test_latencies() -> None:
    spoken = said((1, 3), (5, 7))
    words = [WordShown("a", 2.0, 2.5, 2.5, 4.0), WordShown("b", 3.1, 3.5, 3.5, 4.5), WordShown("c", 6.5, 7.5, 7.5, 7.8)]

    assert finalisation_seconds(words, spoken) == pytest.approx([1.5, 0.8])
    assert first_seconds(words, spoken) == pytest.approx([1.5, 2.5])
