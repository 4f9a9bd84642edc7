import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from services.accounts.claims import Answer, Busy, LimitReached, Outcome, Reservation, Work
from services.accounts.ledger import ANSWER_SECONDS, Ledger
from services.accounts.register import Register
from services.accounts.store import Store
from services.accounts.tables import ANSWERS, PURSES
from services.runtime.errors import Fault, MeshError
from tests.accounts.clock import Clock
from tests.accounts.cut_wire import CutWire, cut_wire
from tests.accounts.samples import (
    ANSWER,
    KEY,
    LEASE,
    PLANS,
    allowing,
    answer_to,
    available,
    claim,
    entries,
    let_in,
    moves,
    proven,
    reservation,
)

# Many at once.


async def test_fifty_at_once_on_one_credit_are_one(edges: list[Ledger], store: Store, clock: Clock) -> None:
    await edges[0].grant("acc_1", 1, "bought")

    refusals = set()

    async def request(number: int) -> int:
        edge = edges[number % len(edges)]
        try:
            place = await let_in(edge, claim("paid"))
        except LimitReached as error:
            refusals.add(error.fault)
            return 0
        charged = await edge.settle(place, seconds=59.0, model="base")
        await edge.deliver(place)
        return charged

    charged = await asyncio.gather(*(request(number) for number in range(50)))

    assert sorted(charged) == [0] * 49 + [1]
    assert refusals <= {Fault.PAYMENT_REQUIRED, Fault.OVERLOADED}
    assert (await proven(store, clock)).spent == 1


async def test_two_hundred_at_once_on_a_hundred_credits_spend_exactly_those(
    edges: list[Ledger], store: Store, clock: Clock
) -> None:
    await edges[0].grant("acc_1", 100, "bought")

    refusals = set()

    async def request(number: int) -> int:
        edge = edges[number % len(edges)]
        try:
            place = await let_in(edge, claim())
        except LimitReached as error:
            refusals.add(error.code)
            return 0
        return await edge.settle(place, seconds=30.0, model="base", delivered=True)

    charged = await asyncio.gather(*(request(number) for number in range(200)))

    assert Counter(charged) == {1: 100, 0: 100}
    assert refusals == {"no_credits"}
    audit = await proven(store, clock)
    assert (audit.spent, audit.running) == (100, 0)
    assert await available(edges[0]) == 0


async def test_many_that_give_back_while_others_are_let_in_lose_nothing(
    edges: list[Ledger], store: Store, clock: Clock
) -> None:
    await edges[0].grant("acc_1", 5, "bought")

    async def request(number: int) -> int:
        edge = edges[number % len(edges)]
        try:
            place = await let_in(edge, claim())
        except LimitReached:
            return 0
        with contextlib.suppress(LimitReached):
            place = await edge.extend(place, 2)
        await asyncio.gather(*(each.give_back(place, Outcome.FAILED) for each in edges))
        return 1

    assert sum(await asyncio.gather(*(request(number) for number in range(24)))) >= 5

    assert (await proven(store, clock)).spent == 0
    assert await available(edges[0]) == 5


async def test_settling_and_delivering_and_ending_at_once_charge_at_most_once(
    edges: list[Ledger], store: Store, clock: Clock
) -> None:
    await edges[0].grant("acc_1", 30, "bought")
    places = [await let_in(edges[0], claim()) for _ in range(6)]
    clock.move(LEASE)

    async def end(place: Reservation) -> None:
        await asyncio.gather(
            edges[0].settle(place, seconds=150.0, model="base"),
            edges[0].deliver(place),
            edges[1].reap(),
            edges[2].give_back(place, Outcome.CANCELLED),
            edges[0].renew(),
            return_exceptions=True,
        )

    await asyncio.gather(*(end(place) for place in places))
    clock.move(LEASE)
    await edges[3].reap()

    audit = await proven(store, clock)
    assert audit.running == 0
    assert audit.spent in {0, 3, 6, 9, 12, 15, 18}
    assert await available(edges[0]) == 30 - audit.spent


async def test_different_holders_are_served_side_by_side(edges: list[Ledger], store: Store, clock: Clock) -> None:
    holders = [f"acc_{number}" for number in range(12)]
    await asyncio.gather(*(edges[0].grant(holder, 1, "bought") for holder in holders))

    places = await asyncio.gather(*(let_in(edges[n % 4], claim(holder=holder)) for n, holder in enumerate(holders)))

    assert {place.claim.holder for place in places} == set(holders)
    assert (await proven(store, clock)).running == 12


# Reserve, extend, settle, give back.


async def test_a_request_reserves_the_least_and_pays_what_is_true(ledger: Ledger, store: Store, clock: Clock) -> None:
    await ledger.grant("acc_1", 10, "bought")

    place = await let_in(ledger, claim())
    assert (place.reserved, place.standing.available, place.standing.running) == (1, 9, 1)
    place = await ledger.extend(place, 5)
    assert (place.reserved, await available(ledger)) == (5, 5)
    assert await ledger.settle(place, seconds=121.0, model="base") == 3
    await ledger.deliver(place)

    assert await available(ledger) == 7
    assert (await proven(store, clock)).spent == 3
    assert await moves(store) == [("grant", 10), ("reserve", 1), ("reserve", 4), ("charge", 3), ("release", 2)]


async def test_every_entry_of_a_request_names_it_and_a_charge_names_model_and_seconds(
    ledger: Ledger, store: Store
) -> None:
    await ledger.grant("acc_1", 10, "bought")
    place = await let_in(ledger, claim())
    await ledger.settle(place, seconds=90.0, model="base")
    await ledger.give_back(place, Outcome.FAILED)

    grant, *others = await entries(store)

    assert (grant.note, grant.reservation_id, grant.at) == ("bought", None, ledger.clock())
    assert [row.kind for row in others] == ["reserve", "reserve", "charge", "refund"]
    assert {(row.reservation_id, row.request_id, row.key_id) for row in others} == {(place.id, "request", "key_1")}
    assert [(row.model, row.seconds) for row in others[2:]] == [("base", 90.0)] * 2


