"""What each plan allows, read from data: `plans.toml`, and a deployment's own file on top of it."""

import math
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.accounts.periods import Period
from services.runtime.errors import Fault, MeshError, invalid_field

ANONYMOUS = "anonymous"
"""Plan of a caller without a key."""
FREE = "free"
"""Plan of an account that signed up by itself."""
UNLIMITED = "unlimited"
"""Plan of whoever runs the machine."""
SIGN_UP = "sign_up"
"""What one address may sign up for."""

_NEEDED = (ANONYMOUS, FREE, UNLIMITED, SIGN_UP)
_SECONDS_IN_MINUTE = 60


class Unit(StrEnum):
    """What a plan counts."""

    MINUTES = "minutes"
    """Of audio; begun ones count whole."""
    USES = "uses"
    """Transcriptions and streams, however long."""

    def cost(self, seconds: float) -> int:
        """Return what `seconds` of audio cost; nothing costs nothing."""
        if seconds <= 0:
            return 0
        return 1 if self is Unit.USES else max(1, math.ceil(seconds / _SECONDS_IN_MINUTE))

    def covered_seconds(self, amount: int) -> float:
        """Return how many seconds of audio `amount` pays for; the inverse of `cost`."""
        if self is Unit.USES:
            return math.inf if amount else 0.0
        return amount * float(_SECONDS_IN_MINUTE)


class Funding(StrEnum):
    """Where what a plan counts comes from."""

    ALLOWANCE = "allowance"
    CREDITS = "credits"
    OPEN = "open"


class Plan(BaseModel):
    """What one plan allows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
    funding: Funding
    unit: Unit
    period: Period | None = None
    """Of an allowance; None where there is none."""
    amount: int | None = Field(default=None, ge=0)
    """Of an allowance, in the unit; None where there is none."""
    max_file_bytes: int = Field(ge=1)
    at_once: int = Field(ge=0)
    """Transcriptions and streams at the same time, and as many summaries; 0 for no limit."""

    def require_credits(self) -> None:
        """Raise MeshError (INVALID) where credits would be of no use."""
        if self.funding is not Funding.CREDITS:
            raise invalid_field("amount", f"The plan '{self.id}' uses no credits; give the account another plan first.")

    @model_validator(mode="after")
    def _allowance_is_whole(self) -> "Plan":
        wanted = self.funding is Funding.ALLOWANCE
        if wanted != (self.period is not None) or wanted != (self.amount is not None):
            raise ValueError("'period' and 'amount' go with funding = \"allowance\", both, and with no other")
        if self.funding is Funding.CREDITS and self.unit is not Unit.MINUTES:
            raise ValueError('credits are minutes: unit = "minutes" goes with funding = "credits"')
        return self


class Plans:
    """All plans of a deployment.

    Args:
        plans: by their ids.
    """

    def __init__(self, plans: Mapping[str, Plan]) -> None:
        self._plans = dict(plans)

    def get(self, plan_id: str) -> Plan:
        """Return the plan that an account has.

        Raises:
            MeshError: UNAVAILABLE where there is none: it was taken out of the file of plans.
        """
        if plan_id not in self._plans:
            raise MeshError(
                Fault.UNAVAILABLE,
                f"The plan {plan_id!r} is none of this server's; who runs it must add it or change the account.",
                code="plan_unknown",
            )
        return self._plans[plan_id]

    def for_accounts(self) -> list[str]:
        """Return the ids of the plans that an account may have."""
        return [plan_id for plan_id in self._plans if plan_id not in (ANONYMOUS, SIGN_UP)]

    def choose(self, plan_id: str) -> Plan:
        """Return the plan that somebody names for an account.

        Raises:
            MeshError: INVALID, naming those that there are.
        """
        if plan_id not in self.for_accounts():
            raise invalid_field("plan", f"The field 'plan' must be one of: {', '.join(self.for_accounts())}.")
        return self._plans[plan_id]


def load_plans(own: Path | None = None) -> Plans:
    """Return the plans of `plans.toml`; those of the file `own` replace them by id, or are added.

    Raises:
        MeshError: INVALID when a file cannot be read or says what cannot be.
    """
    plans = dict(_read(Path(__file__).with_name("plans.toml")))
    if own is not None:
        plans.update(_read(own))
    assert all(plan_id in plans for plan_id in _NEEDED)
    return Plans(plans)


def _read(path: Path) -> dict[str, Plan]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _wrong(path, error.strerror or "it cannot be read") from error
    except ValueError as error:
        raise _wrong(path, str(error)) from error
    tables = content.pop("plans", {})
    if content or not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise _wrong(path, "it holds tables [plans.ID] and nothing else")
    return {plan_id: _plan(path, plan_id, table) for plan_id, table in tables.items()}


def _plan(path: Path, plan_id: str, table: Mapping[str, object]) -> Plan:
    try:
        return Plan.model_validate({**table, "id": plan_id})
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(["plans", plan_id, *map(str, problem["loc"])])
        raise _wrong(path, f"{where}: {problem['msg'].removeprefix('Value error, ')}") from error


def _wrong(path: Path, reason: str) -> MeshError:
    return MeshError(Fault.INVALID, f"The plans in {path} cannot be used: {reason}.", field="plans_file")
