import sqlite3
from collections.abc import Sequence

import pytest
from sqlalchemy import text

from services.accounts.audit import Audit, verify
from services.accounts.claims import Outcome, Reservation, Work
from services.accounts.ledger import Ledger
from services.accounts.store import Store
from tests.accounts.clock import Clock
from tests.accounts.samples import LEASE, claim, let_in

_NOW = "1794744000.0"


@pytest.fixture
async def places(ledger: Ledger) -> dict[str, Reservation]:
    """Fill the books with something of every kind: 20 credits, 2 spent, 3 reserved."""
    await ledger.grant("acc_1", 25, "bought")
    await ledger.grant("acc_1", -5, "taken back")
    await ledger.grant("acc_2", 5, "bought")
    closed = await let_in(ledger, claim())
    await ledger.settle(closed, seconds=70.0, model="base", delivered=True)
    failed = await ledger.extend(await let_in(ledger, claim()), 3)
    await ledger.give_back(failed, Outcome.FAILED)
    await let_in(ledger, claim("free", Work.SUMMARY))
    await let_in(ledger, claim("free", holder="acc_3"))
    return {"closed": closed, "failed": failed, "open": await ledger.extend(await let_in(ledger, claim()), 3)}


async def tamper(store: Store, *statements: str) -> None:
    """Change the database behind the back of everybody, as who has its password can."""
    guards = ["entries_update", "entries_delete", "entries_replace"] if store.is_sqlite else ["entries_only_append"]
    of = "" if store.is_sqlite else " ON entries"

    async def work(connection: object) -> None:
        for statement in (*(f"DROP TRIGGER {name}{of}" for name in guards), *statements):
            await connection.execute(text(statement))  # type: ignore[attr-defined]

    await store.write(work)


async def test_right_books_have_no_faults(store: Store, clock: Clock, places: dict[str, Reservation]) -> None:
    audit = await verify(store, clock())

    assert audit == Audit(purses=4, entries=13, running=3, spent=2, faults=[])


async def test_no_books_are_right(store: Store, clock: Clock) -> None:
    assert await verify(store, clock()) == Audit(0, 0, 0, 0, [])


