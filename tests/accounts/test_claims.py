from services.accounts.claims import Standing, too_many_at_once, used_up
from services.runtime.errors import Fault
from tests.accounts.samples import PLANS


def standing(plan: str, available: int = 0, period_end: float | None = None) -> Standing:
    return Standing(PLANS.get(plan), available, 1, 1000.0, period_end)


def test_too_many_at_once_is_told_with_the_limit_and_when_to_come_back() -> None:
    error = too_many_at_once(standing("free"))

    assert (error.fault, error.code) == (Fault.OVERLOADED, "too_many_at_once")
    assert error.message == "The plan 'free' allows 2 at the same time; wait until one is done."
    assert error.retry_after_seconds == 5
    assert error.standing.running == 1


def test_no_credits_are_told_with_how_many_are_needed_and_left() -> None:
    error = used_up(standing("paid", 2), 3)

    assert (error.fault, error.code) == (Fault.PAYMENT_REQUIRED, "no_credits")
    assert error.message == "This takes 3 credits, and there are 2 left for it."
    assert error.retry_after_seconds is None
    assert used_up(standing("paid"), 1).message == "This takes 1 credit, and there are 0 left for it."


def test_uses_come_back_with_the_next_day() -> None:
    error = used_up(standing("anonymous", period_end=4600.0), 1)

    assert (error.fault, error.code) == (Fault.OVERLOADED, "allowance_used_up")
    assert "The 3 of this day are used up" in error.message
    assert error.retry_after_seconds == 3600


def test_nobody_is_told_to_come_back_at_once() -> None:
    assert used_up(standing("anonymous", period_end=1000.1), 1).retry_after_seconds == 1


def test_minutes_of_a_month_are_to_be_paid_for() -> None:
    error = used_up(standing("free", 0, 5000.0), 1)

    assert (error.fault, error.code) == (Fault.PAYMENT_REQUIRED, "allowance_used_up")
    assert error.message == "This takes 1 minute, and of the 600 of this month there are 0 left for it."
    assert error.retry_after_seconds is None
