"""What an account has used: by day, and request by request."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import BigInteger, cast, func, literal_column, or_, select

from services.accounts.store import Store
from services.accounts.tables import RESERVATIONS
from services.accounts.transaction import rows_of

MOST_DAYS = 366
MOST_REQUESTS = 1000
_DAY_SECONDS = 86_400


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
    rows = await store.read(lambda connection: rows_of(connection, statement))
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
    # A cast rounds on PostgreSQL, and SQLite need not have floor().
    days = RESERVATIONS.c.opened_at / literal_column(f"{_DAY_SECONDS}.0")
    day = (cast(days, BigInteger) if store.is_sqlite else func.floor(days)).label("day")
    statement = (
        select(day, func.count(), func.sum(RESERVATIONS.c.seconds), func.sum(RESERVATIONS.c.charged))
        .where(
            RESERVATIONS.c.holder == holder,
            RESERVATIONS.c.opened_at >= since,
            RESERVATIONS.c.opened_at < until,
            or_(RESERVATIONS.c.state == "settled", RESERVATIONS.c.outcome == "answered", RESERVATIONS.c.charged > 0),
        )
        .group_by(day)
        .order_by(day.desc())
    )
    rows = await store.read(lambda connection: rows_of(connection, statement))
    return [
        DayUsage(
            datetime.fromtimestamp(number * _DAY_SECONDS, UTC).date().isoformat(),
            requests,
            seconds or 0.0,
            int(charged),
        )
        for number, requests, seconds, charged in rows
    ]
