import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.accounts.claims import Standing
from services.accounts.periods import Period, end_of
from services.accounts.plans import Plan, load_plans
from services.edge.rate_limits import rate_limit_headers

NOON = datetime(2026, 11, 15, 12, tzinfo=UTC).timestamp()
PLANS = load_plans()

_KEY, _STRING, _INTEGER = r"[a-z*][a-z0-9_.*-]*", r'"(?:[ !#-\[\]-~]|\\["\\])*"', r"-?[0-9]{1,15}"
_ITEM = re.compile(rf"({_STRING})((?:; *{_KEY}=(?:{_STRING}|{_INTEGER}))*)")


def parsed(field: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the items of a list of strings with parameters, as RFC 9651 writes structured fields."""
    items = field.split(", ")
    matches = [_ITEM.fullmatch(item) for item in items]
    assert all(matches), field
    return [
        (
            match[1][1:-1],
            {
                name: value[1:-1] if value.startswith('"') else int(value)
                for name, value in (parameter.strip().split("=") for parameter in match[2].split(";")[1:])
            },
        )
        for match in matches
        if match
    ]


def standing(plan: Plan, *, available: int = 0, running: int = 0, at: float = NOON) -> Standing:
    return Standing(plan, available, running, at, end_of(plan.period, at) if plan.period else None)


def test_an_anonymous_caller_learns_of_his_day() -> None:
    headers = rate_limit_headers(standing(PLANS.get("anonymous"), available=2, running=1))

    assert headers == {
        "RateLimit-Limit": "3",
        "RateLimit-Remaining": "2",
        "RateLimit-Reset": "43200",
        "RateLimit-Policy": '"day";q=3;w=86400, "at-once";q=1;qu="concurrent-requests"',
        "RateLimit": '"day";r=2;t=43200, "at-once";r=0',
    }


def test_minutes_of_a_month_say_that_they_are_minutes() -> None:
    headers = rate_limit_headers(standing(PLANS.get("free"), available=599, running=0))

    month, at_once = parsed(headers["RateLimit-Policy"])
    assert month == ("month", {"q": 600, "w": 30 * 86_400, "qu": "minutes"})
    assert at_once == ("at-once", {"q": 2, "qu": "concurrent-requests"})
    assert parsed(headers["RateLimit"]) == [("month", {"r": 599, "t": 15 * 86_400 + 43_200}), ("at-once", {"r": 2})]


@pytest.mark.parametrize(("month", "days"), [(1, 31), (2, 28), (4, 30), (12, 31)])
def test_a_month_is_as_long_as_it_is(month: int, days: int) -> None:
    at = datetime(2026, month, 1, tzinfo=UTC).timestamp()

    headers = rate_limit_headers(standing(PLANS.get("free"), at=at))

    assert parsed(headers["RateLimit-Policy"])[0][1]["w"] == days * 86_400 == int(headers["RateLimit-Reset"])


def test_credits_have_no_window_but_what_runs_at_once_is_limited() -> None:
    headers = rate_limit_headers(standing(PLANS.get("paid"), available=1000, running=2))

    assert headers == {
        "RateLimit-Policy": '"at-once";q=5;qu="concurrent-requests"',
        "RateLimit": '"at-once";r=3',
    }


def test_nothing_is_said_where_nothing_is_limited() -> None:
    assert rate_limit_headers(standing(PLANS.get("unlimited"), available=7, running=9)) == {}


def test_no_more_is_free_than_there_is_where_the_limit_was_lowered() -> None:
    assert parsed(rate_limit_headers(standing(PLANS.get("paid"), running=9))["RateLimit"]) == [("at-once", {"r": 0})]


@given(
    st.sampled_from(["anonymous", "free", "paid", "sign_up"]),
    st.sampled_from(Period),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(1, 50),
    st.integers(0, 60),
    st.floats(0, 4e9),
)
def test_every_header_is_what_its_draft_says(
    plan_id: str, period: Period, amount: int, available: int, at_once: int, running: int, at: float
) -> None:
    plan = PLANS.get(plan_id)
    changes = {"period": period, "amount": amount} if plan.period else {}
    headers = rate_limit_headers(
        standing(
            plan.model_copy(update={**changes, "at_once": at_once}),
            available=min(available, amount),
            running=running,
            at=at,
        )
    )

    policies, limits = dict(parsed(headers["RateLimit-Policy"])), dict(parsed(headers["RateLimit"]))
    assert list(policies) == list(limits)
    for name, limit in limits.items():
        assert 0 <= limit["r"] <= policies[name]["q"]
        assert set(limit) <= {"r", "t"}
        assert set(policies[name]) <= {"q", "w", "qu"}
        assert 0 <= limit.get("t", 0) <= policies[name].get("w", 0)
    if plan.period:
        # Who waits as long as he is told to waits until the next period.
        assert end_of(period, at + limits[period]["t"]) > end_of(period, at)
        told = {
            "RateLimit-Limit": amount,
            "RateLimit-Remaining": limits[period]["r"],
            "RateLimit-Reset": limits[period]["t"],
        }
        assert {name: int(headers[name]) for name in told} == told
