"""What a request asks of the ledger, and what it is told. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from services.accounts.plans import ANONYMOUS, Funding, Plan, Unit
from services.runtime.errors import Fault, MeshError

_BUSY_RETRY_SECONDS = 5.0


class Work(StrEnum):
    """What a reservation is for."""

    FILE = "file"
    STREAM = "stream"
    SUMMARY = "summary"
    """Free; it only takes a slot."""
    SIGN_UP = "sign_up"


class Outcome(StrEnum):
    """What became of a reservation."""

    ANSWERED = "answered"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """Its edge died while it ran."""
    UNDELIVERED = "undelivered"
    """Its edge died while the answer was on its way."""


@dataclass(frozen=True)
class Claim:
    """What a request asks of the ledger."""

    holder: str
    plan: Plan
    work: Work
    request_id: str
    key_id: str | None = None
    repeat: bytes | None = None
    """SHA-256 of the request's Idempotency-Key."""


@dataclass(frozen=True)
class Standing:
    """How a holder stands against his plan."""

    plan: Plan
    available: int
    """In the plan's unit; what is reserved is not available."""
    running: int
    """Slots that are taken."""
    at: float
    """When, in seconds since 1970."""
    period_end: float | None
    """When the next allowance comes, in seconds since 1970; None where there is none."""


@dataclass(frozen=True)
class Reservation:
    """A request that was let in."""

    id: str
    claim: Claim
    period: str
    reserved: int
    standing: Standing
    """After it was let in."""


@dataclass(frozen=True)
class Answer:
    """What was answered to the first of several equal requests."""

    fingerprint: bytes
    """SHA-256 of what was asked."""
    content_type: str
    body: bytes
    request_id: str = ""


@dataclass(frozen=True)
class Busy:
    """An equal request is being worked on."""

    reservation_id: str


class LimitReached(MeshError):
    """A plan's limit: 402 or 429; `standing` says how the caller stands against it."""

    def __init__(self, fault: Fault, message: str, standing: Standing, *, code: str, retry_after: float | None) -> None:
        super().__init__(fault, message, code=code, retry_after_seconds=retry_after)
        self.standing = standing


def too_many_at_once(standing: Standing) -> LimitReached:
    """Return the refusal of one more at the same time."""
    limit = standing.plan.at_once
    return LimitReached(
        Fault.OVERLOADED,
        f"The plan '{standing.plan.id}' allows {limit} at the same time; wait until one is done.",
        standing,
        code="too_many_at_once",
        retry_after=_BUSY_RETRY_SECONDS,
    )


def used_up(standing: Standing, needed: int, held: int = 0) -> LimitReached:
    """Return the refusal of a request that would take `needed` of the plan's unit, and has reserved `held` of it."""
    plan, left = standing.plan, standing.available + held
    if plan.funding is Funding.CREDITS:
        return LimitReached(
            Fault.PAYMENT_REQUIRED,
            f"This takes {_count(needed, 'credit')}, and there {_are(left)} left for it.",
            standing,
            code="no_credits",
            retry_after=None,
        )
    assert plan.period is not None
    assert standing.period_end is not None
    if plan.unit is Unit.USES:
        return LimitReached(
            Fault.OVERLOADED,
            f"The {plan.amount} of this {plan.period} are used up, or reserved by what runs"
            + ("; an account of your own allows more." if plan.id == ANONYMOUS else "."),
            standing,
            code="allowance_used_up",
            retry_after=max(1.0, standing.period_end - standing.at),
        )
    return LimitReached(
        Fault.PAYMENT_REQUIRED,
        f"This takes {_count(needed, 'minute')}, and of the {plan.amount} of this {plan.period} there {_are(left)} "
        "left for it.",
        standing,
        code="allowance_used_up",
        retry_after=None,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _are(number: int) -> str:
    return f"is {number}" if number == 1 else f"are {number}"
