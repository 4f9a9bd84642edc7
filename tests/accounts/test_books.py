from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.accounts.books import BOOKS, About, Book, Kind, NotEnough, Purse
from services.accounts.plans import Plan
from tests.accounts.samples import PLANS, allowing

changes = st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 20)), max_size=40)
plans = st.one_of(
    st.sampled_from([PLANS.get("paid"), PLANS.get("unlimited")]),
    st.integers(0, 30).map(lambda amount: allowing("free", amount=amount)),
)


def after(made: list[tuple[Kind, int]]) -> Purse:
    purse = Purse("acc_1", "")
    for kind, amount in made:
        try:
            purse = purse.move(kind, amount, About())
        except NotEnough:
            continue
    return purse


def from_entries(purse: Purse) -> Counter[Book]:
    sums: Counter[Book] = Counter()
    for move in purse.moves:
        sums[move.debit] -= move.amount
        sums[move.credit] += move.amount
    return sums


@given(changes)
def test_the_books_are_what_the_entries_make_and_add_up_to_nothing(made: list[tuple[Kind, int]]) -> None:
    purse = after(made)

    sums = from_entries(purse)
    assert sum(sums.values()) == 0
    assert (sums[Book.AVAILABLE], sums[Book.RESERVED], sums[Book.SPENT]) == (
        purse.available,
        purse.reserved,
        purse.spent,
    )
    assert purse.issued == -sums[Book.ISSUED]
    assert min(purse.available, purse.reserved, purse.spent) >= 0


@given(changes, st.sampled_from(Kind), st.integers(1, 100))
def test_nothing_is_moved_that_a_book_does_not_hold(made: list[tuple[Kind, int]], kind: Kind, amount: int) -> None:
    purse = after(made)
    debit = BOOKS[kind][0]
    holds = amount if debit is Book.ISSUED else getattr(purse, debit)

    if holds >= amount:
        assert purse.move(kind, amount, About()).moves[:-1] == purse.moves
    else:
        with pytest.raises(NotEnough):
            purse.move(kind, amount, About())


def test_moving_nothing_is_no_entry() -> None:
    assert Purse("acc_1", "").move(Kind.RESERVE, 0, About()).moves == ()


def test_every_kind_moves_between_two_books() -> None:
    assert set(BOOKS) == set(Kind)
    assert all(debit is not credit for debit, credit in BOOKS.values())


@given(changes, plans)
def test_an_allotment_is_made_once(made: list[tuple[Kind, int]], plan: Plan) -> None:
    once = after(made).allotted(plan)

    assert once.allotted(plan) == once


@given(changes, st.integers(0, 30))
def test_an_allowance_is_put_in_whole_and_what_is_too_much_goes_as_far_as_it_is_there(
    made: list[tuple[Kind, int]], amount: int
) -> None:
    before = after(made)

    purse = before.allotted(allowing("free", amount=amount))

    assert purse.issued == max(amount, before.issued - before.available)
    assert (purse.reserved, purse.spent) == (before.reserved, before.spent)


@given(changes, st.integers(0, 30))
def test_an_open_purse_holds_what_is_needed(made: list[tuple[Kind, int]], needed: int) -> None:
    before = after(made)

    purse = before.allotted(PLANS.get("unlimited"), needed)

    assert purse.available == max(before.available, needed)


@given(changes)
def test_credits_come_from_nowhere_by_themselves(made: list[tuple[Kind, int]]) -> None:
    purse = after(made)

    assert purse.allotted(PLANS.get("paid"), 10) == purse