async def test_an_extension_by_less_than_is_reserved_changes_nothing(ledger: Ledger, store: Store) -> None:
    await ledger.grant("acc_1", 10, "bought")
    place = await ledger.extend(await let_in(ledger, claim()), 4)

    assert (await ledger.extend(place, 2)).reserved == 4
    assert await available(ledger) == 6


async def test_what_is_not_left_cannot_be_reserved_and_the_request_keeps_what_it_has(
    ledger: Ledger, store: Store, clock: Clock
) -> None:
    await ledger.grant("acc_1", 3, "bought")
    place = await let_in(ledger, claim())

    with pytest.raises(LimitReached, match="This takes 4 credits, and there are 3 left for it") as caught:
        await ledger.extend(place, 4)
    assert caught.value.fault is Fault.PAYMENT_REQUIRED
    assert caught.value.standing.running == 1
    assert await available(ledger) == 2
    assert await ledger.settle(await ledger.extend(place, 3), seconds=180.0, model="base") == 3
    await proven(store, clock)


async def test_more_than_was_reserved_is_charged_where_it_is_left_and_else_nothing_is(
    ledger: Ledger, store: Store, clock: Clock
) -> None:
    await ledger.grant("acc_1", 5, "bought")
    first, second = [await let_in(ledger, claim()) for _ in range(2)]

    assert await ledger.settle(first, seconds=170.0, model="base", delivered=True) == 3
    with pytest.raises(LimitReached):
        await ledger.settle(second, seconds=170.0, model="base")
    await ledger.give_back(second, Outcome.FAILED)

    assert await available(ledger) == 2
    assert (await proven(store, clock)).spent == 3


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.CANCELLED])
async def test_what_fails_or_is_cancelled_costs_nothing_before_and_after_it_was_settled(
    ledger: Ledger, store: Store, clock: Clock, outcome: Outcome
) -> None:
    await ledger.grant("acc_1", 10, "bought")
    before, after = [await ledger.extend(await let_in(ledger, claim()), 3) for _ in range(2)]
    await ledger.settle(after, seconds=130.0, model="base")

    for place in (before, after, before, after):
        await ledger.give_back(place, outcome)

    assert await available(ledger) == 10
    assert (await proven(store, clock)).spent == 0
    assert (await reservation(store, after)).outcome == outcome


async def test_what_was_delivered_is_not_given_back(ledger: Ledger, store: Store, clock: Clock) -> None:
    await ledger.grant("acc_1", 10, "bought")
    place = await let_in(ledger, claim())
    await ledger.settle(place, seconds=60.0, model="base")
    await ledger.deliver(place)
    await ledger.give_back(place, Outcome.FAILED)

    assert (await proven(store, clock)).spent == 1


async def test_what_was_given_back_is_neither_delivered_nor_extended_nor_settled(
    ledger: Ledger, store: Store, clock: Clock
) -> None:
    await ledger.grant("acc_1", 10, "bought")
    place = await let_in(ledger, claim())
    await ledger.give_back(place, Outcome.CANCELLED)

    await ledger.deliver(place)
    for again in (ledger.extend(place, 2), ledger.settle(place, seconds=1.0, model="base")):
        with pytest.raises(MeshError, match="given up") as caught:
            await again
        assert (caught.value.fault, caught.value.code) == (Fault.UNAVAILABLE, "request_given_up")
    assert (await reservation(store, place)).outcome == Outcome.CANCELLED
    assert (await proven(store, clock)).spent == 0


@pytest.mark.parametrize("delivered", [False, True])
async def test_settling_twice_charges_once(ledger: Ledger, store: Store, clock: Clock, delivered: bool) -> None:
    """As an edge does that has not heard that the first time was committed."""
    await ledger.grant("acc_1", 10, "bought")
    place = await let_in(ledger, claim(work=Work.STREAM))

    for _ in range(2):
        assert await ledger.settle(place, seconds=61.0, model="base", delivered=delivered) == 2

    assert (await proven(store, clock)).spent == 2


async def test_a_stream_pays_for_a_part_of_its_audio(ledger: Ledger, store: Store) -> None:
    await ledger.grant("acc_1", 10, "bought")
    place = await ledger.extend(await let_in(ledger, claim(work=Work.STREAM)), 3)

    assert await ledger.settle(place, seconds=150.0, charged_seconds=60.0, model="base", delivered=True) == 1
    row = await reservation(store, place)
    assert (row.charged, row.seconds, row.state, row.outcome) == (1, 150.0, "closed", "answered")


async def test_no_audio_costs_nothing_and_needs_no_delivery(ledger: Ledger, store: Store, clock: Clock) -> None:
    await ledger.grant("acc_1", 1, "bought")
    place = await let_in(ledger, claim())

    assert await ledger.settle(place, seconds=0.0, model="base") == 0
    assert (await reservation(store, place)).state == "closed"
    assert (await proven(store, clock)).running == 0
    assert await available(ledger) == 1


async def test_summaries_are_free_with_nothing_left(ledger: Ledger, store: Store, clock: Clock) -> None:
    place = await let_in(ledger, claim("paid", Work.SUMMARY))

    assert place.reserved == 0
    assert await ledger.settle(place, seconds=0.0, model="instruct") == 0
    assert await moves(store) == []
    assert (await reservation(store, place)).outcome == "answered"
    await proven(store, clock)


async def test_a_summary_is_told_what_is_left_of_an_allowance_that_nothing_was_used_of(ledger: Ledger) -> None:
    place = await let_in(ledger, claim("free", Work.SUMMARY))

    assert place.standing.available == 600


