"""What an account has used: by day, and request by request."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select

from services.accounts.store import Store
from services.accounts.tables import RESERVATIONS

MOST_DAYS = 366
MOST_REQUESTS = 1000


@dataclass(frozen=True)
class RequestUsage:
    """One request."""

    id: str
    request_id: str
    work: str
    key_id: str | None
    model: str | None
    seconds: float | None
    """Of audio; None where it was not done, or needs none."""
    unit: str
    charged: int
    """In the unit."""
    outcome: str
    """One of `ledger.Outcome`, or `running`."""
    opened_at: float
    closed_at: float | None


@dataclass(frozen=True)
class DayUsage:
    """One day in UTC."""

    day: str
    requests: int
    seconds: float
    charged: int


async def by_request(store: Store, holder: str, *, since: float, until: float, limit: int) -> Sequence[RequestUsage]:
    """Return a holder's requests that began from `since` to before `until`, the newest first, up to `limit`."""
    statement = (
        select(RESERVATIONS)
        .where(RESERVATIONS.c.holder == holder, RESERVATIONS.c.opened_at >= since, RESERVATIONS.c.opened_at < until)
        .order_by(RESERVATIONS.c.opened_at.desc(), RESERVATIONS.c.id)
        .limit(limit)
    )
    async with store.read() as connection:
        rows = (await connection.execute(statement)).all()
    return [
        RequestUsage(
            row.id,
            row.request_id,
            row.work,
            row.key_id,
            row.model,
            row.seconds,
            row.unit,
            row.charged,
            row.outcome or ("answered" if row.state == "settled" else "running"),
            row.opened_at,
            row.closed_at,
        )
        for row in rows
    ]


async def by_day(store: Store, holder: str, *, since: float, until: float) -> Sequence[DayUsage]:
    """Return what a holder used on each day in UTC on which something was answered or charged, the newest first.

    Args:
        store: where it is kept.
        holder: whose usage.
        since: of the requests' beginnings, in seconds since 1970.
        until: before which they began.
    """
    statement = select(
        RESERVATIONS.c.opened_at, RESERVATIONS.c.seconds, RESERVATIONS.c.charged, RESERVATIONS.c.outcome
    ).where(
        RESERVATIONS.c.holder == holder,
        RESERVATIONS.c.opened_at >= since,
        RESERVATIONS.c.opened_at < until,
        (RESERVATIONS.c.outcome == "answered") | (RESERVATIONS.c.charged > 0),
    )
    days: dict[str, DayUsage] = {}
    async with store.read() as connection:
        for row in await connection.execute(statement):
            day = datetime.fromtimestamp(row.opened_at, UTC).date().isoformat()
            before = days.get(day, DayUsage(day, 0, 0.0, 0))
            days[day] = DayUsage(
                day, before.requests + 1, before.seconds + (row.seconds or 0.0), before.charged + row.charged
            )
    return [days[day] for day in sorted(days, reverse=True)]
