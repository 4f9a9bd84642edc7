import asyncio

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.accounts.books import About, Kind, NotEnough, Purse
from services.accounts.store import Store
from services.accounts.tables import PURSES
from services.accounts.transaction import Transaction, live_rows, load_purse, rows_of
from tests.accounts.clock import Clock
from tests.accounts.samples import entries

BOUGHT = About(note="bought")


async def given(store: Store, clock: Clock, amount: int, period: str = "") -> Purse:
    """Put an amount into a purse in a transaction of its own; return the purse after it."""

    async def work(connection: AsyncConnection) -> Purse:
        transaction = await Transaction.of(connection, "acc_1", clock)
        await transaction.move(period, Kind.GRANT, amount, BOUGHT)
        await transaction.write()
        return await transaction.purse(period)

    return await store.write(work)


async def test_what_is_moved_is_written_with_its_entry(store: Store, clock: Clock) -> None:
    assert await given(store, clock, 5) == Purse("acc_1", "", available=5)
    assert await given(store, clock, 2) == Purse("acc_1", "", available=7)

    assert await store.read(lambda connection: load_purse(connection, "acc_1", "")) == Purse("acc_1", "", available=7)
    written = await entries(store)
    assert [(entry.kind, entry.amount, entry.note, entry.at) for entry in written] == [
        ("grant", 5, "bought", clock()),
        ("grant", 2, "bought", clock()),
    ]


async def test_a_purse_of_another_period_is_another_purse(store: Store, clock: Clock) -> None:
    await given(store, clock, 5, "2026-11")

    purses = await store.read(lambda connection: rows_of(connection, select(PURSES).order_by(PURSES.c.period)))
    # The one of no period is what a holder is locked by.
    assert [(row.period, row.available) for row in purses] == [("", 0), ("2026-11", 5)]


async def test_what_is_not_there_cannot_be_moved_and_nothing_is_written(store: Store, clock: Clock) -> None:
    async def work(connection: AsyncConnection) -> None:
        transaction = await Transaction.of(connection, "acc_1", clock)
        await transaction.move("", Kind.GRANT, 1, BOUGHT)
        await transaction.move("", Kind.RESERVE, 2, About())

    with pytest.raises(NotEnough):
        await store.write(work)
    assert await entries(store) == []


async def test_transactions_of_one_holder_come_one_after_the_other(store: Store, database: str, clock: Clock) -> None:
    other = Store(database)

    await asyncio.gather(*(given(each, clock, 1) for each in (store, other) * 20))
    await other.close()

    assert (await store.read(lambda connection: load_purse(connection, "acc_1", ""))).available == 40


async def test_a_holder_of_whom_nothing_is_known_has_an_empty_purse_and_nothing_that_runs(store: Store) -> None:
    assert await store.read(lambda connection: load_purse(connection, "acc_0", "")) == Purse("acc_0", "")
    assert await store.read(lambda connection: live_rows(connection, "acc_0")) == []
