from datetime import UTC, datetime

import pytest

from services.accounts import usage
from services.accounts.claims import Outcome, Reservation, Work
from services.accounts.ledger import Ledger
from services.accounts.store import Store
from services.accounts.usage import DayUsage, by_day, by_request
from tests.accounts.clock import Clock
from tests.accounts.samples import LEASE, claim, let_in

_EVER = {"since": 0.0, "until": 1e12}


@pytest.fixture(autouse=True)
async def credits(ledger: Ledger) -> None:
    for holder in ("acc_1", "acc_2"):
        await ledger.grant(holder, 100, "bought")


async def answered(ledger: Ledger, seconds: float, holder: str = "acc_1", request: str = "request") -> Reservation:
    place = await let_in(ledger, claim(holder=holder, request=request))
    await ledger.settle(place, seconds=seconds, model="base", delivered=True)
    return place


async def test_a_request_is_listed_with_all_that_became_of_it(ledger: Ledger, store: Store, clock: Clock) -> None:
    place = await let_in(ledger, claim(request="req_1"))
    clock.move(5)
    await ledger.settle(place, seconds=70.0, model="base", delivered=True)

    (listed,) = await by_request(store, "acc_1", **_EVER, limit=10)

    assert listed == usage.RequestUsage(
        place.id, "req_1", "file", "key_1", "base", 70.0, "minutes", 2, "answered", clock() - 5, clock()
    )


async def test_requests_are_listed_with_the_newest_first_in_their_time_and_their_holder_s(
    ledger: Ledger, store: Store, clock: Clock
) -> None:
    begin = clock()
    for number in range(5):
        await answered(ledger, 10.0, request=f"{number}")
        await answered(ledger, 10.0, "acc_2")
        clock.move(10)

    async def listed(since: float, until: float, limit: int) -> list[str]:
        found = await by_request(store, "acc_1", since=since, until=until, limit=limit)
        return [each.request_id for each in found]

    assert await listed(0, 1e12, 10) == ["4", "3", "2", "1", "0"]
    assert await listed(0, 1e12, 2) == ["4", "3"]
    assert await listed(begin + 10, begin + 30, 10) == ["2", "1"]
    assert await listed(begin + 50, 1e12, 10) == []


async def test_every_request_says_how_it_stands(ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock) -> None:
    dead = await let_in(other_edge, claim(work=Work.STREAM))
    await other_edge.extend(dead, 3)
    clock.move(LEASE)
    await ledger.reap()
    running = await let_in(ledger, claim())
    settled = await let_in(ledger, claim())
    await ledger.settle(settled, seconds=10.0, model="base")
    failed = await let_in(ledger, claim())
    await ledger.give_back(failed, Outcome.FAILED)
    summary = await let_in(ledger, claim(work=Work.SUMMARY))
    await ledger.settle(summary, seconds=0.0, model="instruct")

    found = {each.id: each for each in await by_request(store, "acc_1", **_EVER, limit=10)}

    expected = {
        dead.id: ("expired", 2, 120.0),
        running.id: ("running", 0, None),
        settled.id: ("answered", 1, 10.0),
        failed.id: ("failed", 0, None),
        summary.id: ("answered", 0, 0.0),
    }
    assert {each.id: (each.outcome, each.charged, each.seconds) for each in found.values()} == expected


async def test_a_day_counts_what_was_answered_or_charged_on_it(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock
) -> None:
    clock.set(datetime(2026, 11, 14, 23, 59, 59, tzinfo=UTC))
    await answered(ledger, 100.0)
    failed = await let_in(ledger, claim())
    await ledger.give_back(failed, Outcome.FAILED)
    await answered(ledger, 500.0, "acc_2")
    clock.move(1)
    await answered(ledger, 30.0)
    await answered(ledger, 40.0)
    await other_edge.extend(await let_in(other_edge, claim(work=Work.STREAM)), 3)
    clock.move(LEASE)
    await ledger.reap()
    # It runs, and has cost nothing yet.
    await let_in(ledger, claim())

    days = await by_day(store, "acc_1", **_EVER)

    assert days == [DayUsage("2026-11-15", 3, 190.0, 4), DayUsage("2026-11-14", 1, 100.0, 2)]
    midnight = datetime(2026, 11, 15, tzinfo=UTC).timestamp()
    assert await by_day(store, "acc_1", since=0, until=midnight) == days[1:]
    assert await by_day(store, "acc_1", since=midnight, until=1e12) == days[:1]


async def test_a_request_belongs_to_the_day_on_which_it_began(ledger: Ledger, store: Store, clock: Clock) -> None:
    clock.set(datetime(2026, 11, 14, 23, 59, tzinfo=UTC))
    place = await let_in(ledger, claim())
    clock.move(120)
    await ledger.settle(place, seconds=100.0, model="base", delivered=True)

    assert await by_day(store, "acc_1", **_EVER) == [DayUsage("2026-11-14", 1, 100.0, 2)]


async def test_what_was_given_back_is_no_usage(ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock) -> None:
    place = await let_in(ledger, claim())
    await ledger.settle(place, seconds=100.0, model="base")
    assert [day.charged for day in await by_day(store, "acc_1", **_EVER)] == [2]
    clock.move(2 * LEASE)
    await other_edge.reap()

    assert await by_day(store, "acc_1", **_EVER) == []
