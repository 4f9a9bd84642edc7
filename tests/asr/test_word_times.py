from dataclasses import replace
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.asr.engine import AlignedWord
from services.asr.transcript import Evidence, Segment, Word
from services.asr.word_times import MISSED_SECONDS, Span, TimeOrder, clamp_to_speech, missed, overlap

EVIDENCE = Evidence(-0.1, 0.0, 1.0, "en", 1.0)


def heard(start: float, end: float, text: str = " word") -> AlignedWord:
    return AlignedWord(text, start, end, 0.9)


def segment(*times: tuple[float, float]) -> Segment:
    words = tuple(Word(f" {number}", start, end, 0.5) for number, (start, end) in enumerate(times))
    return Segment(words[0].start, words[-1].end, "".join(word.text for word in words).strip(), words, EVIDENCE)


def times(segments: list[Segment]) -> list[list[tuple[float, float]]]:
    return [[(word.start, word.end) for word in segment.words] for segment in segments]


# --- overlap ---


@pytest.mark.parametrize(
    ("start", "end", "shared"), [(0.0, 10.0, 3.0), (1.5, 4.5, 1.0), (2.0, 4.0, 0.0), (5.0, 5.0, 0.0), (9.0, 12.0, 0.0)]
)
def test_overlap_adds_up_what_spans_share(start: float, end: float, shared: float) -> None:
    assert overlap(start, end, [(1.0, 2.0), (4.0, 6.0)]) == shared


# --- clamping ---


def test_a_word_that_is_stretched_over_a_pause_is_cut_to_where_it_was_said() -> None:
    (word,) = clamp_to_speech([heard(1.0, 6.0)], [(0.0, 2.0), (5.5, 8.0)])

    assert (word.start, word.end) == (1.0, 2.15)


def test_a_word_that_begins_in_the_pause_before_it_begins_where_it_was_said() -> None:
    (word,) = clamp_to_speech([heard(1.9, 6.5)], [(0.0, 2.0), (5.5, 8.0)])

    assert (word.start, word.end) == (5.35, 6.5)


def test_soft_onsets_and_endings_are_within_reach() -> None:
    word = heard(0.9, 2.1)

    assert clamp_to_speech([word], [(1.0, 2.0)]) == [word]


def test_a_word_where_nobody_speaks_stays_as_it_is() -> None:
    words = [heard(3.0, 4.0), heard(6.0, 6.0)]

    assert clamp_to_speech(words, [(0.0, 2.0), (5.5, 8.0)]) == words
    assert clamp_to_speech(words, []) == words


ticks = st.integers(0, 400).map(lambda tick: tick / 20)
aligned = st.builds(
    lambda start, length, text: AlignedWord(text, start, start + length, 0.9),
    ticks,
    st.integers(0, 100).map(lambda tick: tick / 20),
    st.sampled_from([" a", " word", " extraordinary"]),
)


@st.composite
def any_utterances(draw: st.DrawFn) -> list[Span]:
    """Return stretches of speech, in order, with a breath or more between them."""
    edges, now = [], draw(st.integers(0, 40))
    for length, pause in draw(st.lists(st.tuples(st.integers(1, 120), st.integers(6, 60)), max_size=5)):
        edges.append((now / 20, (now + length) / 20))
        now += length + pause
    return edges


@given(st.lists(aligned, max_size=10), any_utterances())
def test_clamping_keeps_every_word_inside_itself_and_near_speech(words: list[AlignedWord], spoken: list[Span]) -> None:
    clamped = clamp_to_speech(words, spoken)

    assert len(clamped) == len(words)
    for before, after in zip(words, clamped, strict=True):
        assert replace(after, start=before.start, end=before.end) == before
        assert before.start <= after.start <= after.end <= before.end
        if after != before:
            assert any(first - 0.15 <= after.start < after.end <= last + 0.15 for first, last in spoken)
    assert clamp_to_speech(clamped, spoken) == clamped


@given(st.lists(aligned, max_size=10), any_utterances())
def test_clamping_keeps_words_that_do_not_overlap_in_order(words: list[AlignedWord], spoken: list[Span]) -> None:
    ordered = sorted(words, key=lambda word: word.start)
    apart = [replace(word, end=min(word.end, after.start)) for word, after in pairwise(ordered)] + ordered[-1:]

    clamped = clamp_to_speech(apart, spoken)

    assert all(before.end <= after.start for before, after in pairwise(clamped))


# --- holes ---


def test_where_every_second_has_its_word_nothing_is_missed() -> None:
    words = [heard(number / 2, number / 2 + 0.4) for number in range(20)]

    assert missed(words, [(0.0, 10.0)]) == []
    assert missed([], []) == []


def test_speech_without_any_word_is_missed() -> None:
    assert missed([], [(0.0, 10.0), (12.0, 13.0), (20.0, 21.5)]) == [(0.0, 10.0), (20.0, 21.5)]


def test_a_decoder_that_stops_early_is_noticed() -> None:
    assert missed([heard(0.0, 1.0)], [(0.0, 10.0)]) == [(pytest.approx(1.15), 10.0)]


def test_a_decoder_that_stops_early_and_goes_on_with_the_next_utterance_is_noticed() -> None:
    assert missed([heard(0.0, 1.0), heard(12.0, 13.0)], [(0.0, 10.0), (12.0, 13.0)]) == [(pytest.approx(1.15), 10.0)]


