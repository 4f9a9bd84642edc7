import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from services.accounts import usage
from services.accounts.audit import verify
from services.accounts.claims import Answer, LimitReached, Outcome, Reservation, Work
from services.accounts.ledger import Ledger
from services.accounts.plans import load_plans
from services.accounts.store import AWAY, Store
from services.edge.answers import REQUEST_ID, STANDING
from services.edge.identity import Caller
from services.edge.metering import Metering, repeat_of
from services.runtime.errors import Fault, MeshError
from tests.edge.accounts import new_database

LEASE_SECONDS = 1.5
PAID = Caller("acc_1", load_plans().get("paid"), "key_1")


class ForgetfulLedger(Ledger):
    """Cannot be told that something is given back, so many times."""

    away = 0

    async def give_back(self, reservation: Reservation, outcome: Outcome) -> None:
        if self.away:
            self.away -= 1
            raise MeshError(Fault.UNAVAILABLE, "The accounts cannot be reached at this moment.", code=AWAY)
        await super().give_back(reservation, outcome)


def _request(**headers: str) -> web.Request:
    request = make_mocked_request("POST", "/v1/transcribe", headers=headers)
    request[REQUEST_ID] = "job-17"
    return request


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store(await new_database(tmp_path))
    yield opened
    await opened.close()


@pytest.fixture
async def ledger(store: Store) -> ForgetfulLedger:
    ledger = ForgetfulLedger(store, edge="edge_1", lease_seconds=LEASE_SECONDS)
    await ledger.grant(PAID.holder, 10, "bought")
    return ledger


@pytest.fixture
async def metering(ledger: ForgetfulLedger) -> AsyncIterator[Metering]:
    metering = Metering(ledger, LEASE_SECONDS)
    yield metering
    await metering.told()


async def _outcomes(metering: Metering, store: Store) -> list[tuple[str, int]]:
    """Return what became of all requests, the newest first, after proving the books."""
    await metering.told()
    clock = metering.ledger.clock
    assert (await verify(store, clock())).faults == []
    requests = await usage.by_request(store, PAID.holder, since=0, until=clock() + 1, limit=100)
    return [(request.outcome, request.charged) for request in requests]


async def _left(ledger: Ledger) -> int:
    return (await ledger.standing(PAID.holder, PAID.plan)).available


async def test_what_is_settled_is_charged_and_its_answer_noted_as_delivered(
    metering: Metering, ledger: Ledger, store: Store
) -> None:
    request = _request()
    async with metering.admit(request, PAID, Work.FILE) as admitted:
        await admitted.cover(100.0)
        await admitted.settle(61.0, "base")
        admitted.leaves()

    assert await _outcomes(metering, store) == [("answered", 2)]
    assert await _left(ledger) == 8
    assert (request[STANDING].available, request[STANDING].running) == (8, 0)


async def test_a_request_that_fails_costs_nothing(metering: Metering, ledger: Ledger, store: Store) -> None:
    async def ask() -> None:
        async with metering.admit(_request(), PAID, Work.FILE) as admitted:
            await admitted.cover(300.0)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await ask()

    assert await _outcomes(metering, store) == [("failed", 0)]
    assert await _left(ledger) == 10


async def _held(metering: Metering, begun: asyncio.Event) -> None:
    async with metering.admit(_request(), PAID, Work.FILE) as admitted:
        await admitted.cover(300.0)
        begun.set()
        await asyncio.Event().wait()


async def test_a_client_that_leaves_pays_nothing(metering: Metering, ledger: Ledger, store: Store) -> None:
    begun = asyncio.Event()
    asking = asyncio.ensure_future(_held(metering, begun))
    await begun.wait()

    asking.cancel()
    await asyncio.wait({asking})

    assert await _outcomes(metering, store) == [("cancelled", 0)]
    assert await _left(ledger) == 10


@pytest.mark.parametrize("steps", range(0, 40, 3))
async def test_a_client_may_leave_at_any_moment(metering: Metering, ledger: Ledger, store: Store, steps: int) -> None:
    async def ask() -> None:
        async with metering.admit(_request(), PAID, Work.FILE) as admitted:
            await admitted.cover(150.0)
            await admitted.settle(150.0, "base")
            admitted.leaves()

    asking = asyncio.ensure_future(ask())
    for _ in range(steps):
        await asyncio.sleep(0.0005)
    asking.cancel()
    await asyncio.wait({asking})

    outcomes = await _outcomes(metering, store)
    assert outcomes in ([], [("cancelled", 0)], [("answered", 3)])
    assert await _left(ledger) == 10 - sum(charged for _, charged in outcomes)
    assert (outcomes == [("answered", 3)]) == (not asking.cancelled())