@pytest.mark.parametrize(
    "verb", ["UPDATE entries SET amount = 1", "DELETE FROM entries", "TRUNCATE entries", "REPLACE"]
)
async def test_the_database_itself_refuses_to_change_entries(
    ledger: Ledger, store: Store, clock: Clock, verb: str
) -> None:
    await ledger.grant("acc_1", 5, "bought")
    if verb == "REPLACE":
        columns = "id, at, holder, period, kind, debit, credit, amount"
        values = "1, 0, 'acc_1', '', 'grant', 'issued', 'available', 50"
        verb = f"INSERT OR REPLACE INTO entries ({columns}) VALUES ({values})"
        if not store.is_sqlite:
            verb = f"INSERT INTO entries ({columns}) VALUES ({values}) ON CONFLICT (id) DO UPDATE SET amount = 50"
    elif verb.startswith("TRUNCATE") and store.is_sqlite:
        verb = "DELETE FROM entries WHERE id > 0"

    with pytest.raises((DBAPIError, MeshError)):
        await store.write(lambda connection: connection.execute(text(verb)))

    assert await moves(store) == [("grant", 5)]
    await proven(store, clock)


# Equal requests.


async def test_an_equal_request_waits_while_the_first_runs_and_then_gets_its_answer(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock
) -> None:
    await ledger.grant("acc_1", 10, "bought")
    place = await let_in(ledger, claim(request="first", repeat=KEY))

    assert await other_edge.open(claim(request="second", repeat=KEY)) == Busy(place.id)
    await ledger.settle(place, seconds=70.0, model="base", answer=ANSWER)
    assert await other_edge.open(claim(request="third", repeat=KEY)) == answer_to("first")

    assert (await proven(store, clock)).spent == 2


async def test_of_many_equal_requests_at_once_one_runs_and_one_pays(
    edges: list[Ledger], store: Store, clock: Clock
) -> None:
    await edges[0].grant("acc_1", 50, "bought")

    async def request(number: int) -> Answer:
        edge = edges[number % len(edges)]
        while isinstance(opened := await edge.open(claim(repeat=KEY)), Busy):  # noqa: ASYNC110 - as a caller does
            await asyncio.sleep(0.02)
        if isinstance(opened, Answer):
            return opened
        await edge.settle(opened, seconds=90.0, model="base", answer=ANSWER)
        return answer_to("request")

    answers = await asyncio.gather(*(request(number) for number in range(20)))

    assert set(answers) == {answer_to("request")}
    audit = await proven(store, clock)
    assert (audit.spent, audit.running) == (2, 0)


async def test_the_same_key_of_another_holder_is_another_request(ledger: Ledger) -> None:
    for holder in ("acc_1", "acc_2"):
        await ledger.grant(holder, 1, "bought")
    places = [await let_in(ledger, claim(holder=holder, repeat=KEY)) for holder in ("acc_1", "acc_2")]

    assert [place.claim.holder for place in places] == ["acc_1", "acc_2"]


async def test_after_a_failure_an_equal_request_may_run(ledger: Ledger, store: Store, clock: Clock) -> None:
    await ledger.grant("acc_1", 1, "bought")
    for _ in range(3):
        place = await let_in(ledger, claim(repeat=KEY))
        await ledger.give_back(place, Outcome.FAILED)

    assert await available(ledger) == 1
    await proven(store, clock)


async def test_after_its_edge_died_an_equal_request_may_run_and_only_it_is_charged(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock
) -> None:
    await ledger.grant("acc_1", 1, "bought")
    dead = await let_in(ledger, claim(repeat=KEY))
    clock.move(LEASE)

    place = await let_in(other_edge, claim(repeat=KEY))
    with pytest.raises(MeshError, match="given up"):
        await ledger.settle(dead, seconds=10.0, model="base", answer=ANSWER)
    await ledger.give_back(dead, Outcome.FAILED)
    assert isinstance(await other_edge.open(claim(repeat=KEY)), Busy)
    await other_edge.settle(place, seconds=10.0, model="base", answer=ANSWER)

    assert isinstance(await ledger.open(claim(repeat=KEY)), Answer)
    assert (await proven(store, clock)).spent == 1


async def test_a_killed_edge_leaves_the_answer_that_it_had_settled(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock
) -> None:
    await ledger.grant("acc_1", 1, "bought")
    place = await let_in(ledger, claim(repeat=KEY))
    await ledger.settle(place, seconds=10.0, model="base", answer=ANSWER)
    clock.move(LEASE)
    await other_edge.reap()

    assert isinstance(await other_edge.open(claim(repeat=KEY)), Answer)
    assert (await proven(store, clock)).spent == 1


async def test_an_answer_is_had_with_nothing_left_and_every_slot_taken(ledger: Ledger) -> None:
    await ledger.grant("acc_1", 2, "bought")
    one = allowing("paid", at_once=1)
    place = await let_in(ledger, claim(one, repeat=KEY))
    await ledger.settle(place, seconds=10.0, model="base", answer=ANSWER)
    await let_in(ledger, claim(one))

    assert isinstance(await ledger.open(claim(one, repeat=KEY)), Answer)


@pytest.mark.parametrize("reaped", [False, True])
async def test_a_day_later_an_answer_is_forgotten(ledger: Ledger, store: Store, clock: Clock, reaped: bool) -> None:
    await ledger.grant("acc_1", 2, "bought")
    place = await let_in(ledger, claim(repeat=KEY))
    clock.move(60)
    await ledger.renew()
    await ledger.settle(place, seconds=10.0, model="base", answer=ANSWER)

    clock.move(ANSWER_SECONDS - 1)
    await ledger.reap()
    assert isinstance(await ledger.open(claim(repeat=KEY)), Answer)
    clock.move(1)
    if reaped:
        await ledger.reap()
        assert await store.find(select(ANSWERS)) is None
    await let_in(ledger, claim(repeat=KEY))


