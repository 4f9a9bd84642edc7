from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.summarize.salience import SHORTEST, rank

SENTENCES = st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=40)


def ranked_slowly(sentences: Sequence[Sequence[int]]) -> list[int]:
    """Return the order by the definition: each choice looks at all that are left."""
    bags = [frozenset(sentence) for sentence in sentences]
    counts = Counter(token for bag in bags for token in bag)
    weights = {token: float(count) if count <= max(2, len(bags) / 4) else 0.0 for token, count in counts.items()}
    ranked = list[int]()
    while len(ranked) < len(bags):
        left = [number for number in range(len(bags)) if number not in ranked]
        scores = {
            number: sum(weights[token] for token in bags[number]) / max(len(bags[number]), 3 * SHORTEST)
            for number in left
        }
        best = max(left, key=lambda number: (scores[number], -number))
        ranked.append(best)
        weights.update({token: weights[token] / 2 for token in bags[best]})
    return ranked


@given(SENTENCES)
def test_every_sentence_has_one_place(sentences: list[list[int]]) -> None:
    assert sorted(rank(sentences)) == list(range(len(sentences)))


@given(SENTENCES)
def test_the_best_sentence_is_taken_first_then_the_best_beside_it(sentences: list[list[int]]) -> None:
    assert rank(sentences) == ranked_slowly(sentences)


@given(SENTENCES, st.randoms())
def test_neither_the_order_nor_the_number_of_a_sentences_tokens_counts(
    sentences: list[list[int]], random: Random
) -> None:
    shuffled = [random.sample(sentence * 2, 2 * len(sentence)) for sentence in sentences]

    assert rank(shuffled) == rank(sentences)


def test_a_sentence_about_what_several_are_about_comes_first() -> None:
    small_talk = [[100 + 6 * number + place for place in range(6)] for number in range(16)]
    budget, office = 1, 2
    about = [[budget, 3, 4, 5, 6, 7], [office, 8, 9, 10, 11, 12], [budget, office, 13, 14, 15, 16], [budget, 17, 18]]

    assert rank([*small_talk, *about])[0] == len(small_talk) + 2


def test_the_second_one_says_something_else_than_the_first() -> None:
    first = [1, 2, 3, 4, 5, 6]
    sentences = [first, [*first[:5], 7], [8, 9, 10, 11], [8, 9, 10, 12], [20], [21], [22], [23], [24], [25]]

    assert rank(sentences)[:2] == [0, 2]


def test_what_all_sentences_have_tells_nothing() -> None:
    everywhere = [1, 2, 3, 4, 5]
    sentences = [[*everywhere, 100 + number] for number in range(18)] + [[200, 201, 202], [200, 201, 202]]

    assert rank(sentences)[0] == 18


def test_a_short_sentence_does_not_win_by_its_only_word() -> None:
    assert rank([[1], [1, 2, 3, 4], [5, 6], [2, 3, 7]])[0] == 1


@pytest.mark.parametrize("sentences", [[], [[]], [[], [], []], [[], [1]]])
def test_sentences_without_tokens_have_their_place_too(sentences: list[list[int]]) -> None:
    assert sorted(rank(sentences)) == list(range(len(sentences)))


def test_of_equal_sentences_the_earlier_one_comes_first() -> None:
    assert rank([[1, 2, 3]] * 4) == [0, 1, 2, 3]


def test_a_transcript_of_many_hours_is_ranked() -> None:
    random = Random(7)
    sentences = [[int(random.paretovariate(0.7)) for _ in range(20)] for _ in range(20_000)]

    ranked = rank(sentences)

    assert sorted(ranked) == list(range(20_000))
    assert rank(sentences) == ranked
