"""The proof of the books: what must be true of them at every moment, looked at in one state of the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Subquery, and_, case, func, not_, or_, select
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

    def as_json(self) -> dict[str, Any]:
        """Return it for JSON, with whether the books are proven to be right."""
        return {**vars(self), "proven": not self.faults}


async def verify(store: Store, now: float) -> Audit:
    """Prove the books of `store` as they are at `now`, in seconds since 1970.

    Raises:
        MeshError: UNAVAILABLE when the database cannot be reached.
    """

    async def work(connection: AsyncConnection) -> Audit:
        live = (await connection.execute(select(RESERVATIONS).where(RESERVATIONS.c.state != "closed"))).all()
        faults = [
            *await _wrong_purses(connection),
            *await _wrong_reserved(connection, live),
            *_dead(live, now),
            *await _wrong_kinds(connection),
            *await _wrong_reservations(connection),
        ]
        purses, spent = (await connection.execute(select(func.count(), func.sum(PURSES.c.spent)))).one()
        entries = await connection.scalar(select(func.count()).select_from(ENTRIES))
        return Audit(purses, entries or 0, len(live), int(spent or 0), faults)

    return await store.read(work)


def _sums(*group: ColumnElement[Any]) -> Subquery:
    """Return the statement of what the entries of each group have brought to each book."""
    columns = [
        func.sum(
            case((ENTRIES.c.credit == book, ENTRIES.c.amount), (ENTRIES.c.debit == book, -ENTRIES.c.amount), else_=0)
        ).label(book.value)
        for book in _BOOKS_OF_A_PURSE
    ]
    return select(*group, *columns).group_by(*group).subquery()


async def _wrong_purses(connection: AsyncConnection) -> list[str]:
    # Compared where they lie: there may be more than fit here.
    sums = _sums(ENTRIES.c.holder, ENTRIES.c.period)
    proven = [func.coalesce(sums.c[book], 0).label(f"proven_{book}") for book in _BOOKS_OF_A_PURSE]
    same = and_(sums.c.holder == PURSES.c.holder, sums.c.period == PURSES.c.period)
    differing = or_(*(PURSES.c[book] != func.coalesce(sums.c[book], 0) for book in _BOOKS_OF_A_PURSE))
    wrong = select(PURSES, *proven).outerjoin(sums, same).where(differing)
    rows = (await connection.execute(wrong.order_by(PURSES.c.holder, PURSES.c.period))).all()
    faults = [
        f"{_purse(row)}: {getattr(row, book)} {book}, and its entries make {getattr(row, f'proven_{book}')}"
        for row in rows
        for book in _BOOKS_OF_A_PURSE
        if getattr(row, book) != getattr(row, f"proven_{book}")
    ]
    missing = select(sums).outerjoin(PURSES, same).where(PURSES.c.holder.is_(None))
    faults += [
        f"{_purse(row)}: 0 {book}, and its entries make {getattr(row, book)}"
        for row in await connection.execute(missing)
        for book in _BOOKS_OF_A_PURSE
        if getattr(row, book)
    ]
    return faults


async def _wrong_reserved(connection: AsyncConnection, live: Sequence[Any]) -> list[str]:
    running: dict[tuple[str, str], int] = {}
    for row in live:
        running[row.holder, row.period] = running.get((row.holder, row.period), 0) + row.reserved
    reserving = await connection.execute(select(PURSES).where(PURSES.c.reserved > 0))
    said = {(row.holder, row.period): row.reserved for row in reserving}
    return [
        f"{' '.join(name).strip()}: {said.get(name, 0)} reserved, and what runs has reserved {running.get(name, 0)}"
        for name in sorted(said.keys() | running.keys())
        if said.get(name, 0) != running.get(name, 0)
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
    sums = _sums(ENTRIES.c.reservation_id, ENTRIES.c.holder, ENTRIES.c.period)
    reserved, charged = (func.coalesce(sums.c[book], 0) for book in (Book.RESERVED, Book.SPENT))
    same = and_(
        sums.c.reservation_id == RESERVATIONS.c.id,
        sums.c.holder == RESERVATIONS.c.holder,
        sums.c.period == RESERVATIONS.c.period,
    )
    differing = or_(RESERVATIONS.c.reserved != reserved, RESERVATIONS.c.charged != charged)
    proven = (reserved.label("proven_reserved"), charged.label("proven_charged"))
    rows = await connection.execute(select(RESERVATIONS, *proven).outerjoin(sums, same).where(differing))
    faults = [
        f"{row.id} of {row.holder}: {row.reserved} reserved and {row.charged} charged, and its entries make "
        f"{row.proven_reserved} and {row.proven_charged}"
        for row in rows
    ]
    contradicting = (RESERVATIONS.c.state == "closed") == (RESERVATIONS.c.outcome == "")
    faults += [
        f"{row.id} of {row.holder} is {row.state}, and its outcome is {row.outcome or 'not known'}"
        for row in await connection.execute(select(RESERVATIONS).where(contradicting))
    ]
    unknown = and_(RESERVATIONS.c.id.is_(None), sums.c.reservation_id.is_not(None))
    faults += [
        f"{_purse(row)}: entries of {row.reservation_id}, and there is no such request of this purse"
        for row in await connection.execute(select(sums).outerjoin(RESERVATIONS, same).where(unknown))
    ]
    return faults


def _purse(row: Any) -> str:
    return f"{row.holder} {row.period}".strip()