async def test_a_key_whose_answer_was_not_kept_is_forgotten_too(ledger: Ledger, store: Store, clock: Clock) -> None:
    await ledger.grant("acc_1", 2, "bought")
    place = await let_in(ledger, claim(repeat=KEY))
    await ledger.settle(place, seconds=10.0, model="base", delivered=True)

    clock.move(ANSWER_SECONDS)
    await ledger.reap()

    assert await store.find(select(ANSWERS)) is None


async def test_a_key_is_not_forgotten_while_its_request_runs(ledger: Ledger, clock: Clock) -> None:
    await ledger.grant("acc_1", 2, "bought")
    place = await let_in(ledger, claim(repeat=KEY))
    clock.move(ANSWER_SECONDS)
    await ledger.renew()
    await ledger.reap()

    assert await ledger.open(claim(repeat=KEY)) == Busy(place.id)


# What runs at once.


async def test_files_and_streams_share_the_slots_and_summaries_have_their_own(ledger: Ledger) -> None:
    await ledger.grant("acc_1", 9, "bought")
    two = allowing("paid", at_once=2)
    await let_in(ledger, claim(two, Work.FILE))
    await let_in(ledger, claim(two, Work.STREAM))

    for work in (Work.FILE, Work.STREAM):
        with pytest.raises(LimitReached) as caught:
            await ledger.open(claim(two, work))
        assert (caught.value.fault, caught.value.code) == (Fault.OVERLOADED, "too_many_at_once")
        assert caught.value.standing.running == 2
    for _ in range(2):
        await let_in(ledger, claim(two, Work.SUMMARY))
    with pytest.raises(LimitReached):
        await ledger.open(claim(two, Work.SUMMARY))
    assert await available(ledger) == 7


async def test_of_many_at_once_as_many_run_as_the_plan_allows(edges: list[Ledger], store: Store, clock: Clock) -> None:
    await edges[0].grant("acc_1", 99, "bought")

    opened = await asyncio.gather(*(edge.open(claim("paid")) for edge in edges * 5), return_exceptions=True)

    assert sum(isinstance(each, Reservation) for each in opened) == 5
    assert sum(isinstance(each, LimitReached) for each in opened) == 15
    assert (await proven(store, clock)).running == 5


@pytest.mark.parametrize("end", ["settle", "give_back"])
async def test_a_slot_is_free_when_the_work_is_done(ledger: Ledger, end: str) -> None:
    await ledger.grant("acc_1", 9, "bought")
    one = allowing("paid", at_once=1)
    for _ in range(2):
        place = await let_in(ledger, claim(one))
        assert place.standing.running == 1
        if end == "settle":
            await ledger.settle(place, seconds=10.0, model="base")
        else:
            await ledger.give_back(place, Outcome.CANCELLED)


async def test_a_dead_edge_holds_no_slot_and_no_credit_longer_than_its_lease(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock
) -> None:
    await ledger.grant("acc_1", 1, "bought")
    one = allowing("paid", at_once=1)
    dead = await let_in(ledger, claim(one))

    clock.move(LEASE - 0.1)
    with pytest.raises(LimitReached):
        await other_edge.open(claim(one))
    clock.move(0.1)
    place = await let_in(other_edge, claim(one))

    assert place.standing.running == 1
    assert (await reservation(store, dead)).outcome == "expired"
    await proven(store, clock)


async def test_who_is_refused_does_not_undo_that_the_dead_are_ended(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock
) -> None:
    await ledger.grant("acc_1", 2, "bought")
    await let_in(ledger, claim())
    clock.move(10)
    await let_in(ledger, claim())
    clock.move(LEASE - 10)

    with pytest.raises(LimitReached):
        await other_edge.open(claim(allowing("paid", at_once=1)))
    await other_edge.reap()

    assert (await proven(store, clock)).running == 1
    assert await available(ledger) == 1


async def test_another_edge_ends_what_a_dead_one_has_left(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock
) -> None:
    await ledger.grant("acc_1", 9, "bought")
    running = await ledger.extend(await let_in(ledger, claim()), 3)
    settled = await let_in(ledger, claim())
    await ledger.settle(settled, seconds=100.0, model="base")
    alive = await let_in(other_edge, claim())

    clock.move(LEASE)
    await other_edge.renew()
    assert await other_edge.reap() == 1
    # An answer that was paid for has longer to leave.
    clock.move(LEASE)
    await other_edge.renew()
    assert await other_edge.reap() == 1
    assert await other_edge.reap() == 0

    rows = [await reservation(store, place) for place in (running, settled, alive)]
    assert [(row.outcome, row.charged) for row in rows] == [("expired", 0), ("undelivered", 0), ("", 0)]
    assert await available(ledger) == 8
    assert (await proven(store, clock)).spent == 0


async def test_edges_that_reap_at_once_end_each_request_once(edges: list[Ledger], store: Store, clock: Clock) -> None:
    for number in range(6):
        await edges[0].grant(f"acc_{number}", 1, "bought")
        await let_in(edges[0], claim(holder=f"acc_{number}"))
    clock.move(LEASE)

    ended = await asyncio.gather(*(edge.reap() for edge in edges))

    assert sum(ended) == 6
    assert (await proven(store, clock)).running == 0


async def test_one_holder_with_wrong_books_does_not_keep_others_from_being_reaped(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock
) -> None:
    for holder in ("acc_1", "acc_2"):
        await ledger.grant(holder, 1, "bought")
        await let_in(ledger, claim(holder=holder))
        clock.move(1)
    wrong = update(PURSES).where(PURSES.c.holder == "acc_1").values(reserved=0)
    await store.write(lambda connection: connection.execute(wrong))
    clock.move(LEASE)

    assert await other_edge.reap() == 1
    assert await available(ledger, holder="acc_2") == 1


