from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from services.asr.engine import Segment, Word
from services.asr.word_times import Clock

_times = st.floats(-10, 100, allow_nan=False)
_words = st.builds(Word, text=st.just(" a"), start=_times, end=_times, probability=st.just(0.5))


def _segment(words: list[Word]) -> Segment:
    return Segment(0, 0, "a", tuple(words), 0.5, -0.1, 0.0, 1.0, "en")


@given(st.lists(st.lists(_words, min_size=1, max_size=5), max_size=8), st.floats(0, 60))
def test_times_never_run_backwards_and_stay_inside(groups: list[list[Word]], duration: float) -> None:
    ordered = list(Clock(duration).order(map(_segment, groups)))

    times = [time for segment in ordered for word in segment.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert all(0 <= time <= duration for time in times)
    assert [len(segment.words) for segment in ordered] == [len(words) for words in groups]


def test_lawful_times_stay_as_they_are() -> None:
    words = [Word(" a", 0.0, 0.5, 0.5), Word(" b", 0.5, 0.5, 0.5), Word(" c", 0.75, 1.0, 0.5)]

    (segment,) = Clock(2.0).order([_segment(words)])

    assert segment.words == tuple(words)
    assert (segment.start, segment.end) == (0.0, 1.0)


def test_a_word_that_reaches_into_the_next_is_cut_back() -> None:
    words = [Word(" a", 0.0, 3.0, 0.5), Word(" b", 2.0, 2.5, 0.5)]

    (segment,) = Clock(10.0).order([_segment(words)])

    assert [(word.start, word.end) for word in segment.words] == [(0.0, 2.0), (2.0, 2.5)]


def test_a_stretched_last_word_does_not_push_the_next_segment_away() -> None:
    stretched = [Word(" a", 28.0, 29.0, 0.5), Word(" b", 29.0, 35.0, 0.5)]
    following = [Word(" c", 30.0, 30.5, 0.5), Word(" d", 30.5, 31.0, 0.5)]

    one, other = Clock(60.0).order([_segment(stretched), _segment(following)])

    assert (one.words[1].end, one.end) == (30.0, 30.0)
    assert other.words == tuple(following)


def test_a_segment_is_given_as_soon_as_the_next_is_known() -> None:
    taken: list[int] = []

    def segments() -> Iterator[Segment]:
        for number in range(3):
            taken.append(number)
            yield _segment([Word(" a", float(number), number + 0.5, 0.5)])

    next(Clock(60.0).order(segments()))

    assert taken == [0, 1]