@pytest.mark.parametrize(
    ("statements", "complaints"),
    [
        (["UPDATE purses SET available = available + 1 WHERE holder = 'acc_2'"], ["acc_2: 6 available"]),
        (["UPDATE purses SET spent = 0 WHERE holder = 'acc_1'"], ["acc_1: 0 spent, and its entries make 2"]),
        (["UPDATE purses SET reserved = 0 WHERE holder = 'acc_1'"], ["acc_1: 0 reserved", "what runs has reserved 3"]),
        (["DELETE FROM purses WHERE holder = 'acc_2'"], ["acc_2: 0 available, and its entries make 5"]),
        (["INSERT INTO purses VALUES ('acc_9', '2026-11', 7, 0, 0)"], ["acc_9 2026-11: 7 available"]),
        (
            ["UPDATE reservations SET charged = 1 WHERE id = '{closed}'"],
            ["{closed} of acc_1: 0 reserved and 1 charged"],
        ),
        (
            ["UPDATE reservations SET reserved = 2 WHERE id = '{open}'"],
            ["what runs has reserved 2", "{open} of acc_1: 2"],
        ),
        (
            ["UPDATE reservations SET state = 'closed', outcome = 'answered' WHERE id = '{open}'"],
            ["3 reserved, and what runs has reserved 0"],
        ),
        (["UPDATE reservations SET holder = 'acc_2' WHERE id = '{open}'"], ["acc_2: 0 reserved", "no such request"]),
        (["UPDATE reservations SET period = '2026-11' WHERE id = '{closed}'"], ["{closed} of acc_1: 0 reserved and 2"]),
        (
            ["UPDATE reservations SET state = 'open' WHERE id = '{closed}'"],
            ["{closed} of acc_1 is open, and its outcome"],
        ),
        (["UPDATE reservations SET outcome = '' WHERE id = '{closed}'"], ["is closed, and its outcome is not known"]),
        (["UPDATE reservations SET lease_until = " + _NOW + " - 7 WHERE id = '{open}'"], ["its lease ended 7 s ago"]),
        (["UPDATE entries SET amount = 50 WHERE kind = 'grant' AND holder = 'acc_2'"], ["its entries make 50"]),
        (["DELETE FROM entries WHERE kind = 'charge'"], ["2 spent, and its entries make 0", "2 charged"]),
        (["UPDATE entries SET credit = 'available' WHERE kind = 'charge'"], ["charge from reserved to available"]),
        (["UPDATE entries SET kind = 'gift' WHERE kind = 'withdrawal'"], ["gift from available to issued"]),
        (
            ["UPDATE entries SET kind = 'gift', credit = 'free' WHERE kind = 'release'"],
            ["gift from reserved to free", "15 available, and its entries make 12"],
        ),
        (
            [
                "UPDATE entries SET holder = 'acc_2' WHERE kind = 'grant' AND amount = 25",
                "UPDATE purses SET available = available - 5 WHERE holder = 'acc_2'",
            ],
            ["acc_1: 15 available, and its entries make -10"],
        ),
        (
            # All sums are right: a charge of nobody.
            [
                "INSERT INTO entries (id, at, holder, period, kind, debit, credit, amount) "
                "VALUES (99, 0, 'acc_2', '', 'reserve', 'available', 'reserved', 1), "
                "(100, 0, 'acc_2', '', 'charge', 'reserved', 'spent', 1)",
                "UPDATE purses SET available = available - 1, spent = 1 WHERE holder = 'acc_2'",
            ],
            ["entry 99: reserve from available to reserved of no request", "entry 100: charge"],
        ),
        (
            # All sums of purses are right: one pays for what another one has used.
            [
                "UPDATE entries SET holder = 'acc_2' WHERE reservation_id = '{closed}'",
                "UPDATE purses SET available = available + 2, spent = 0 WHERE holder = 'acc_1'",
                "UPDATE purses SET available = available - 2, spent = 2 WHERE holder = 'acc_2'",
            ],
            ["{closed} of acc_1: 0 reserved and 2 charged, and its entries make 0 and 0", "acc_2: entries of {closed}"],
        ),
    ],
)
async def test_whatever_is_changed_by_hand_is_found(
    store: Store,
    clock: Clock,
    places: dict[str, Reservation],
    statements: Sequence[str],
    complaints: Sequence[str],
) -> None:
    ids = {name: place.id for name, place in places.items()}
    await tamper(store, *(statement.format(**ids) for statement in statements))

    faults = (await verify(store, clock())).faults

    for complaint in complaints:
        assert any(complaint.format(**ids) in fault for fault in faults), faults


async def test_a_request_that_was_taken_away_is_missed(sqlite_database: str, clock: Clock) -> None:
    store = Store(sqlite_database)
    ledger = Ledger(store, edge="edge_1", lease_seconds=LEASE, clock=clock)
    await ledger.grant("acc_1", 5, "bought")
    place = await let_in(ledger, claim())
    await ledger.settle(place, seconds=10.0, model="base", delivered=True)
    # Without the foreign keys that our own connections hold.
    direct = sqlite3.connect(str(store.url.database))
    direct.execute("DELETE FROM reservations")
    direct.commit()
    direct.close()

    faults = (await verify(store, clock())).faults

    assert faults == [f"acc_1: entries of {place.id}, and there is no such request of this purse"]
    await store.close()


async def test_a_lease_that_has_ended_is_a_fault_until_it_is_reaped(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock
) -> None:
    await ledger.grant("acc_1", 5, "bought")
    await let_in(ledger, claim())
    clock.move(LEASE)

    assert len((await verify(store, clock())).faults) == 1
    await other_edge.reap()
    assert (await verify(store, clock())).faults == []
