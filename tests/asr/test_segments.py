from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.asr.engine import AlignedWord
from services.asr.segments import LONGEST_SECONDS, PAUSE_SECONDS, cut


def evenly(text: str, step: float = 0.4, start: float = 0.0) -> list[AlignedWord]:
    """Return words that take `step` seconds each, without pauses."""
    return [
        AlignedWord(f" {word}", start + number * step, start + (number + 1) * step, 0.9)
        for number, word in enumerate(text.split())
    ]


def texts(words: Sequence[AlignedWord]) -> list[str]:
    return ["".join(word.text for word in group).strip() for group in cut(words)]


def test_without_words_there_are_no_segments() -> None:
    assert cut([]) == []


def test_a_segment_ends_with_its_sentence() -> None:
    assert texts(evenly("How are you? I am fine. Good")) == ["How are you?", "I am fine.", "Good"]


def test_sentences_end_in_every_script() -> None:
    words = [AlignedWord(text, number, number + 1.0, 0.9) for number, text in enumerate(["你好", "。", "再见", "。"])]

    assert texts(words) == ["你好。", "再见。"]


@pytest.mark.parametrize(
    "text", ["Ask Mr. Brown about it.", "PROF. Brown spoke.", "Das kostet z.B. nichts.", "Mme. Curie"]
)
def test_an_abbreviation_ends_no_sentence(text: str) -> None:
    assert texts(evenly(text)) == [text]


@pytest.mark.parametrize("text", ["He paid $3.50 for it", "well, yes; no: perhaps"])
def test_marks_inside_a_sentence_do_not_end_it(text: str) -> None:
    assert texts(evenly(text)) == [text]


@pytest.mark.parametrize(("pause", "segments"), [(PAUSE_SECONDS - 0.01, 1), (PAUSE_SECONDS, 2), (5.0, 2)])
def test_a_pause_ends_a_segment_whatever_the_punctuation(pause: float, segments: int) -> None:
    assert len(cut([*evenly("I was", 0.5), *evenly("going there", 0.5, start=1.0 + pause)])) == segments


def test_a_long_sentence_is_cut_at_a_comma_near_its_middle() -> None:
    before, after = " ".join(["word"] * 14), " ".join(["word"] * 30)

    assert texts(evenly(f"oh, {before} here, {after} there")) == [f"oh, {before} here,", f"{after} there"]


def test_a_long_sentence_without_commas_is_cut_at_a_pause() -> None:
    words = [*evenly(" ".join(["one"] * 25)), *evenly(" ".join(["two"] * 30), start=10.5)]

    assert [len(group) for group in cut(words)] == [25, 30]


def test_a_long_sentence_without_anything_is_cut_in_the_middle() -> None:
    assert [len(group) for group in cut(evenly(" ".join(["on"] * 60)))] == [30, 30]


def test_a_single_long_word_stays_whole() -> None:
    assert cut(evenly("aaah", step=40.0)) == [tuple(evenly("aaah", step=40.0))]


def test_hundreds_of_stretched_words_are_no_trouble() -> None:
    words = evenly(" ".join(["word"] * 450), step=16.0)

    assert [len(group) for group in cut(words)] == [1] * 450


# --- laws ---


def one_after_another(parts: Sequence[tuple[str, float, float]]) -> list[AlignedWord]:
    now, words = 0.0, []
    for text, pause, length in parts:
        words.append(AlignedWord(text, now + pause, now + pause + length, 0.9))
        now += pause + length
    return words


spellings = st.sampled_from([" and", " yes.", " no?", " Mr.", "那", "。", " I", " Texas,", ' "so."', " "])
ordered_words = st.lists(st.tuples(spellings, st.floats(0.0, 1.5), st.floats(0.0, 4.0)), max_size=40).map(
    one_after_another
)
any_words = st.lists(
    st.builds(AlignedWord, spellings, st.floats(0.0, 60.0), st.floats(0.0, 60.0), st.just(0.9)), max_size=30
)


@given(ordered_words | any_words)
def test_the_segments_together_are_the_words_and_none_is_empty(words: list[AlignedWord]) -> None:
    groups = cut(words)

    assert [word for group in groups for word in group] == words
    assert all(groups)


@given(ordered_words)
def test_no_segment_is_too_long_or_holds_a_pause_or_the_end_of_a_sentence(words: list[AlignedWord]) -> None:
    for group in cut(words):
        assert len(group) == 1 or group[-1].end - group[0].start <= LONGEST_SECONDS
        for before, after in pairwise(group):
            assert after.start - before.end < PAUSE_SECONDS
            assert before.text not in {" yes.", " no?", "。", ' "so."'}


@given(ordered_words)
def test_cutting_a_segment_again_changes_nothing(words: list[AlignedWord]) -> None:
    assert all(cut(group) == [group] for group in cut(words))
