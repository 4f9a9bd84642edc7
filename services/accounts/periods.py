"""Days and months in UTC, in which allowances are counted. Pure."""

import math
from datetime import UTC, datetime, timedelta
from enum import StrEnum


class Period(StrEnum):
    """How long an allowance lasts."""

    DAY = "day"
    MONTH = "month"


def name_of(period: Period, now: float) -> str:
    """Return what the period is called in which `now` (seconds since 1970) lies: `2026-11-25` or `2026-11`."""
    return _moment(now).strftime("%Y-%m-%d" if period is Period.DAY else "%Y-%m")


def end_of(period: Period, now: float) -> float:
    """Return when the period ends in which `now` lies, in seconds since 1970; it belongs to the next one."""
    return _next(period, _begin(period, now)).timestamp()


def seconds_in(period: Period, now: float) -> int:
    """Return how long the period lasts in which `now` lies."""
    begin = _begin(period, now)
    return round((_next(period, begin) - begin).total_seconds())


def _moment(now: float) -> datetime:
    # In whole seconds: the last half of a microsecond before midnight would be rounded into the next day.
    return datetime.fromtimestamp(math.floor(now), UTC)


def _begin(period: Period, now: float) -> datetime:
    midnight = _moment(now).replace(hour=0, minute=0, second=0)
    return midnight if period is Period.DAY else midnight.replace(day=1)


def _next(period: Period, begin: datetime) -> datetime:
    if period is Period.DAY:
        return begin + timedelta(days=1)
    # The 32nd day after the first of a month is always one of the next month.
    return (begin + timedelta(days=31)).replace(day=1)
