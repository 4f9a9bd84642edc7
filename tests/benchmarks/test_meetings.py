from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.meetings import WORDS_PER_SECOND, Task, english_sentences, made_up_sentences, meeting, tasks
from benchmarks.recordings import Recording
from benchmarks.scoring import Utterance

SENTENCES = [f"This is sentence number {number} of them." for number in range(30)]
TASK = Task("Ann, call the bank by Friday.", ("Ann", "bank", "Friday"))


def recording(name: str, kind: str, language: str, words: str, *said: str) -> Recording:
    utterances = tuple(Utterance("x", one) for one in said) or None
    return Recording(name, Path(name), kind, 1.0, language, 1, words, utterances, None)


def test_a_meeting_is_as_long_as_wanted_and_equal_seeds_give_equal_ones() -> None:
    one = meeting(SENTENCES, 1000, [], seed=3)

    assert 1000 <= one.words <= 1007
    assert one == meeting(SENTENCES, 1000, [], seed=3)
    assert one != meeting(SENTENCES, 1000, [], seed=4)
    assert one.said[-1].end == pytest.approx(one.words / WORDS_PER_SECOND)
    assert one.text.split("\n")[0] == f"{one.said[0].speaker}: {one.said[0].text}"


def test_nobody_speaks_twice_in_a_row_and_nobody_before_the_other_has_ended() -> None:
    said = meeting(SENTENCES, 500, [(0.5, TASK)], seed=0).said

    for one, other in pairwise(said):
        assert one.speaker != other.speaker
        assert one.start < one.end == other.start


@pytest.mark.parametrize("place", [0.0, 0.31, 0.5, 1.0])
def test_a_task_stands_in_its_place(place: float) -> None:
    one = meeting(SENTENCES, 2000, [(place, TASK)], seed=0)
    ((task, said),) = one.planted

    assert task is TASK
    assert said.text == TASK.said
    assert said in one.said
    assert said.start / one.said[-1].end == pytest.approx(place, abs=0.01)


def test_tasks_are_told_in_the_order_of_the_meeting() -> None:
    planted = [(0.9, tasks()[0]), (0.1, tasks()[1]), (0.5, tasks()[2])]

    one = meeting(SENTENCES, 2000, planted, seed=0)

    assert [task for task, _ in one.planted] == [tasks()[1], tasks()[2], tasks()[0]]


def test_a_task_is_in_a_text_that_has_all_its_words() -> None:
    assert TASK.is_in("Ann: calls the banks by FRIDAY")
    assert not TASK.is_in("Ann calls the bank")
    assert not TASK.is_in("Joann, the bank, Friday")


def test_there_are_forty_tasks_and_none_is_in_another_one_or_in_what_is_made_up() -> None:
    listed = tasks()
    filler = " ".join(made_up_sentences(500))

    assert len(listed) == 40
    for task in listed:
        assert task.is_in(task.said)
        assert not task.is_in(filler)
        assert [other for other in listed if task.is_in(other.said)] == [task]


def test_only_english_words_are_taken_each_text_once_and_written_out() -> None:
    recordings = [
        recording("a", "single", "en", "he was there the whole day"),
        recording("b", "single", "en", "he was there the whole day"),
        recording("c", "single", "de", "er war den ganzen Tag da"),
        recording("d", "real-conversation", "en", "all", "Is this on the desktop?", "No", "the block books of old,"),
        recording("e", "synthetic-conversation", "en", "all", "they were made of other ones"),
        recording("f", "noise", "en", ""),
    ]

    assert english_sentences(recordings) == [
        "He was there the whole day.",
        "Is this on the desktop?",
        "The block books of old.",
    ]


def test_made_up_sentences_are_different_and_always_the_same() -> None:
    made = made_up_sentences(1500)

    assert len(set(made)) == 1500
    assert made == made_up_sentences(1500)