def test_a_decoder_that_jumps_over_a_speaker_is_noticed() -> None:
    assert missed([heard(0.0, 1.0), heard(8.0, 9.0)], [(0.0, 9.0)]) == [(pytest.approx(1.15), pytest.approx(7.85))]


def test_a_word_accounts_for_no_more_than_it_takes_to_say_it() -> None:
    assert missed([heard(0.0, 9.0)], [(0.0, 9.0)]) == [(pytest.approx(1.15), 9.0)]
    assert missed([heard(0.0, 9.0, " extraordinary")], [(0.0, 9.0)]) == [(pytest.approx(2.95), 9.0)]


def test_a_little_speech_without_a_word_is_not_missed() -> None:
    assert missed([heard(0.0, 1.0), heard(2.5, 3.0)], [(0.0, 4.6), (5.0, 6.4)]) == []


@given(st.lists(aligned, max_size=8), any_utterances())
def test_exactly_the_long_stretches_of_speech_without_a_word_are_missed(
    words: list[AlignedWord], spoken: list[Span]
) -> None:
    # Everything lies on a grid of 1/20 s: for every cell of it, whether somebody speaks and no word accounts for it.
    def cells(start: float, end: float) -> range:
        return range(round(start * 20), round(end * 20))

    said = {
        cell
        for word in words
        for cell in cells(word.start - 0.15, min(word.end, word.start + max(0.8, 0.2 * len(word.text))) + 0.15)
    }
    holes = []
    for utterance in spoken:
        for bare, run in groupby(cells(*utterance), key=lambda cell: cell not in said):
            stretch = list(run)
            if bare and len(stretch) >= MISSED_SECONDS * 20:
                holes.append((stretch[0], stretch[-1] + 1))

    found = [(round(start * 20), round(end * 20)) for start, end in missed(words, spoken)]

    # Those of just the limit may be lost to rounding.
    assert [hole for hole in found if hole[1] - hole[0] > 30] == [hole for hole in holes if hole[1] - hole[0] > 30]
    assert set(found) <= set(holes)


# --- the clock ---


def test_lawful_times_stay_as_they_are() -> None:
    lawful = segment((0.0, 0.5), (0.5, 0.5), (0.75, 1.0))
    clock = TimeOrder()

    assert clock.push(lawful) == []
    assert clock.flush(2.0) == [lawful]


def test_a_word_that_reaches_into_the_next_is_cut_back() -> None:
    clock = TimeOrder()
    clock.push(segment((0.0, 3.0), (2.0, 2.5)))

    assert times(clock.flush(10.0)) == [[(0.0, 2.0), (2.0, 2.5)]]


def test_a_stretched_last_word_does_not_push_the_next_segment_away() -> None:
    clock = TimeOrder()
    clock.push(segment((28.0, 29.0), (29.0, 35.0)))
    (before,) = clock.push(segment((30.0, 30.5), (30.5, 31.0)))

    assert times([before]) == [[(28.0, 29.0), (29.0, 30.0)]]
    assert before.end == 30.0
    assert times(clock.flush(60.0)) == [[(30.0, 30.5), (30.5, 31.0)]]


def test_a_word_that_starts_before_the_last_one_starts_with_it() -> None:
    clock = TimeOrder()
    clock.push(segment((4.0, 5.0)))

    assert times(clock.push(segment((3.0, 3.5), (6.0, 7.0)))) == [[(4.0, 4.0)]]
    assert times(clock.flush(60.0)) == [[(4.0, 4.0), (6.0, 7.0)]]


def test_nothing_ends_after_the_recording() -> None:
    clock = TimeOrder()
    clock.push(segment((8.0, 9.0), (9.0, 12.0)))

    (last,) = clock.flush(10.0)

    assert (last.words[-1].end, last.end) == (10.0, 10.0)


def test_a_segment_is_given_out_when_the_next_is_known() -> None:
    clock = TimeOrder()
    given_out = [len(clock.push(segment((float(number), number + 0.5)))) for number in range(3)]

    assert given_out == [0, 1, 1]
    assert len(clock.flush(60.0)) == 1
    assert clock.flush(60.0) == []


moments = st.floats(-10, 60, allow_nan=False)
any_segments = st.lists(st.lists(st.tuples(moments, moments), min_size=1, max_size=5), max_size=8)


@given(any_segments, st.floats(60, 70))
def test_times_never_run_backwards_and_stay_inside(groups: list[list[tuple[float, float]]], limit: float) -> None:
    clock = TimeOrder()
    segments = [segment(*group) for group in groups]
    ordered = [given_out for each in segments for given_out in clock.push(each)] + clock.flush(limit)

    moments = [moment for segment in ordered for word in segment.words for moment in (word.start, word.end)]
    assert [0.0, *moments, limit] == sorted([0.0, *moments, limit])
    for before, after in zip(segments, ordered, strict=True):
        assert [(word.text, word.probability) for word in after.words] == [
            (word.text, word.probability) for word in before.words
        ]
        assert (after.text, after.evidence) == (before.text, before.evidence)
        assert (after.start, after.end) == (after.words[0].start, after.words[-1].end)


@given(any_segments)
def test_ordering_twice_changes_nothing(groups: list[list[tuple[float, float]]]) -> None:
    def order(segments: list[Segment]) -> list[Segment]:
        clock = TimeOrder()
        return [given_out for each in segments for given_out in clock.push(each)] + clock.flush(60.0)

    once = order([segment(*group) for group in groups])

    assert order(once) == once