async def test_what_the_store_could_not_be_told_is_told_again(
    metering: Metering, ledger: ForgetfulLedger, store: Store
) -> None:
    ledger.away = 2
    with pytest.raises(ValueError, match="broken"):
        async with metering.admit(_request(), PAID, Work.FILE):
            raise ValueError("broken")
    await metering.told()
    assert await _left(ledger) == 9

    living = asyncio.ensure_future(metering.keep_alive())
    for _ in range(500):
        if await _left(ledger) == 10:
            break
        await asyncio.sleep(0.02)
    living.cancel()
    await asyncio.wait({living})

    assert await _outcomes(metering, store) == [("failed", 0)]


async def test_what_the_ledger_refuses_to_be_told_is_left_to_the_lease(
    metering: Metering, ledger: ForgetfulLedger, store: Store
) -> None:
    async with metering.admit(_request(), PAID, Work.STREAM) as admitted:
        await ledger.grant(PAID.holder, -9, "taken back")
        admitted.settle_stream(3000.0, 3000.0)  # what was never covered
    await metering.told()

    await asyncio.sleep(1.1 * LEASE_SECONDS)
    await ledger.renew()

    assert await ledger.reap() == 1
    assert await _outcomes(metering, store) == [("expired", 0)]


async def test_as_long_as_this_process_lives_nobody_takes_what_it_has_reserved(
    metering: Metering, store: Store
) -> None:
    other = Ledger(store, edge="edge_2", lease_seconds=LEASE_SECONDS)
    living = asyncio.ensure_future(metering.keep_alive())
    async with metering.admit(_request(), PAID, Work.FILE) as admitted:
        for _ in range(10):
            await asyncio.sleep(0.15 * LEASE_SECONDS)
            assert await other.reap() == 0
        await admitted.settle(30.0, "base")
        admitted.leaves()
    living.cancel()
    await asyncio.wait({living})

    assert await _outcomes(metering, store) == [("answered", 1)]


async def test_a_store_that_is_away_is_known_to_be() -> None:
    store = Store("postgresql://nobody@127.0.0.1:1/nothing")
    metering = Metering(Ledger(store, edge="edge_1", lease_seconds=0.4), 0.4)

    living = asyncio.ensure_future(metering.keep_alive())
    for _ in range(100):
        if not metering.reachable:
            break
        await asyncio.sleep(0.02)
    living.cancel()
    await asyncio.wait({living})
    with pytest.raises(MeshError) as refused:
        async with metering.admit(_request(), PAID, Work.FILE):
            raise AssertionError("let in")
    await metering.told()
    await store.close()

    assert not metering.reachable
    assert (refused.value.fault, refused.value.code) == (Fault.UNAVAILABLE, "accounts_unavailable")


async def test_who_is_refused_is_told_how_he_stands(metering: Metering, ledger: Ledger) -> None:
    await ledger.grant(PAID.holder, -10, "taken back")
    request = _request()

    with pytest.raises(LimitReached) as refused:
        async with metering.admit(request, PAID, Work.FILE):
            raise AssertionError("let in")

    assert refused.value.fault is Fault.PAYMENT_REQUIRED
    assert request[STANDING].available == 0


async def test_an_equal_request_waits_for_the_answer_of_the_first(
    metering: Metering, ledger: Ledger, store: Store
) -> None:
    answers: list[Any] = []

    async def ask(pause: float) -> None:
        async with metering.admit(_request(), PAID, Work.FILE, b"k" * 32) as admitted:
            kept = admitted.kept_answer(b"f" * 32)
            if kept is None:
                await asyncio.sleep(pause)
                kept = Answer(b"f" * 32, "text/plain", b"Hello.")
                await admitted.settle(30.0, "base", kept)
            answers.append(kept.body)

    await asyncio.gather(*(ask(0.2) for _ in range(5)))

    assert answers == [b"Hello."] * 5
    assert await _outcomes(metering, store) == [("answered", 1)]