async def test_an_edge_never_takes_itself_for_dead_however_long_it_could_not_say_that_it_lives(
    ledger: Ledger, store: Store, clock: Clock
) -> None:
    one = allowing("paid", at_once=1)
    await ledger.grant("acc_1", 9, "bought")
    place = await let_in(ledger, claim(one))
    clock.move(10 * LEASE)

    assert await ledger.reap() == 0
    with pytest.raises(LimitReached):
        await ledger.open(claim(one))
    assert await ledger.settle(place, seconds=10.0, model="base", delivered=True) == 1
    await proven(store, clock)


async def test_an_edge_that_says_that_it_lives_keeps_what_it_has(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock
) -> None:
    await ledger.grant("acc_1", 9, "bought")
    running, settled = [await let_in(ledger, claim()) for _ in range(2)]
    await ledger.settle(settled, seconds=10.0, model="base")
    for _ in range(5):
        clock.move(LEASE - 1)
        await ledger.renew()
        assert await other_edge.reap() == 0

    await ledger.deliver(settled)
    assert await ledger.settle(running, seconds=10.0, model="base", delivered=True) == 1
    assert (await proven(store, clock)).spent == 2


async def test_a_lease_begins_when_the_request_was_let_in_however_long_it_waited(
    postgresql_database: str, clock: Clock
) -> None:
    holding, store = Store(postgresql_database), Store(postgresql_database)
    ledger = Ledger(store, edge="edge_1", lease_seconds=LEASE, clock=clock)
    await ledger.grant("acc_1", 1, "bought")
    locked, go_on = asyncio.Event(), asyncio.Event()

    async def hold(connection: object) -> None:
        await connection.execute(select(PURSES).with_for_update())  # type: ignore[attr-defined]
        locked.set()
        await go_on.wait()

    holder = asyncio.create_task(holding.write(hold))
    await locked.wait()
    opening = asyncio.create_task(let_in(ledger, claim()))
    waits = text("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
    while await holding.find(waits) is None:  # noqa: ASYNC110 - only the server knows who waits
        await asyncio.sleep(0.01)
    clock.move(LEASE + 1)
    go_on.set()
    await asyncio.gather(holder, opening)

    assert await Ledger(holding, edge="edge_2", lease_seconds=LEASE, clock=clock).reap() == 0
    await holding.close()
    await store.close()


# Streams whose edge dies.


async def test_a_stream_pays_the_whole_minutes_that_were_heard_when_its_edge_dies(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock
) -> None:
    await ledger.grant("acc_1", 9, "bought")
    heard, begun = [await let_in(ledger, claim(work=Work.STREAM)) for _ in range(2)]
    await ledger.extend(heard, 4)
    clock.move(LEASE)

    assert await other_edge.reap() == 2

    rows = [await reservation(store, place) for place in (heard, begun)]
    assert [(row.outcome, row.charged) for row in rows] == [("expired", 3), ("expired", 0)]
    assert await available(ledger) == 6
    assert (await proven(store, clock)).spent == 3
    charge = next(row for row in await entries(store) if row.kind == "charge")
    assert (charge.amount, charge.seconds) == (3, 180.0)
    assert rows[0].seconds == 180.0


async def test_a_use_is_given_back_when_its_edge_dies(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock
) -> None:
    await let_in(ledger, claim("anonymous", Work.STREAM, "ip:1"))
    clock.move(LEASE)
    await other_edge.reap()

    assert await available(ledger, "anonymous", "ip:1") == 3
    await proven(store, clock)


# Edges that come back.


@pytest.mark.parametrize("work", [Work.FILE, Work.STREAM])
async def test_an_edge_that_comes_back_charges_what_is_true_and_nothing_twice(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock, work: Work
) -> None:
    await ledger.grant("acc_1", 9, "bought")
    place = await ledger.extend(await let_in(ledger, claim(work=work)), 4)
    clock.move(LEASE)
    await other_edge.reap()

    place = await ledger.extend(place, 5)
    assert await available(ledger) == 4
    await proven(store, clock)
    assert await ledger.settle(place, seconds=290.0, model="base", delivered=True) == 5

    assert await available(ledger) == 4
    assert (await proven(store, clock)).spent == 5


async def test_an_edge_that_comes_back_with_the_last_word_charges_what_is_true(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock
) -> None:
    await ledger.grant("acc_1", 9, "bought")
    place = await ledger.extend(await let_in(ledger, claim(work=Work.STREAM)), 4)
    clock.move(LEASE)
    await other_edge.reap()

    assert await ledger.settle(place, seconds=200.0, model="base", delivered=True) == 4

    assert (await proven(store, clock)).spent == 4
    assert (await reservation(store, place)).outcome == "answered"


async def test_an_edge_that_comes_back_when_others_have_used_its_minutes_is_refused_and_the_heard_stay_paid(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock
) -> None:
    await ledger.grant("acc_1", 4, "bought")
    place = await ledger.extend(await let_in(ledger, claim(work=Work.STREAM)), 4)
    clock.move(LEASE)
    other = await let_in(other_edge, claim())

    for again in (ledger.extend(place, 4), ledger.settle(place, seconds=200.0, model="base", delivered=True)):
        with pytest.raises(LimitReached):
            await again
    await other_edge.settle(other, seconds=1.0, model="base", delivered=True)

    assert await available(ledger) == 0
    assert (await proven(store, clock)).spent == 4


@pytest.mark.parametrize("come_back", [False, True])
async def test_a_stream_that_failed_while_its_edge_was_taken_for_dead_costs_nothing(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock, come_back: bool
) -> None:
    await ledger.grant("acc_1", 9, "bought")
    place = await ledger.extend(await let_in(ledger, claim(work=Work.STREAM)), 4)
    clock.move(LEASE)
    await other_edge.reap()
    if come_back:
        place = await ledger.extend(place, 5)

    for _ in range(2):
        await ledger.give_back(place, Outcome.FAILED)

    assert await available(ledger) == 9
    assert (await proven(store, clock)).spent == 0
    assert (await reservation(store, place)).outcome == "failed"


async def test_an_edge_that_comes_back_takes_no_slot_that_is_taken(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock
) -> None:
    one = allowing("paid", at_once=1)
    await ledger.grant("acc_1", 9, "bought")
    place = await ledger.extend(await let_in(ledger, claim(one, Work.STREAM)), 2)
    clock.move(LEASE)
    other = await let_in(other_edge, claim(one))

    with pytest.raises(LimitReached) as caught:
        await ledger.extend(place, 3)
    assert caught.value.code == "too_many_at_once"
    assert (await ledger.standing("acc_1", one)).running == 1
    # What it has done is paid all the same.
    assert await ledger.settle(place, seconds=110.0, model="base", delivered=True) == 2
    await other_edge.settle(other, seconds=10.0, model="base", delivered=True)
    assert (await proven(store, clock)).spent == 3


async def test_an_answer_that_left_after_all_is_charged_again_and_once(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock
) -> None:
    await ledger.grant("acc_1", 9, "bought")
    place = await let_in(ledger, claim())
    await ledger.settle(place, seconds=100.0, model="base")
    clock.move(2 * LEASE)
    assert await other_edge.reap() == 1
    assert await available(ledger) == 9

    for _ in range(2):
        await ledger.deliver(place)

    assert (await reservation(store, place)).outcome == "answered"
    assert await available(ledger) == 7
    assert (await proven(store, clock)).spent == 2


async def test_an_answer_that_left_after_all_stays_given_back_where_others_have_used_its_minutes(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock
) -> None:
    await ledger.grant("acc_1", 2, "bought")
    place = await let_in(ledger, claim())
    await ledger.settle(place, seconds=100.0, model="base")
    clock.move(2 * LEASE)
    other = await let_in(other_edge, claim())
    await ledger.deliver(place)
    await other_edge.settle(other, seconds=100.0, model="base", delivered=True)

    assert (await reservation(store, place)).outcome == "undelivered"
    assert (await proven(store, clock)).spent == 2


# Plans and periods.


async def test_an_anonymous_caller_has_three_uses_a_day_and_the_fourth_waits_for_midnight(
    ledger: Ledger, store: Store, clock: Clock
) -> None:
    asked = claim("anonymous", holder="ip:1")
    clock.set(datetime(2026, 11, 15, 22, 30, tzinfo=UTC))
    for left in (2, 1, 0):
        place = await let_in(ledger, asked)
        assert place.standing.available == left
        assert await ledger.settle(place, seconds=5000.0, model="base", delivered=True) == 1

    with pytest.raises(LimitReached) as caught:
        await ledger.open(asked)
    assert (caught.value.fault, caught.value.retry_after_seconds) == (Fault.OVERLOADED, 5400)
    await let_in(ledger, claim("anonymous", holder="ip:2"))

    clock.move(5400)
    await ledger.renew()
    place = await let_in(ledger, asked)
    assert place.standing.available == 2
    await ledger.give_back(place, Outcome.FAILED)
    await proven(store, clock)


async def test_a_use_that_failed_does_not_count(ledger: Ledger) -> None:
    asked = claim("anonymous", holder="ip:1")
    for _ in range(5):
        await ledger.give_back(await let_in(ledger, asked), Outcome.FAILED)

    assert (await let_in(ledger, asked)).standing.available == 2


async def test_the_601st_minute_of_a_month_is_to_be_paid_and_the_next_month_begins_anew(
    ledger: Ledger, store: Store, clock: Clock
) -> None:
    place = await let_in(ledger, claim("free"))
    assert await ledger.settle(place, seconds=599 * 60, model="base", delivered=True) == 599
    place = await let_in(ledger, claim("free"))
    with pytest.raises(LimitReached) as caught:
        await ledger.extend(place, 2)
    assert (caught.value.fault, caught.value.retry_after_seconds) == (Fault.PAYMENT_REQUIRED, None)
    await ledger.settle(place, seconds=60, model="base", delivered=True)
    with pytest.raises(LimitReached) as caught:
        await ledger.open(claim("free"))
    assert caught.value.fault is Fault.PAYMENT_REQUIRED

    clock.set(datetime(2026, 12, 1, tzinfo=UTC))
    assert (await let_in(ledger, claim("free"))).standing.available == 599
    assert (await proven(store, clock)).spent == 600


@pytest.mark.parametrize("outcome", ["settle", "give_back", "dead"])
async def test_a_request_of_last_month_ends_in_its_own_purse(
    ledger: Ledger, other_edge: Ledger, store: Store, clock: Clock, outcome: str
) -> None:
    clock.set(datetime(2026, 11, 30, 23, 59, 55, tzinfo=UTC))
    place = await let_in(ledger, claim("free", Work.STREAM))
    clock.move(10)
    place = await ledger.extend(place, 4)
    fresh = await available(ledger, "free")
    if outcome == "settle":
        await ledger.settle(place, seconds=230.0, model="base")
        await ledger.deliver(place)
    elif outcome == "give_back":
        await ledger.settle(place, seconds=230.0, model="base")
        await ledger.give_back(place, Outcome.FAILED)
    else:
        clock.move(LEASE)
        await other_edge.reap()

    assert fresh == await available(ledger, "free") == 600
    purse = await store.find(select(PURSES).where(PURSES.c.period == "2026-11"))
    spent = {"settle": 4, "give_back": 0, "dead": 3}[outcome]
    assert (purse.available, purse.reserved, purse.spent) == (600 - spent, 0, spent)
    await proven(store, clock)


async def test_an_allowance_that_grows_or_shrinks_in_the_middle_of_a_month_keeps_what_was_used(
    ledger: Ledger, store: Store, clock: Clock
) -> None:
    small, large, tiny = (allowing("free", amount=amount) for amount in (10, 20, 2))
    place = await let_in(ledger, claim(small))
    await ledger.settle(place, seconds=240.0, model="base", delivered=True)

    assert await available(ledger, large) == 16
    assert (await let_in(ledger, claim(large))).standing.available == 15
    assert await available(ledger, small) == 5
    assert await available(ledger, tiny) == 0
    with pytest.raises(LimitReached):
        await ledger.open(claim(tiny))
    assert (await let_in(ledger, claim(small))).standing.available == 4
    await proven(store, clock)


async def test_who_changes_to_credits_and_back_finds_the_allowance_as_it_was(
    ledger: Ledger, store: Store, clock: Clock
) -> None:
    running = await ledger.extend(await let_in(ledger, claim("free")), 10)
    await ledger.grant("acc_1", 5, "bought")
    place = await let_in(ledger, claim("paid"))
    assert place.standing.available == 4
    await ledger.settle(place, seconds=120.0, model="base", delivered=True)
    # It was let in under the plan that was.
    await ledger.settle(running, seconds=600.0, model="base", delivered=True)

    assert await available(ledger, "paid") == 3
    assert await available(ledger, "free") == 590
    assert (await proven(store, clock)).spent == 12


async def test_an_open_plan_counts_without_a_limit(ledger: Ledger, store: Store, clock: Clock) -> None:
    places = [await let_in(ledger, claim("unlimited")) for _ in range(8)]
    for place in places:
        assert await ledger.settle(place, seconds=6000.0, model="base", delivered=True) == 100

    assert (await proven(store, clock)).spent == 800
    assert (await ledger.standing("acc_1", PLANS.get("unlimited"))).period_end is None


async def test_an_open_plan_that_ends_leaves_an_allowance_used_up(ledger: Ledger, store: Store, clock: Clock) -> None:
    place = await let_in(ledger, claim("unlimited"))
    await ledger.settle(place, seconds=700 * 60.0, model="base", delivered=True)

    with pytest.raises(LimitReached):
        await ledger.open(claim("free"))
    await proven(store, clock)


async def test_credits_are_given_and_taken_back_as_far_as_they_are_there(
    ledger: Ledger, store: Store, clock: Clock
) -> None:
    assert await ledger.grant("acc_1", 10, "bought") == 10
    await let_in(ledger, claim())
    assert await ledger.grant("acc_1", -4, "a mistake") == 5
    with pytest.raises(MeshError, match="Only 5 credits are available") as caught:
        await ledger.grant("acc_1", -6, "too much")

    assert (caught.value.fault, caught.value.field) == (Fault.INVALID, "amount")
    assert await ledger.grant("acc_1", 0, "nothing") == 5
    assert await moves(store) == [("grant", 10), ("reserve", 1), ("withdrawal", 4)]
    await proven(store, clock)


async def test_a_note_that_no_database_takes_is_refused(ledger: Ledger, store: Store) -> None:
    with pytest.raises(MeshError) as caught:
        await ledger.grant("acc_1", 10, "bought\0")

    assert (caught.value.fault, caught.value.field) == (Fault.INVALID, "note")
    assert await moves(store) == []


async def test_looking_at_a_standing_changes_nothing(ledger: Ledger, store: Store, clock: Clock) -> None:
    standing = await ledger.standing("acc_1", PLANS.get("free"))

    assert (standing.available, standing.running, standing.at) == (600, 0, clock())
    assert standing.period_end == datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    assert (await proven(store, clock)).purses == 0


async def test_a_standing_counts_what_runs_and_lives(ledger: Ledger, other_edge: Ledger, clock: Clock) -> None:
    for work in (Work.FILE, Work.STREAM, Work.SUMMARY):
        await let_in(ledger, claim("unlimited", work))
    assert (await ledger.standing("acc_1", PLANS.get("unlimited"))).running == 2
    clock.move(LEASE)
    assert (await other_edge.standing("acc_1", PLANS.get("unlimited"))).running == 0


# Where the word that it was committed is lost.


@pytest.fixture
async def far(postgresql_database: str, clock: Clock) -> AsyncIterator[tuple[CutWire, Ledger]]:
    """Yield a wire that can be cut, and the ledger of an edge at its end."""
    async with cut_wire(postgresql_database) as (wire, url):
        store = Store(url)
        yield wire, Ledger(store, edge="edge_far", lease_seconds=LEASE, clock=clock)
        await store.close()


@pytest.fixture
async def near(postgresql_database: str) -> AsyncIterator[Store]:
    """Yield the same database without the wire."""
    store = Store(postgresql_database)
    yield store
    await store.close()


@pytest.mark.parametrize("by", ["itself", "another"])
async def test_a_place_that_nobody_learned_of_is_free_after_the_lease(
    far: tuple[CutWire, Ledger], near: Store, clock: Clock, by: str
) -> None:
    wire, edge = far
    ledger = Ledger(near, edge="edge_near", lease_seconds=LEASE, clock=clock)
    reaper = edge if by == "itself" else ledger
    await edge.grant("acc_1", 2, "bought")
    known = await let_in(edge, claim())
    wire.lose_next_commit = True
    with pytest.raises(MeshError) as caught:
        await edge.open(claim(repeat=KEY))
    assert caught.value.fault is Fault.UNAVAILABLE
    assert await available(ledger) == 0

    for _ in range(3):
        clock.move(LEASE / 2)
        await edge.renew()
    assert await reaper.reap() == 1

    assert await available(ledger) == 1
    assert isinstance(await reaper.open(claim(repeat=KEY)), Reservation)
    assert await edge.settle(known, seconds=5.0, model="base", delivered=True) == 1
    await proven(near, clock)


async def test_a_charge_that_nobody_learned_of_is_given_back(
    far: tuple[CutWire, Ledger], near: Store, clock: Clock
) -> None:
    wire, edge = far
    await edge.grant("acc_1", 2, "bought")
    place = await let_in(edge, claim())
    wire.lose_next_commit = True
    with pytest.raises(MeshError):
        await edge.settle(place, seconds=100.0, model="base")
    await edge.give_back(place, Outcome.FAILED)

    assert await available(edge) == 2
    assert (await proven(near, clock)).spent == 0


async def test_an_answer_that_nobody_learned_of_is_there_for_who_asks_again(
    far: tuple[CutWire, Ledger], near: Store, clock: Clock
) -> None:
    wire, edge = far
    await edge.grant("acc_1", 2, "bought")
    place = await let_in(edge, claim(repeat=KEY))
    wire.lose_next_commit = True
    with pytest.raises(MeshError):
        await edge.settle(place, seconds=100.0, model="base", answer=ANSWER)
    await edge.give_back(place, Outcome.FAILED)

    assert isinstance(await edge.open(claim(repeat=KEY)), Answer)
    assert (await proven(near, clock)).spent == 2


async def test_a_stream_whose_charge_nobody_learned_of_is_charged_once(
    far: tuple[CutWire, Ledger], near: Store, clock: Clock
) -> None:
    wire, edge = far
    await edge.grant("acc_1", 9, "bought")
    place = await edge.extend(await let_in(edge, claim(work=Work.STREAM)), 2)
    wire.lose_next_commit = True
    with pytest.raises(MeshError):
        await edge.settle(place, seconds=100.0, model="base", delivered=True)

    assert await edge.settle(place, seconds=100.0, model="base", delivered=True) == 2
    assert (await proven(near, clock)).spent == 2


async def test_an_extension_that_nobody_learned_of_reserves_once(
    far: tuple[CutWire, Ledger], near: Store, clock: Clock
) -> None:
    wire, edge = far
    await edge.grant("acc_1", 9, "bought")
    place = await let_in(edge, claim())
    wire.lose_next_commit = True
    with pytest.raises(MeshError):
        await edge.extend(place, 3)

    assert (await edge.extend(place, 3)).reserved == 3
    assert await available(edge) == 6
    await proven(near, clock)


@pytest.mark.parametrize("how", ["revoked", "expired", "closed"])
async def test_a_request_whose_key_is_taken_no_more_gets_no_more(
    ledger: Ledger, store: Store, register: Register, clock: Clock, how: str
) -> None:
    account = await register.create_account("Anna", "paid")
    key = (await register.create_key(account.id, "first", expires_at=clock() + 100)).key
    await ledger.grant(account.id, 10, "bought")
    place = await let_in(ledger, replace(claim(), holder=account.id, key_id=key.id))
    place = await ledger.extend(place, 2)

    if how == "revoked":
        await register.revoke_key(key.id)
    elif how == "closed":
        await register.change_account(account.id, closed=True)
    else:
        clock.move(101)
    with pytest.raises(MeshError) as refused:
        await ledger.extend(place, 3)

    assert (refused.value.fault, refused.value.code) == (Fault.UNAUTHENTICATED, "invalid_api_key")
    # What it has had is paid for all the same.
    assert await ledger.settle(place, seconds=119.0, model="base", delivered=True) == 2
    await proven(store, clock)


async def test_what_is_reserved_later_names_what_it_is_for(ledger: Ledger, store: Store) -> None:
    await ledger.grant("acc_1", 10, "bought")

    await ledger.extend(await let_in(ledger, claim()), 3, seconds=150.5, model="base")

    last = (await entries(store))[-1]
    assert (last.kind, last.amount, last.seconds, last.model) == ("reserve", 2, 150.5, "base")


async def test_credits_with_one_reference_are_given_once(ledger: Ledger, store: Store, clock: Clock) -> None:
    given = [await ledger.grant("acc_1", 5, "paid", "invoice-17") for _ in range(3)]
    at_once = await asyncio.gather(*(ledger.grant("acc_1", -2, "back", "invoice-18") for _ in range(5)))

    assert given == [5, 5, 5]
    assert at_once == [3] * 5
    assert await ledger.grant("acc_2", 5, "paid", "invoice-17") == 5
    with pytest.raises(MeshError, match="another amount"):
        await ledger.grant("acc_1", 6, "paid", "invoice-17")
    assert await available(ledger) == 3
    await proven(store, clock)


async def test_whether_an_equal_request_is_over_is_asked_without_taking_its_place(
    edges: list[Ledger], store: Store, clock: Clock
) -> None:
    first, other = edges[:2]
    await first.grant("acc_1", 10, "bought")
    asked = claim(repeat=b"k" * 32)
    assert await other.answered(asked)
    place = await let_in(first, asked)
    assert not await other.answered(asked)

    clock.move(1000)
    assert await other.answered(asked)  # its edge is dead
    await first.renew()
    assert not await other.answered(asked)
    await first.settle(place, seconds=30.0, model="base", answer=answer_to("what"))

    assert await other.answered(asked)
    assert await store.find(select(ANSWERS.c.body)) is not None


async def test_who_leaves_while_he_is_let_in_holds_no_slot_for_longer_than_a_lease(
    ledger: Ledger, store: Store, clock: Clock
) -> None:
    await ledger.grant("acc_1", 100, "bought")
    for pause in range(20):
        asking = asyncio.ensure_future(ledger.open(claim()))
        await asyncio.sleep(pause * 0.0003)
        asking.cancel()
        await asyncio.wait({asking})
        if not asking.cancelled():
            place = asking.result()
            assert isinstance(place, Reservation)
            await ledger.give_back(place, Outcome.CANCELLED)
    if store._doing:
        await asyncio.wait(store._doing)

    clock.move(1000)
    await ledger.renew()
    await ledger.reap()

    assert (await proven(store, clock)).running == 0
    assert await available(ledger) == 100
    assert ledger._lost == set()
