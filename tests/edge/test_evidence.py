import pytest

from services.edge.evidence import Evidence, Region, regions_of, spoken_spans, weigh
from services.edge.transcript import Activity, Turn, Word


def evidence_of(
    start: float, end: float, turns: list[Turn], exclusive: list[Turn] | None = None, activity: Activity | None = None
) -> Evidence:
    (evidence,) = weigh([Word(" so", start, end, 0.9)], [(start, end)], turns, exclusive or [], activity)
    return evidence


def constant(*levels: int, seconds: float = 10.0) -> Activity:
    """Return an activity with a row for each level, which it holds all the time."""
    return Activity(0.05, tuple(bytes([level]) * round(seconds / 0.05) for level in levels))


def test_turns_become_disjoint_regions() -> None:
    turns = [Turn(0.0, 2.0, 0), Turn(1.0, 3.0, 1), Turn(5.0, 5.0, 2)]
    assert regions_of(turns) == [
        Region(0.0, 1.0, frozenset({0})),
        Region(1.0, 2.0, frozenset({0, 1})),
        Region(2.0, 3.0, frozenset({1})),
    ]


def test_a_word_inside_a_turn_is_wholly_its_speakers() -> None:
    assert evidence_of(1.0, 1.4, [Turn(0.0, 3.0, 4)]) == Evidence({4: pytest.approx(1.0)}, near=True, overlap=False)


def test_a_word_far_from_all_turns_has_nobody_near() -> None:
    assert evidence_of(5.0, 5.3, [Turn(0.0, 3.0, 0)]) == Evidence({}, near=False, overlap=False)


def test_a_word_beside_a_turn_is_supported_a_little() -> None:
    beside = evidence_of(3.1, 3.4, [Turn(0.0, 3.0, 0)])
    farther = evidence_of(3.4, 3.7, [Turn(0.0, 3.0, 0)])
    assert 0.5 > beside.support[0] > 0.05
    assert farther.near
    assert farther.support[0] > 0.05


def test_a_word_over_a_boundary_is_supported_for_both() -> None:
    support = evidence_of(0.9, 1.1, [Turn(0.0, 1.0, 0), Turn(1.0, 2.0, 1)]).support
    assert support == {0: pytest.approx(0.5), 1: pytest.approx(0.5)}


def test_within_an_overlap_the_exclusive_turns_prefer_the_stronger() -> None:
    both = [Turn(0.0, 3.0, 0), Turn(0.0, 3.0, 1)]
    support = evidence_of(1.0, 1.4, both, [Turn(0.0, 3.0, 1)]).support
    assert support == {0: pytest.approx(0.5), 1: pytest.approx(1.0)}


@pytest.mark.parametrize(("until", "overlap"), [(1.1, False), (1.25, True)])
def test_a_word_is_overlapped_where_several_speak_in_half_of_it(until: float, overlap: bool) -> None:
    turns = [Turn(0.0, 3.0, 0), Turn(0.0, until, 1), Turn(0.0, until, 2)]
    assert evidence_of(1.0, 1.4, turns, [Turn(0.0, 3.0, 0)]).overlap is overlap


def test_activity_weighs_as_much_as_both_sorts_of_turns() -> None:
    support = evidence_of(1.0, 1.4, [Turn(0.0, 3.0, 0)], activity=constant(0, 255)).support
    assert support == {0: pytest.approx(0.5)}
    turns = [Turn(0.0, 3.0, 0), Turn(5.0, 6.0, 1)]
    support = evidence_of(1.0, 1.4, turns, activity=constant(51, 204)).support
    assert support == {0: pytest.approx(0.6), 1: pytest.approx(0.4)}


def test_activity_is_looked_up_in_the_frames_of_the_word() -> None:
    turns = [Turn(0.0, 2.0, 0), Turn(2.0, 4.0, 1)]
    activity = Activity(0.05, (bytes([255] * 40 + [0] * 40), bytes([0] * 40 + [255] * 40)))
    assert evidence_of(1.0, 1.4, turns, activity=activity).support[0] == pytest.approx(1.0)
    assert evidence_of(3.0, 3.4, turns, activity=activity).support[1] == pytest.approx(1.0)


@pytest.mark.parametrize("activity", [Activity(0.05, ()), Activity(0.05, (b"",)), constant(255, seconds=0.5)])
def test_activity_that_ends_too_soon_says_nothing(activity: Activity) -> None:
    assert evidence_of(2.0, 2.4, [Turn(0.0, 3.0, 0)], activity=activity).support[0] == pytest.approx(0.5)


def test_a_stretched_word_is_looked_up_where_it_was_spoken() -> None:
    words = [
        Word(" I", 0.0, 0.3, 0.9),
        Word(" see.", 0.3, 5.0, 0.9),
        Word(" Well", 5.0, 9.0, 0.9),
        Word(" so", 9.0, 9.3, 0.9),
    ]
    spans = spoken_spans(words, [False, True, False, True])
    assert spans == [(0.0, 0.3), (0.3, pytest.approx(1.0)), (pytest.approx(8.3), 9.0), (9.0, 9.3)]


def test_a_word_without_length_is_looked_up_all_the_same() -> None:
    assert evidence_of(1.0, 1.02, [Turn(0.0, 3.0, 0)]).support == {0: pytest.approx(1.0)}
    assert spoken_spans([Word(" a", 1.0, 1.0, 0.9)], [True]) == [(1.0, 1.02)]
