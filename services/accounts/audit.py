"""The proof of the books: what must be true of them at every moment, looked at in one state of the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, func, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.accounts.books import BOOKS, Book, Kind
from services.accounts.store import Store
from services.accounts.tables import ENTRIES, PURSES, RESERVATIONS

_BOOKS_OF_A_PURSE = (Book.AVAILABLE, Book.RESERVED, Book.SPENT)
_OF_A_REQUEST = (Kind.RESERVE, Kind.CHARGE, Kind.RELEASE, Kind.REFUND)


@dataclass(frozen=True)
class Audit:
    """What was looked at, and what is wrong."""

    purses: int
    entries: int
    running: int
    """Reservations that are not closed."""
    spent: int
    """In all purses, minutes and uses alike."""
    faults: Sequence[str]
    """A sentence for each; none when the books are right."""


async def verify(store: Store, now: float) -> Audit:
    """Prove the books of `store` as they are at `now`, in seconds since 1970.

    Raises:
        MeshError: UNAVAILABLE when the database cannot be reached.
    """
    async with store.read() as connection:
        purses = {(row.holder, row.period): row for row in await connection.execute(select(PURSES))}
        sums = await _sums(connection, ENTRIES.c.holder, ENTRIES.c.period)
        live = (await connection.execute(select(RESERVATIONS).where(RESERVATIONS.c.state != "closed"))).all()
        faults = [
            *_wrong_purses(purses, sums),
            *_wrong_reserved(purses, live),
            *_dead(live, now),
            *await _wrong_kinds(connection),
            *await _wrong_reservations(connection),
        ]
        entries = await connection.scalar(select(func.count()).select_from(ENTRIES))
    return Audit(len(purses), entries or 0, len(live), sum(row.spent for row in purses.values()), faults)


async def _sums(connection: AsyncConnection, *group: Any) -> dict[tuple[Any, ...], dict[Book, int]]:
    """Return what the entries of each group have brought to each book."""
    columns = [
        func.coalesce(
            func.sum(
                case(
                    (ENTRIES.c.credit == book, ENTRIES.c.amount), (ENTRIES.c.debit == book, -ENTRIES.c.amount), else_=0
                )
            ),
            0,
        ).label(book.value)
        for book in _BOOKS_OF_A_PURSE
    ]
    rows = await connection.execute(select(*group, *columns).group_by(*group))
    return {tuple(row[: len(group)]): {book: int(getattr(row, book)) for book in _BOOKS_OF_A_PURSE} for row in rows}


def _wrong_purses(purses: dict[Any, Any], sums: dict[Any, dict[Book, int]]) -> list[str]:
    faults = []
    for name in sorted(purses.keys() | sums.keys()):
        for book in _BOOKS_OF_A_PURSE:
            said = getattr(purses[name], book) if name in purses else 0
            proven = sums.get(name, {}).get(book, 0)
            if said != proven:
                faults.append(f"{_purse(name)}: {said} {book}, and its entries make {proven}")
    return faults


def _wrong_reserved(purses: dict[Any, Any], live: Sequence[Any]) -> list[str]:
    running: dict[Any, int] = {}
    for row in live:
        running[row.holder, row.period] = running.get((row.holder, row.period), 0) + row.reserved
    return [
        f"{_purse(name)}: {row.reserved} reserved, and what runs has reserved {running.get(name, 0)}"
        for name, row in sorted(purses.items())
        if row.reserved != running.get(name, 0)
    ]


def _dead(live: Sequence[Any], now: float) -> list[str]:
    return [
        f"{row.id} of {row.holder} is {row.state}, and its lease ended {now - row.lease_until:.0f} s ago"
        for row in live
        if row.lease_until <= now
    ]


async def _wrong_kinds(connection: AsyncConnection) -> list[str]:
    """Return the entries that move what no kind moves, or of a request without saying which one."""
    kind, debit, credit = ENTRIES.c.kind, ENTRIES.c.debit, ENTRIES.c.credit
    known = or_(*(and_(kind == each, debit == books[0], credit == books[1]) for each, books in BOOKS.items()))
    nameless = and_(kind.in_(_OF_A_REQUEST), ENTRIES.c.reservation_id.is_(None))
    rows = await connection.execute(
        select(ENTRIES.c.id, kind, debit, credit, ENTRIES.c.reservation_id).where(or_(not_(known), nameless))
    )
    return [
        f"entry {row.id}: {row.kind} from {row.debit} to {row.credit} of {row.reservation_id or 'no request'}"
        for row in rows.all()
    ]


async def _wrong_reservations(connection: AsyncConnection) -> list[str]:
    """Return what reservations say of themselves that their entries, in the same purse, do not."""
    sums = await _sums(connection, ENTRIES.c.reservation_id, ENTRIES.c.holder, ENTRIES.c.period)
    faults = []
    for row in await connection.execute(select(RESERVATIONS)):
        proven = sums.pop((row.id, row.holder, row.period), dict.fromkeys(_BOOKS_OF_A_PURSE, 0))
        if (row.reserved, row.charged) != (proven[Book.RESERVED], proven[Book.SPENT]):
            faults.append(
                f"{row.id} of {row.holder}: {row.reserved} reserved and {row.charged} charged, and its entries make "
                f"{proven[Book.RESERVED]} and {proven[Book.SPENT]}"
            )
        if (row.state == "closed") != bool(row.outcome):
            faults.append(f"{row.id} of {row.holder} is {row.state}, and its outcome is {row.outcome or 'not known'}")
    faults += [
        f"{_purse((holder, period))}: entries of {reservation_id}, and there is no such request of this purse"
        for reservation_id, holder, period in sums
        if reservation_id is not None
    ]
    return faults


def _purse(name: tuple[str, str]) -> str:
    holder, period = name
    return f"{holder} {period}".strip()
