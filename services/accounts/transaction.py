"""A transaction of the ledger: a holder locked, his purses read once, changed in memory, and written once."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from services.accounts.books import About, Kind, Purse
from services.accounts.tables import ENTRIES, PURSES, RESERVATIONS


class Transaction:
    """One transaction on a holder's purses: read once, changed in memory, written once.

    Args:
        connection: in a transaction, with the holder locked; see `of`.
        holder: whose purses.
        now: when, in seconds since 1970.
    """

    def __init__(self, connection: AsyncConnection, holder: str, now: float) -> None:
        self.connection = connection
        self.now = now
        self._holder = holder
        self._purses: dict[str, Purse] = {}

    @classmethod
    async def of(cls, connection: AsyncConnection, holder: str, clock: Callable[[], float]) -> "Transaction":
        """Lock the holder, and begin.

        Args:
            connection: in a transaction.
            holder: whose purses.
            clock: tells the time, in seconds since 1970.
        """
        await _lock(connection, holder)
        # Only now: a lease does not run while its request waits for the lock.
        return cls(connection, holder, clock())

    async def purse(self, period: str) -> Purse:
        """Return the holder's purse of a period, with what was moved in it; empty where there is none yet."""
        if period not in self._purses:
            self._purses[period] = await load_purse(self.connection, self._holder, period)
        return self._purses[period]

    def put(self, purse: Purse) -> None:
        """Take a purse as it is after some moves."""
        self._purses[purse.period] = purse

    async def move(self, period: str, kind: Kind, amount: int, about: About) -> None:
        """Move an amount in the purse of a period; raises `books.NotEnough`."""
        self.put((await self.purse(period)).move(kind, amount, about))

    async def row(self, reservation_id: str) -> Any:
        """Return the row of a reservation, which is there, locked."""
        # `Ledger.deliver` changes it without the holder's lock.
        statement = select(RESERVATIONS).where(RESERVATIONS.c.id == reservation_id).with_for_update()
        return (await self.connection.execute(statement)).one()

    async def change(self, reservation_id: str, **values: Any) -> None:
        """Change columns of a reservation."""
        await self.connection.execute(update(RESERVATIONS).where(RESERVATIONS.c.id == reservation_id).values(**values))

    async def write(self) -> None:
        """Write the entries, and the purses as they are after them."""
        entries = []
        for period, purse in self._purses.items():
            if not purse.moves:
                continue
            books = {"available": purse.available, "reserved": purse.reserved, "spent": purse.spent}
            statement = _insert(self.connection, PURSES).values(holder=self._holder, period=period, **books)
            await self.connection.execute(
                statement.on_conflict_do_update(index_elements=["holder", "period"], set_=books)
            )
            entries += [
                {
                    "at": self.now,
                    "holder": self._holder,
                    "period": period,
                    "kind": move.kind,
                    "debit": move.debit,
                    "credit": move.credit,
                    "amount": move.amount,
                    **vars(move.about),
                }
                for move in purse.moves
            ]
            self._purses[period] = replace(purse, moves=())
        if entries:
            await self.connection.execute(insert(ENTRIES), entries)


async def load_purse(connection: AsyncConnection, holder: str, period: str) -> Purse:
    """Return a purse as it is written; empty where there is none yet."""
    statement = select(PURSES).where(PURSES.c.holder == holder, PURSES.c.period == period)
    row = (await connection.execute(statement)).first()
    if row is None:
        return Purse(holder, period)
    return Purse(holder, period, row.available, row.reserved, row.spent)


async def live_rows(connection: AsyncConnection, holder: str) -> Sequence[Any]:
    """Return the rows of the reservations of a holder that are not closed."""
    statement = select(RESERVATIONS).where(RESERVATIONS.c.holder == holder, RESERVATIONS.c.state != "closed")
    return await rows_of(connection, statement)


async def rows_of(connection: AsyncConnection, statement: Any) -> Sequence[Any]:
    """Return all rows that a statement finds."""
    return (await connection.execute(statement)).all()


async def _lock(connection: AsyncConnection, holder: str) -> None:
    statement = select(PURSES.c.holder).where(PURSES.c.holder == holder, PURSES.c.period == "").with_for_update()
    if (await connection.execute(statement)).first() is None:
        empty = _insert(connection, PURSES).values(holder=holder, period="", available=0, reserved=0, spent=0)
        await connection.execute(empty.on_conflict_do_nothing())
        await connection.execute(statement)


def _insert(connection: AsyncConnection, table: Any) -> Any:
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)