async def test_the_place_of_an_equal_request_that_fails_is_taken_by_the_next(metering: Metering, store: Store) -> None:
    begun = asyncio.Event()

    async def fail() -> None:
        async with metering.admit(_request(), PAID, Work.FILE, b"k" * 32):
            begun.set()
            await asyncio.sleep(0.1)
            raise ValueError("broken")

    async def ask() -> Answer | None:
        async with metering.admit(_request(), PAID, Work.FILE, b"k" * 32) as admitted:
            kept = admitted.kept_answer(b"f" * 32)
            await admitted.settle(30.0, "base", Answer(b"f" * 32, "text/plain", b"Hello."))
            return kept

    failing = asyncio.ensure_future(fail())
    await begun.wait()
    assert await ask() is None
    await asyncio.wait({failing})

    assert failing.exception() is not None
    assert sorted(await _outcomes(metering, store)) == [("answered", 1), ("failed", 0)]


async def test_what_is_settled_and_never_leaves_is_given_back(metering: Metering, ledger: Ledger, store: Store) -> None:
    async def ask() -> None:
        async with metering.admit(_request(), PAID, Work.FILE) as admitted:
            await admitted.settle(61.0, "base")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await ask()

    assert await _outcomes(metering, store) == [("failed", 0)]
    assert await _left(ledger) == 10


async def test_who_fails_again_and_again_is_held_up(metering: Metering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.edge.metering._MOST_FAILURES", 3)
    monkeypatch.setattr(metering.ledger, "clock", lambda: 1_800_000_000.0)

    async def ask() -> None:
        async with metering.admit(_request(), PAID, Work.FILE):
            raise ValueError("broken")

    for _ in range(3):
        with pytest.raises(ValueError, match="broken"):
            await ask()
    with pytest.raises(MeshError) as refused:
        await ask()
    monkeypatch.setattr(metering.ledger, "clock", lambda: 1_800_000_060.0)
    with pytest.raises(ValueError, match="broken"):
        await ask()

    assert (refused.value.fault, refused.value.code) == (Fault.OVERLOADED, "too_many_failures")


async def test_only_so_many_wait_for_the_answer_of_one(metering: Metering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.edge.metering._MOST_WAITING", 2)
    done = asyncio.Event()

    async def first() -> None:
        async with metering.admit(_request(), PAID, Work.FILE, b"k" * 32) as admitted:
            await done.wait()
            await admitted.settle(30.0, "base", Answer(b"f" * 32, "text/plain", b"Hello."))

    async def ask() -> bool:
        async with metering.admit(_request(), PAID, Work.FILE, b"k" * 32) as admitted:
            return admitted.is_answered

    working = asyncio.ensure_future(first())
    await asyncio.sleep(0.1)
    waiting = [asyncio.ensure_future(ask()) for _ in range(2)]
    await asyncio.sleep(0.1)
    with pytest.raises(MeshError) as refused:
        await ask()
    done.set()

    assert refused.value.code == "too_many_waiting"
    assert await asyncio.gather(*waiting) == [True, True]
    await working


async def test_a_stream_is_paid_for_as_far_as_it_came(metering: Metering, store: Store) -> None:
    async with metering.admit(_request(), PAID, Work.STREAM) as admitted:
        assert admitted.covered_seconds() == 60.0
        await admitted.cover(60.5)
        assert admitted.covered_seconds() == 120.0
        admitted.settle_stream(75.0, 60.0)

    assert await _outcomes(metering, store) == [("answered", 1)]


def test_the_idempotency_key_is_known_by_its_digest_only() -> None:
    digest = repeat_of(_request(**{"Idempotency-Key": "job-17"}))

    assert digest is not None
    assert len(digest) == 32
    assert b"job-17" not in digest
    assert repeat_of(_request()) is None


@pytest.mark.parametrize("key", ["", " ", "a b", "ключ", "x" * 256])
def test_an_idempotency_key_that_cannot_be_one_is_refused(key: str) -> None:
    with pytest.raises(MeshError) as refused:
        repeat_of(_request(**{"Idempotency-Key": key}))

    assert (refused.value.fault, refused.value.field) == (Fault.INVALID, "Idempotency-Key")
