from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.summarize.sources import MOST, SourceFinder

# Words that have and have not their beginnings in common, of languages with spaces and without.
WORDS = st.sampled_from(
    [
        "report",
        "reports",
        "reported",
        "reporter",
        "repo",
        "a",
        "the",
        "of",
        "Ana",
        "ben",
        "12",
        "naïve",
        "отчёт",
        "отчёта",
        "تقرير",
        "보고서를",
        "報告書",
        "報告",
        "送る",
        "report,",
        "(board)",
        "don't",
        "สวัสดี",
    ]
)
SENTENCES = st.lists(st.lists(WORDS, min_size=1, max_size=8).map(" ".join), min_size=1, max_size=30)
UNITS = st.lists(WORDS | st.just("penguin"), max_size=8).map(" ".join)

MEETING = [
    "Welcome to the meeting of today.",
    "Anna sends the report to the board by Friday.",
    "Ben asks whether the report is long.",
    "The board meets on the ninth of May.",
    "We talk about the new office.",
    "The office has twelve rooms and a kitchen.",
    "Good bye and thank you!",
]


@pytest.fixture(scope="module")
def meeting() -> SourceFinder:
    return SourceFinder(MEETING)


def test_what_is_said_in_other_words_is_found_where_most_of_them_are(meeting: SourceFinder) -> None:
    assert meeting.find("The report will be sent to the board by Anna on Friday.")[0] == 1


def test_other_endings_and_capitals_are_the_same_word(meeting: SourceFinder) -> None:
    assert meeting.find("KITCHENS, twelve")[0] == 5
    assert SourceFinder(["Мария отправит отчёт.", "Совет собирается в мае."]).find("отправила отчёты") == [0]


def test_what_comes_from_two_sentences_has_both(meeting: SourceFinder) -> None:
    assert set(meeting.find("Anna sends the report, and the office has twelve rooms.")) == {1, 5}


def test_what_few_sentences_have_tells_more_than_what_many_have(meeting: SourceFinder) -> None:
    assert meeting.find("board kitchen")[0] == 5
    assert meeting.find("the kitchen")[0] == 5


def test_where_no_spaces_are_put_characters_tell() -> None:
    finder = SourceFinder(
        ["田中さんは報告書を送ります。", "会議は九日に開かれます。", "新しい事務所について話します。"]
    )

    assert finder.find("報告書の送付は田中さん") == [0]
    assert finder.find("九日の会議")[0] == 1


@pytest.mark.parametrize(
    "unit", ["", "!?", "Penguins dance.", "Penguins dance all night long until sunrise, quite merrily."]
)
def test_what_is_nowhere_has_no_source(meeting: SourceFinder, unit: str) -> None:
    assert meeting.find(unit) == []


def test_only_what_is_asked_for_is_looked_at(meeting: SourceFinder) -> None:
    unit = "Anna has a long report for the board."

    assert meeting.find(unit)[0] == 1
    assert meeting.find(unit, range(2, 5))[0] == 2
    assert meeting.find(unit, range(1, 2)) == [1]
    assert meeting.find(unit, range(0)) == []


@given(SENTENCES)
def test_a_verbatim_sentence_finds_itself_first(sentences: list[str]) -> None:
    finder = SourceFinder(sentences)

    for sentence in sentences:
        first = finder.find(sentence)[0]
        # Or one that has the same words, of which there is no telling; of several, the earliest.
        assert finder.find(sentences[first])[0] == first
        assert first <= sentences.index(sentence)


@given(SENTENCES, st.randoms())
def test_a_verbatim_sentence_finds_itself_among_longer_ones(sentences: list[str], random: Random) -> None:
    place = random.randrange(len(sentences) + 1)
    longer = [f"{sentence} unlike" for sentence in sentences]

    assert SourceFinder([*longer[:place], sentences[0], *longer[place:]]).find(sentences[0])[0] == place


@given(SENTENCES, UNITS)
def test_there_are_few_sources_and_each_comes_once(sentences: list[str], unit: str) -> None:
    found = SourceFinder(sentences).find(unit)

    assert len(set(found)) == len(found) <= MOST
    assert all(0 <= number < len(sentences) for number in found)
    if "penguin" in unit.split() and len(set(unit.split())) == 1:
        assert found == []


@given(SENTENCES, UNITS, st.integers(0, 30), st.integers(0, 30))
def test_looking_at_a_part_finds_the_best_of_it(sentences: list[str], unit: str, first: int, end: int) -> None:
    finder = SourceFinder(sentences)
    everywhere, here = finder.find(unit), finder.find(unit, range(first, end))

    assert all(first <= number < end for number in here)
    if everywhere and first <= everywhere[0] < end:
        assert here[0] == everywhere[0]
    assert finder.find(unit, range(len(sentences))) == everywhere


@given(SENTENCES, UNITS, st.randoms())
def test_neither_the_order_nor_the_number_of_words_counts(sentences: list[str], unit: str, random: Random) -> None:
    def shuffled(text: str) -> str:
        return " ".join(random.sample(text.split() * 2, 2 * len(text.split())))

    assert SourceFinder([shuffled(text) for text in sentences]).find(shuffled(unit)) == SourceFinder(sentences).find(
        unit
    )


def test_a_transcript_without_sentences_has_no_sources() -> None:
    assert SourceFinder([]).find("Anna sends the report.") == []
