from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.accounts.api_keys import ApiKey
from services.accounts.claims import Standing
from services.accounts.periods import end_of
from services.accounts.plans import load_plans
from services.accounts.register import Account
from services.accounts.usage import DayUsage, RequestUsage
from services.edge.account_json import (
    account_json,
    day_usage_json,
    key_json,
    parse_expiry,
    parse_text,
    parse_time,
    parse_whole,
    request_usage_json,
    standing_json,
    time_json,
)
from services.runtime.errors import Fault, MeshError

NOON = datetime(2026, 11, 15, 12, tzinfo=UTC).timestamp()
PLANS = load_plans()


def standing(plan_id: str, available: int, running: int = 0) -> Standing:
    plan = PLANS.get(plan_id)
    return Standing(plan, available, running, NOON, end_of(plan.period, NOON) if plan.period else None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2026-11-15T12:00:00Z", "2026-11-15T12:00:00Z"),
        ("2026-11-15T12:00:00", "2026-11-15T12:00:00Z"),
        ("2026-11-15T12:00:00+02:00", "2026-11-15T10:00:00Z"),
        ("2026-11-15T12:00:00.750Z", "2026-11-15T12:00:00Z"),
        ("2026-11-15", "2026-11-15T00:00:00Z"),
        ("20261115T120000Z", "2026-11-15T12:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ("0001-01-01", "0001-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_iso_8601_and_in_utc_unless_it_says_otherwise(text: str, told: str) -> None:
    assert time_json(parse_time("at", text)) == told


@pytest.mark.parametrize(
    "value",
    [
        *("", "soon", "2026-13-01", "2026-02-29", "15.11.2026", "12:00", "9999-12-31T23:59:59-12:00"),
        *("0001-01-01T00:00:00+12:00", 1_794_000_000, 1.5, True, None, [], {}),
    ],
)
def test_what_is_no_time_is_refused_under_its_name(value: Any) -> None:
    with pytest.raises(MeshError) as refused:
        parse_time("from", value)

    assert (refused.value.fault, refused.value.field) == (Fault.INVALID, "from")
    assert "ISO 8601" in refused.value.message


@given(st.datetimes(timezones=st.timezones() | st.none()))
def test_every_time_that_is_taken_can_be_told_again(at: datetime) -> None:
    try:
        seconds = parse_time("at", at.isoformat())
    except MeshError:
        return

    told = time_json(seconds)
    assert told is not None
    assert told.endswith("Z")
    assert abs(parse_time("at", told) - seconds) < 1


def test_a_key_expires_at_a_time_or_after_days_or_never() -> None:
    assert parse_expiry({}, NOON) is None
    assert parse_expiry({"expires_at": None, "expires_in_days": None}, NOON) is None
    assert parse_expiry({"expires_at": "2026-11-16T12:00:00Z"}, NOON) == NOON + 86_400
    assert parse_expiry({"expires_in_days": 1}, NOON) == NOON + 86_400
    assert parse_expiry({"expires_in_days": 3650}, NOON) == NOON + 3650 * 86_400


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"expires_at": "2026-11-16", "expires_in_days": 1}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": 0}, "expires_at"),
        *(({"expires_in_days": days}, "expires_in_days") for days in (0, -1, 3651, 1.0, "1", True, [], 10**30)),
    ],
)
def test_a_wrong_end_of_a_key_names_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(MeshError) as refused:
        parse_expiry(fields, NOON)

    assert (refused.value.code, refused.value.field) == ("invalid_field", field)


@pytest.mark.parametrize("value", [None, 1, True, [], {}, "\ud800", "half \udfff", "a\0b"])
def test_what_is_no_text_is_refused_under_its_name(value: Any) -> None:
    with pytest.raises(MeshError) as refused:
        parse_text({"name": value}, "name", "default")

    assert refused.value.field == "name"


def test_a_text_may_be_left_out_only_where_there_is_a_default() -> None:
    assert parse_text({}, "name", "key") == "key"
    assert parse_text({"name": "Łódź 𝄞"}, "name") == "Łódź 𝄞"
    with pytest.raises(MeshError):
        parse_text({}, "name")


