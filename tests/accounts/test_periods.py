from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.accounts.periods import Period, end_of, name_of, seconds_in

moments = st.floats(datetime(2020, 1, 1, tzinfo=UTC).timestamp(), datetime(2100, 1, 1, tzinfo=UTC).timestamp())


def at(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]


def test_days_and_months_are_those_of_utc() -> None:
    last = at(2026, 12, 31, 23, 59, 59)

    assert (name_of(Period.DAY, last), name_of(Period.MONTH, last)) == ("2026-12-31", "2026-12")
    assert end_of(Period.DAY, last) == end_of(Period.MONTH, last) == at(2027, 1, 1)


def test_midnight_belongs_to_the_day_that_begins() -> None:
    assert name_of(Period.DAY, at(2026, 11, 16)) == "2026-11-16"
    assert end_of(Period.DAY, at(2026, 11, 16)) == at(2026, 11, 17)


@pytest.mark.parametrize(
    ("month", "days"), [((2026, 2, 3), 28), ((2028, 2, 29), 29), ((2026, 4, 30), 30), ((2026, 1, 31), 31)]
)
def test_a_month_is_as_long_as_the_calendar_says(month: tuple[int, int, int], days: int) -> None:
    assert seconds_in(Period.MONTH, at(*month)) == days * 86400
    assert seconds_in(Period.DAY, at(*month)) == 86400


@given(moments, st.sampled_from(Period))
def test_a_period_follows_the_one_before_without_a_gap(now: float, period: Period) -> None:
    end = end_of(period, now)

    assert 0 < end - now <= seconds_in(period, now)
    assert name_of(period, end - 0.001) == name_of(period, now)
    assert name_of(period, end) > name_of(period, now)
    assert end - seconds_in(period, now) <= now
