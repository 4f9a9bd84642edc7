from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.summarize.sources import MOST, SourceFinder

WORDS = st.sampled_from([f"w{number}" for number in range(60)])
TEXTS = st.lists(WORDS, max_size=10).map(" ".join)
SENTENCES = st.lists(st.lists(WORDS, min_size=1, max_size=10).map(" ".join), min_size=1, max_size=40)

MEETING = [
    "welcome to the meeting of today",
    "anna sends the report to the board by friday",
    "ben asks whether the report is long",
    "the board meets on the ninth of may",
    "we talk about the new office",
    "the office has twelve rooms and a kitchen",
    "good bye and thank you",
]


@pytest.fixture(scope="module")
def meeting() -> SourceFinder:
    return SourceFinder(MEETING)


def test_what_is_said_in_other_words_is_found_where_most_of_them_are(meeting: SourceFinder) -> None:
    assert meeting.find("the report will be sent to the board by anna on friday")[0] == 1


def test_what_comes_from_two_sentences_has_both(meeting: SourceFinder) -> None:
    assert set(meeting.find("anna sends the report and the office has twelve rooms")) == {1, 5}


def test_what_few_sentences_have_tells_more_than_what_many_have(meeting: SourceFinder) -> None:
    assert meeting.find("board kitchen")[0] == 5
    assert meeting.find("the kitchen")[0] == 5


@pytest.mark.parametrize("unit", ["", "penguins dance", "the penguins dance all night long until sunrise"])
def test_what_is_nowhere_has_no_source(meeting: SourceFinder, unit: str) -> None:
    assert meeting.find(unit) == []


def test_only_what_is_asked_for_is_looked_at(meeting: SourceFinder) -> None:
    unit = "anna has a long report for the board"

    assert meeting.find(unit) == [1, 5, 2]
    assert meeting.find(unit, range(2, 5)) == [2]
    assert meeting.find(unit, range(1, 2)) == [1]
    assert meeting.find(unit, range(3, 5)) == []
    assert meeting.find(unit, range(0)) == []


@given(SENTENCES)
def test_a_verbatim_sentence_finds_itself_first(sentences: list[str]) -> None:
    finder = SourceFinder(sentences)

    for sentence in sentences:
        first = finder.find(sentence)[0]
        assert set(sentences[first].split()) == set(sentence.split())
        # Of several that are the same, the earliest.
        assert first == [set(other.split()) for other in sentences].index(set(sentence.split()))


@given(SENTENCES, TEXTS)
def test_there_are_few_sources_each_once_and_each_has_something_in_common(sentences: list[str], unit: str) -> None:
    found = SourceFinder(sentences).find(unit)

    assert len(set(found)) == len(found) <= MOST
    assert all(set(sentences[number].split()) & set(unit.split()) for number in found)


@given(SENTENCES, TEXTS, st.integers(0, 40), st.integers(0, 40))
def test_looking_at_a_part_finds_the_best_of_it(sentences: list[str], unit: str, first: int, end: int) -> None:
    finder = SourceFinder(sentences)
    everywhere, here = finder.find(unit), finder.find(unit, range(first, end))

    assert all(first <= number < end for number in here)
    if everywhere and first <= everywhere[0] < end:
        assert here[0] == everywhere[0]
    assert finder.find(unit, range(len(sentences))) == everywhere


@given(SENTENCES, TEXTS, st.randoms())
def test_neither_the_order_nor_the_number_of_words_counts(sentences: list[str], unit: str, random: Random) -> None:
    def shuffled(text: str) -> str:
        return " ".join(random.sample(2 * text.split(), 2 * len(text.split())))

    finder = SourceFinder([shuffled(sentence) for sentence in sentences])

    assert finder.find(shuffled(unit)) == SourceFinder(sentences).find(unit)


def test_a_transcript_without_sentences_has_no_sources() -> None:
    assert SourceFinder([]).find("one two three") == []
