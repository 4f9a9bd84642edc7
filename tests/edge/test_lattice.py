from itertools import product
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.lattice import Change, likeliest, marginals

FREE, DEAR = Change(1.0, 1.0), Change(0.01, 0.01)


def weight_between(one: int, other: int, change: Change, last: int) -> float:
    if one == other:
        return 1.0
    return change.last if last in (one, other) else change.among


def weight_of(path: tuple[int, ...], columns: list[list[float]], changes: list[Change]) -> float:
    last = len(columns[0]) - 1
    between = (weight_between(*pair, change, last) for *pair, change in zip(path, path[1:], changes, strict=False))
    return prod(column[state] for column, state in zip(columns, path, strict=True)) * prod(between)


def test_no_columns_have_no_path() -> None:
    assert likeliest([], []) == []
    assert marginals([], []) == []


def test_one_column_goes_to_its_heaviest_state() -> None:
    assert likeliest([[0.1, 0.7, 0.2]], []) == [1]
    assert marginals([[1.0, 7.0, 2.0]], []) == [pytest.approx([0.1, 0.7, 0.2])]


def test_what_a_change_weighs_decides_over_a_little_evidence() -> None:
    columns = [[0.9, 0.1, 0.0], [0.3, 0.7, 0.0], [0.9, 0.1, 0.0]]
    assert likeliest(columns, [DEAR, DEAR]) == [0, 0, 0]
    assert likeliest(columns, [FREE, FREE]) == [0, 1, 0]


def test_the_last_state_is_entered_at_its_own_price() -> None:
    columns = [[0.9, 0.1, 0.1], [0.1, 0.1, 0.8]]
    assert likeliest(columns, [Change(1.0, 0.01)]) == [0, 0]
    assert likeliest(columns, [Change(0.01, 1.0)]) == [0, 2]


def test_a_state_that_weighs_nothing_is_not_taken() -> None:
    assert likeliest([[0.1, 0.1, 0.9], [0.1, 0.1, 0.0]], [DEAR]) == [0, 0]


def test_of_equal_paths_it_takes_the_one_without_changes() -> None:
    assert likeliest([[1.0, 1.0, 0.0]] * 4, [FREE] * 3) == [0, 0, 0, 0]


def test_an_even_chance_is_a_half() -> None:
    assert marginals([[0.5, 0.5, 0.0]] * 3, [DEAR] * 2)[1] == pytest.approx([0.5, 0.5, 0.0])


def test_thousands_of_columns_do_not_vanish() -> None:
    chances = marginals([[1e-3, 1e-6, 0.0]] * 5_000, [DEAR] * 4_999)
    assert chances[2_500][0] == pytest.approx(1.0, abs=1e-3)


weights = st.floats(0.01, 1.0)
changes = st.builds(Change, weights, weights)
lattices = st.tuples(st.integers(2, 4), st.integers(1, 4)).flatmap(
    lambda size: st.tuples(
        st.lists(st.lists(weights, min_size=size[0], max_size=size[0]), min_size=size[1], max_size=size[1]),
        st.lists(changes, min_size=size[1] - 1, max_size=size[1] - 1),
    )
)


@given(lattices)
def test_both_agree_with_all_paths_weighed_one_by_one(lattice: tuple[list[list[float]], list[Change]]) -> None:
    columns, between = lattice
    paths = {path: weight_of(path, columns, between) for path in product(range(len(columns[0])), repeat=len(columns))}
    assert paths[tuple(likeliest(columns, between))] == pytest.approx(max(paths.values()))
    total = sum(paths.values())
    for position, chances in enumerate(marginals(columns, between)):
        for state, chance in enumerate(chances):
            through = sum(weight for path, weight in paths.items() if path[position] == state)
            assert chance == pytest.approx(through / total)
