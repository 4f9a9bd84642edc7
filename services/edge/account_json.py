"""Accounts, keys and usage in the words of the HTTP API. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from services.accounts.api_keys import ApiKey
from services.accounts.claims import Standing
from services.accounts.plans import Funding, Unit
from services.accounts.register import Account
from services.accounts.usage import DayUsage, RequestUsage
from services.runtime.errors import invalid_field

_MOST_DAYS_AHEAD = 3650


def time_json(seconds: float | None) -> str | None:
    """Return a time as ISO 8601 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def parse_time(field: str, value: Any) -> float:
    """Return a time, in seconds since 1970, from ISO 8601; a date alone is its midnight in UTC.

    Raises:
        MeshError: INVALID, naming the field.
    """
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
            # In UTC at once: a year that is only there elsewhere could be kept, but not told again.
            return (parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            pass
    raise invalid_field(field, f"The field '{field}' must be a time in ISO 8601, such as 2027-01-31T12:00:00Z.")


def parse_expiry(fields: dict[str, Any], now: float) -> float | None:
    """Return when a key expires, from `expires_at` or `expires_in_days`, None where neither is given; raises as
    `parse_time`, and where both are.
    """
    at, days = fields.get("expires_at"), fields.get("expires_in_days")
    if at is not None and days is not None:
        raise invalid_field("expires_at", "Send 'expires_at' or 'expires_in_days', not both.")
    if days is None:
        return None if at is None else parse_time("expires_at", at)
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= _MOST_DAYS_AHEAD:
        raise invalid_field(
            "expires_in_days", f"The field 'expires_in_days' must be a whole number from 1 to {_MOST_DAYS_AHEAD}."
        )
    return now + timedelta(days=days).total_seconds()


def parse_text(fields: dict[str, Any], name: str, default: str | None = None) -> str:
    """Return the text of a field; raises MeshError (INVALID) where it is no text, or missing without a default."""
    value = fields.get(name, default)
    # Neither half a character nor NUL is text to every database.
    if not isinstance(value, str) or re.search("[\0\ud800-\udfff]", value):
        raise invalid_field(name, f"The field '{name}' must be a text.")
    return value


def parse_whole(text: str | None, name: str, default: int, most: int) -> int:
    """Return a whole number of a query, 1 to `most`; raises MeshError (INVALID), naming it."""
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise invalid_field(name, f"The parameter '{name}' must be a whole number from 1 to {most}.")
    return int(text)


def standing_json(standing: Standing) -> dict[str, Any]:
    """Return what is left of a plan: null where it is not limited that way."""
    plan = standing.plan
    left = None if plan.funding is Funding.OPEN else standing.available
    return {
        "plan": plan.id,
        "credits": left if plan.funding is Funding.CREDITS else None,
        "minutes_left": left if plan.unit is Unit.MINUTES else None,
        "transcriptions_left": left if plan.unit is Unit.USES else None,
        "period_end": time_json(standing.period_end),
        "max_file_bytes": plan.max_file_bytes,
        "at_once": plan.at_once or None,
        "running": standing.running,
    }


def account_json(account: Account | None, standing: Standing) -> dict[str, Any]:
    """Return an account with its standing; the account is null for an anonymous caller."""
    return {
        "id": account.id if account else None,
        "name": account.name if account else None,
        "created_at": time_json(account.created_at) if account else None,
        "closed_at": time_json(account.closed_at) if account else None,
        **standing_json(standing),
    }


def key_json(key: ApiKey, now: float, secret: str | None = None) -> dict[str, Any]:
    """Return a key; with the key itself where it was made now."""
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "created_at": time_json(key.created_at),
        "expires_at": time_json(key.expires_at),
        "revoked_at": time_json(key.revoked_at),
        "valid": key.refusal(now) is None,
        **({"key": secret} if secret is not None else {}),
    }


def request_usage_json(usage: RequestUsage) -> dict[str, Any]:
    """Return one request's usage."""
    return {
        "id": usage.id,
        "request_id": usage.request_id,
        "work": usage.work,
        "key_id": usage.key_id,
        "model": usage.model,
        "seconds": None if usage.seconds is None else round(usage.seconds, 3),
        usage.unit: usage.charged,
        "outcome": usage.outcome,
        "started_at": time_json(usage.opened_at),
        "ended_at": time_json(usage.closed_at),
    }


def day_usage_json(usage: DayUsage) -> dict[str, Any]:
    """Return one day's usage."""
    return {
        "day": usage.day,
        "requests": usage.requests,
        "seconds": round(usage.seconds, 3),
        "charged": usage.charged,
    }
