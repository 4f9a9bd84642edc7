from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.summarize.parts import LEEWAY, SHORTEST_LIMIT, Part, split_parts
from services.summarize.summarizer import INSTRUCTION_TOKENS
from services.summarize.transcript import LONGEST_SENTENCE, LONGEST_SPEAKER

LIMIT = 100


@st.composite
def transcripts(draw: st.DrawFn, longest: int = LIMIT) -> tuple[list[int], list[int]]:
    """Draw the sizes of some sentences and the numbers of their turns."""
    sentences = draw(st.lists(st.tuples(st.integers(1, longest), st.booleans()), min_size=1, max_size=80))
    sizes, opens = zip(*sentences, strict=True)
    turns = [sum(opens[: number + 1]) for number in range(len(opens))]
    return list(sizes), turns


def fewest(sizes: Sequence[int], limit: int) -> int:
    """Return in how few parts sentences can be, by filling each before the next one is begun."""
    count, room = 0, 0
    for size in sizes:
        if size > room:
            count, room = count + 1, limit
        room -= size
    return count


@given(transcripts())
def test_all_sentences_are_in_some_part_once_and_in_order(transcript: tuple[list[int], list[int]]) -> None:
    sizes, turns = transcript
    parts = split_parts(sizes, turns, LIMIT)

    assert [number for part in parts for number in range(part.first, part.end)] == list(range(len(sizes)))
    assert all(part.first < part.end for part in parts)
    assert [part.tokens for part in parts] == [sum(sizes[part.first : part.end]) for part in parts]


@given(transcripts())
def test_no_part_is_longer_than_the_limit_and_there_are_as_few_as_can_be(
    transcript: tuple[list[int], list[int]],
) -> None:
    sizes, turns = transcript
    parts = split_parts(sizes, turns, LIMIT)

    assert max(part.tokens for part in parts) <= LIMIT
    assert len(parts) == fewest(sizes, LIMIT)


@given(transcripts(longest=10))
def test_the_sizes_of_parts_differ_little(transcript: tuple[list[int], list[int]]) -> None:
    sizes, turns = transcript
    parts = split_parts(sizes, turns, LIMIT)

    even = sum(sizes) / len(parts)
    # Each cut is within the leeway or at the next sentence.
    tolerated = 2 * max(LEEWAY * even, 10)
    assert all(abs(part.tokens - even) <= tolerated for part in parts)


@given(transcripts(longest=10))
def test_a_part_begins_with_a_turn_where_one_begins_near_the_even_cut(transcript: tuple[list[int], list[int]]) -> None:
    sizes, turns = transcript
    parts = split_parts(sizes, turns, LIMIT)
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    even = sum(sizes) / len(parts)

    for number, part in enumerate(parts[1:], 1):
        near = [at for at in range(1, len(sizes)) if abs(starts[at] - number * even) <= LEEWAY * even]
        opening = [at for at in near if turns[at] != turns[at - 1]]
        # None of them counts at which this part, or all that follow, would be too long.
        opening = [
            at
            for at in opening
            if starts[at] - starts[parts[number - 1].first] <= LIMIT
            and fewest(sizes[at:], LIMIT) <= len(parts) - number <= len(sizes) - at
        ]
        if opening:
            assert part.first in opening


def test_what_fits_is_one_part() -> None:
    assert split_parts([10] * 10, [0] * 10, LIMIT) == [Part(0, 10, LIMIT)]
    assert split_parts([1], [5], LIMIT) == [Part(0, 1, 1)]


def test_nothing_has_no_parts() -> None:
    assert split_parts([], [], LIMIT) == []


def test_a_little_too_much_is_cut_in_halves_and_leaves_no_short_rest() -> None:
    assert split_parts([10] * 11, [0] * 11, LIMIT) == [Part(0, 5, 50), Part(5, 11, 60)]


def test_a_turn_that_begins_nearest_to_the_even_cut_begins_the_part() -> None:
    turns = [0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3]

    assert [part.first for part in split_parts([10] * 12, turns, LIMIT)] == [0, 5]


def test_a_sentence_longer_than_the_limit_is_the_callers_fault() -> None:
    with pytest.raises(AssertionError):
        split_parts([1, LIMIT + 1], [0, 0], LIMIT)


def test_sentences_that_hardly_fit_together_are_cut_as_quickly_as_others() -> None:
    sizes = [500 if number % 2 else 600 for number in range(50_000)]

    assert len(split_parts(sizes, list(range(50_000)), 1024)) == 50_000


def test_the_least_limit_takes_the_longest_sentence_and_a_prompt_its_speaker_too() -> None:
    # A character has at most four bytes and a token at least one. No instruction has 150 tokens.
    assert LONGEST_SENTENCE * 4 + 3 < SHORTEST_LIMIT
    assert (LONGEST_SENTENCE + LONGEST_SPEAKER) * 4 + 3 + 150 < SHORTEST_LIMIT + INSTRUCTION_TOKENS