@pytest.mark.parametrize("text", ["", "0", "-1", "+1", "1.0", " 1", "1001", "1e2", "٣", "9" * 30])
def test_a_whole_number_has_bounds_that_are_told(text: str) -> None:
    with pytest.raises(MeshError) as refused:
        parse_whole(text, "limit", 100, 1000)

    assert refused.value.field == "limit"
    assert "1 to 1000" in refused.value.message


def test_a_whole_number_may_be_left_out() -> None:
    assert [parse_whole(text, "limit", 100, 1000) for text in (None, "1", "007", "1000")] == [100, 1, 7, 1000]


@pytest.mark.parametrize(
    ("plan_id", "credits", "minutes", "transcriptions", "period_end"),
    [
        ("anonymous", None, None, 2, "2026-11-16T00:00:00Z"),
        ("free", None, 2, None, "2026-12-01T00:00:00Z"),
        ("paid", 2, 2, None, None),
        ("unlimited", None, None, None, None),
    ],
)
def test_a_standing_says_what_is_left_in_the_plans_own_unit(
    plan_id: str, credits: int | None, minutes: int | None, transcriptions: int | None, period_end: str | None
) -> None:
    told = standing_json(standing(plan_id, 2, running=1))

    plan = PLANS.get(plan_id)
    assert told == {
        "plan": plan_id,
        "credits": credits,
        "minutes_left": minutes,
        "transcriptions_left": transcriptions,
        "period_end": period_end,
        "max_file_bytes": plan.max_file_bytes,
        "at_once": plan.at_once or None,
        "running": 1,
    }


def test_an_account_comes_with_its_standing_and_an_anonymous_caller_without_account() -> None:
    account = Account("acc_1", "Ada", "free", NOON, None)

    told = account_json(account, standing("free", 600))
    nobody = account_json(None, standing("anonymous", 3))

    assert (told["id"], told["name"], told["created_at"], told["closed_at"]) == (
        "acc_1",
        "Ada",
        "2026-11-15T12:00:00Z",
        None,
    )
    assert [nobody[name] for name in ("id", "name", "created_at", "closed_at")] == [None] * 4
    assert set(told) == set(nobody)


def test_a_key_is_told_once_and_its_digest_never() -> None:
    key = ApiKey("key_1", "acc_1", "first", "sk-abcd", NOON, NOON + 60, None)

    listed, new = key_json(key, NOON), key_json(key, NOON, "sk-abcdefgh")

    assert new == {**listed, "key": "sk-abcdefgh"}
    assert listed == {
        "id": "key_1",
        "name": "first",
        "hint": "sk-abcd",
        "created_at": "2026-11-15T12:00:00Z",
        "expires_at": "2026-11-15T12:01:00Z",
        "revoked_at": None,
        "valid": True,
    }
    assert not key_json(key, NOON + 60)["valid"]


@pytest.mark.parametrize("unit", ["minutes", "uses"])
def test_usage_is_charged_in_its_plans_unit(unit: str) -> None:
    usage = RequestUsage("res_1", "req-1", "file", "key_1", "base", 61.23456, unit, 2, "answered", NOON, NOON + 9)

    assert request_usage_json(usage) == {
        "id": "res_1",
        "request_id": "req-1",
        "work": "file",
        "key_id": "key_1",
        "model": "base",
        "seconds": 61.235,
        unit: 2,
        "outcome": "answered",
        "started_at": "2026-11-15T12:00:00Z",
        "ended_at": "2026-11-15T12:00:09Z",
    }


def test_what_still_runs_has_neither_seconds_nor_end() -> None:
    told = request_usage_json(
        RequestUsage("res_1", "req-1", "stream", None, None, None, "uses", 0, "running", NOON, None)
    )

    assert (told["seconds"], told["ended_at"], told["key_id"]) == (None, None, None)


def test_a_day_is_told_with_its_sums() -> None:
    assert day_usage_json(DayUsage("2026-11-15", 3, 61.23456, 4)) == {
        "day": "2026-11-15",
        "requests": 3,
        "seconds": 61.235,
        "charged": 4,
    }
