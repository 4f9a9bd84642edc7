"""What requests may use and have used: reserved before the work, charged for what was true, given back when it failed.

    open      one transaction: leases of the dead are ended, the limit of what runs at once is held, the least that
              the work can cost is reserved
    extend    reserves more, when a recording turns out to be longer, and minute by minute of a live stream
    settle    charges the true cost and releases the rest, before the answer leaves
    deliver   tells that the answer has left; who is killed in between gives it back
    give back releases or refunds everything

A reservation is a lease: its edge says every few seconds that it lives, and what it does not say so for any more is
ended by whoever comes next, its own next process or another edge. So a killed edge holds no slot and no credit for
longer than a lease.

Every transaction that touches a holder's purses or reservations first locks the row of his purse of no period, so
they happen one after the other for one holder, and side by side for different ones.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.accounts import periods
from services.accounts.books import About, Kind, NotEnough, Purse
from services.accounts.claims import (
    Answer,
    Busy,
    Claim,
    LimitReached,
    Outcome,
    Reservation,
    Standing,
    Work,
    too_many_at_once,
    used_up,
)
from services.accounts.plans import Funding, Plan, Unit
from services.accounts.register import found_of, select_found
from services.accounts.store import Store
from services.accounts.tables import ANSWERS, ENTRIES, KEYS, RESERVATIONS
from services.accounts.transaction import Transaction, live_rows, load_purse, rows_of
from services.runtime.errors import Fault, MeshError, invalid_field
from services.runtime.logs import get_logger

T = TypeVar("T")

ANSWER_SECONDS = 24 * 3600.0
"""How long an answer is kept for whoever repeats its request with the same Idempotency-Key."""

MOST_REFERENCE = 64
"""Characters of the reference of a grant."""

_REAP_AT_ONCE = 100
_DELIVERY_LEASES = 2
"""How many leases an answer has to leave."""

_SLOTS = {Work.FILE: (Work.FILE, Work.STREAM), Work.STREAM: (Work.FILE, Work.STREAM)}
"""What is counted together against the limit of what runs at once; anything else only with its like."""


class Ledger:
    """The ledger of one process.

    Args:
        store: where it is kept; its schema is the newest.
        edge: this process, by a name that no other has; what it opens is renewed and ended under it.
        lease_seconds: how long a reservation outlives the last sign of life.
        clock: tells the time, in seconds since 1970.
    """

    def __init__(
        self, store: Store, *, edge: str, lease_seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._edge = edge
        self._lease_seconds = lease_seconds
        self.clock = clock
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        # Reservations of which nobody here has heard whether they were committed, and on which nobody works.
        self._lost: set[str] = set()

    async def open(self, claim: Claim) -> Reservation | Answer | Busy:
        """Let a request in, or return what its repetition gets.

        Raises:
            LimitReached: PAYMENT_REQUIRED when nothing is left, OVERLOADED when a slot or a use is not free now.
            MeshError: UNAVAILABLE when the store is away.
        """
        made: list[str] = []
        left = False

        async def work(connection: AsyncConnection) -> Reservation | Answer | Busy:
            made.clear()
            opened = await self._open(connection, claim)
            if isinstance(opened, Reservation):
                made.append(opened.id)
                if left:
                    self._lost.add(opened.id)
            return opened

        try:
            return await self._write(claim.holder, work)
        except BaseException:
            # The connection may have gone after the commit, or who asks has left; its lease ends what is there then.
            left = True
            self._lost.update(made)
            raise

    async def answered(self, claim: Claim) -> bool:
        """Return whether the request that is equal to this one is over, with an answer or without."""
        kept = select(
            ANSWERS.c.body.is_not(None), RESERVATIONS.c.edge, RESERVATIONS.c.lease_until, RESERVATIONS.c.id
        ).join(RESERVATIONS, RESERVATIONS.c.id == ANSWERS.c.reservation_id)
        row = await self._store.find(kept.where(ANSWERS.c.holder == claim.holder, ANSWERS.c.key_digest == claim.repeat))
        return row is None or bool(row[0]) or self._is_dead(row, self.clock())

    async def extend(
        self, reservation: Reservation, amount: int, *, seconds: float | None = None, model: str | None = None
    ) -> Reservation:
        """Return the reservation with `amount` reserved in all, at least.

        Args:
            reservation: of the request.
            amount: in the plan's unit.
            seconds: of audio that it is reserved for.
            model: what is to do the work.

        Raises:
            LimitReached: PAYMENT_REQUIRED when that is not left, OVERLOADED when this process was taken for dead, and
                others have its slot.
            MeshError: UNAUTHENTICATED when the key is not taken any more; UNAVAILABLE when the store is away, or an
                equal request has taken its place meanwhile.
        """

        async def work(connection: AsyncConnection) -> Reservation:
            ledger = await Transaction.of(connection, reservation.claim.holder, self.clock)
            row = await ledger.row(reservation.id)
            if row.state == "closed":
                live = self._alive(await live_rows(connection, reservation.claim.holder), ledger.now)
                await _with_a_slot(ledger, reservation.claim, row.period, live)
            row = await self._running(ledger, reservation)
            if amount > row.reserved:
                await _require_valid_key(connection, reservation.claim.key_id, ledger.now)
                about = _about(row, model=model, seconds=seconds)
                await self._reserve(ledger, reservation.claim, row.period, amount, about, held=row.reserved)
                await ledger.change(row.id, reserved=amount)
            await ledger.write()
            return replace(reservation, reserved=max(amount, row.reserved))

        return await self._write(reservation.claim.holder, work)

    async def settle(
        self,
        reservation: Reservation,
        *,
        seconds: float,
        charged_seconds: float | None = None,
        model: str | None,
        answer: Answer | None = None,
        delivered: bool = False,
    ) -> int:
        """Charge what a request has cost, release the rest, and return the charge. Doing it twice, because nobody has
        heard of the first time, charges once.

        Args:
            reservation: of the request.
            seconds: of audio.
            charged_seconds: for how many of them is paid; all unless given.
            model: what did the work.
            answer: is kept for whoever repeats the request.
            delivered: whether nothing is on its way any more; else `deliver` or `give_back` follows.

        Raises:
            LimitReached: PAYMENT_REQUIRED when it has cost more than was reserved, and that is not left.
            MeshError: UNAVAILABLE when the store is away, or an equal request has taken its place meanwhile.
        """

        async def work(connection: AsyncConnection) -> int:
            ledger = await Transaction.of(connection, reservation.claim.holder, self.clock)
            row = await ledger.row(reservation.id)
            if row.state == "settled" or row.outcome == Outcome.ANSWERED:
                return int(row.charged)
            row = await self._running(ledger, reservation)
            cost = 0
            if reservation.claim.work is not Work.SUMMARY:
                cost = reservation.claim.plan.unit.cost(seconds if charged_seconds is None else charged_seconds)
            about = _about(row, model=model, seconds=seconds)
            if cost > row.reserved:
                await self._reserve(ledger, reservation.claim, row.period, cost, about, held=row.reserved)
            await ledger.move(row.period, Kind.CHARGE, cost, about)
            await ledger.move(row.period, Kind.RELEASE, max(0, row.reserved - cost), about)
            done = delivered or answer is not None or cost == 0
            await ledger.change(
                row.id,
                state="closed" if done else "settled",
                outcome=Outcome.ANSWERED if done else "",
                closed_at=ledger.now if done else None,
                # What was paid for may have been delivered, and is given back more reluctantly. It holds no slot.
                lease_until=ledger.now + _DELIVERY_LEASES * self._lease_seconds,
                reserved=0,
                charged=cost,
                seconds=seconds,
                model=model,
                answer_kept=answer is not None,
            )
            if answer is not None:
                await _keep(connection, row.id, answer, ledger.now)
            await ledger.write()
            return cost

        return await self._write(reservation.claim.holder, work)

    async def deliver(self, reservation: Reservation) -> None:
        """Tell that the answer has left. What was given back meanwhile, because this process could not say for a while
        that it lives, is charged again, where it is still there.
        """

        async def work(connection: AsyncConnection) -> bool:
            told = await connection.execute(
                update(RESERVATIONS)
                .where(RESERVATIONS.c.id == reservation.id, RESERVATIONS.c.state == "settled")
                .values(state="closed", outcome=Outcome.ANSWERED, closed_at=self.clock())
            )
            return bool(told.rowcount == 1)

        if not await self._store.write(work):
            await self._write(reservation.claim.holder, lambda connection: self._charge_again(connection, reservation))

    async def _charge_again(self, connection: AsyncConnection, reservation: Reservation) -> None:
        ledger = await Transaction.of(connection, reservation.claim.holder, self.clock)
        row = await ledger.row(reservation.id)
        if row.outcome != Outcome.UNDELIVERED:
            return
        cost, about = reservation.claim.plan.unit.cost(row.seconds), _about(row)
        with contextlib.suppress(LimitReached):
            await self._reserve(ledger, reservation.claim, row.period, cost, about)
            await ledger.move(row.period, Kind.CHARGE, cost, about)
            await ledger.change(row.id, outcome=Outcome.ANSWERED, charged=cost)
            await ledger.write()

    async def give_back(self, reservation: Reservation, outcome: Outcome) -> None:
        """End a request that has failed or was cancelled: nothing is charged, nor what was when this process was taken
        for dead. Doing it twice does nothing more.
        """

        async def work(connection: AsyncConnection) -> None:
            ledger = await Transaction.of(connection, reservation.claim.holder, self.clock)
            row = await ledger.row(reservation.id)
            if row.state != "closed" or row.outcome == Outcome.EXPIRED:
                await _end(ledger, row, outcome)
                await ledger.write()

        await self._write(reservation.claim.holder, work)

    def abandon(self, reservation: Reservation) -> None:
        """Say no more that a request lives: it has ended, and the ledger cannot be told how. Its lease ends it."""
        self._lost.add(reservation.id)

    async def renew(self) -> None:
        """Say that this process lives, for all that it runs."""

        async def work(connection: AsyncConnection) -> None:
            until = self.clock() + self._lease_seconds
            mine = (
                RESERVATIONS.c.edge == self._edge,
                RESERVATIONS.c.state != "closed",
                RESERVATIONS.c.lease_until < until,
                RESERVATIONS.c.id.not_in(self._lost),
            )
            await connection.execute(update(RESERVATIONS).where(*mine).values(lease_until=until))

        await self._store.write(work, apart=True)

    async def reap(self) -> int:
        """End what the dead have left, and forget answers that are old; return how many requests were ended."""
        now = self.clock()
        dead = await self._store.read(lambda connection: self._dead(connection, now))
        ended, stuck = 0, set[str]()
        for row in dead:
            if row.holder in stuck:
                continue
            try:
                ended += await self._reap_one(row.id, row.holder)
            except MeshError:
                # Logged where it happened. Others must not wait for one whose rows somebody holds.
                stuck.add(row.holder)
        if self._lost:
            await self._forget_what_was_lost()
        if await self._store.find(
            select(ANSWERS.c.created_at).where(ANSWERS.c.created_at <= now - ANSWER_SECONDS).limit(1)
        ):
            await self._store.write(lambda connection: _forget(connection, now))
        return ended

    async def _forget_what_was_lost(self) -> None:
        lost = set(self._lost)
        open_ = select(RESERVATIONS.c.id).where(RESERVATIONS.c.id.in_(lost), RESERVATIONS.c.state != "closed")
        found = await self._store.read(lambda connection: rows_of(connection, open_))
        self._lost -= lost - {row.id for row in found}

    async def _dead(self, connection: AsyncConnection, now: float) -> Sequence[Any]:
        statement = select(RESERVATIONS.c.id, RESERVATIONS.c.holder).where(
            RESERVATIONS.c.state != "closed",
            RESERVATIONS.c.lease_until <= now,
            (RESERVATIONS.c.edge != self._edge) | RESERVATIONS.c.id.in_(self._lost),
        )
        return await rows_of(connection, statement.order_by(RESERVATIONS.c.lease_until).limit(_REAP_AT_ONCE))

    async def grant(self, holder: str, amount: int, note: str, reference: str | None = None) -> int:
        """Put credits into a holder's purse, or take some back where `amount` is below zero; return what is available.

        Args:
            holder: who gets them.
            amount: of credits.
            note: what they are for.
            reference: of up to 64 characters, such as a payment's number; what has the same one is done once.

        Raises:
            MeshError: INVALID when more is to be taken back than is available, when the reference was used for another
                amount, or for a note with a NUL, which no PostgreSQL takes.
        """
        if "\0" in note:
            raise invalid_field("note", "The field 'note' must be a text without NUL.")

        async def work(connection: AsyncConnection) -> int:
            ledger = await Transaction.of(connection, holder, self.clock)
            if not await _granted(connection, holder, amount, reference):
                kind = Kind.GRANT if amount > 0 else Kind.WITHDRAWAL
                try:
                    await ledger.move("", kind, abs(amount), About(note=note, reference=reference))
                except NotEnough:
                    left = (await ledger.purse("")).available
                    raise invalid_field("amount", f"Only {left} credits are available.") from None
                await ledger.write()
            return (await ledger.purse("")).available

        return await self._write(holder, work)

    async def standing(self, holder: str, plan: Plan) -> Standing:
        """Return how a holder stands, without changing anything."""
        now = self.clock()

        async def work(connection: AsyncConnection) -> Standing:
            purse = await load_purse(connection, holder, period_of(plan, now))
            live = self._alive(await live_rows(connection, holder), now)
            return _standing(plan, purse.allotted(plan), live, now, Work.FILE)

        return await self._store.read(work)

    async def _open(self, connection: AsyncConnection, claim: Claim) -> Reservation | Answer | Busy:
        ledger = await Transaction.of(connection, claim.holder, self.clock)
        now, live = ledger.now, []
        for row in await live_rows(connection, claim.holder):
            # Only these are locked: whoever holds the rows of the living holds up their signs of life.
            if self._is_dead(row, now):
                row = await ledger.row(row.id)
            if row.state == "closed":
                continue
            if self._is_dead(row, now):
                await _end_dead(ledger, row)
            else:
                live.append(row)
        if claim.repeat is not None:
            known = await self._repeated(connection, claim, live, now)
            if known is not None:
                await ledger.write()
                return known
        period = period_of(claim.plan, now)
        standing = await _with_a_slot(ledger, claim, period, live)
        reservation_id = f"res_{secrets.token_hex(12)}"
        least = 0 if claim.work is Work.SUMMARY else 1
        await self._reserve(ledger, claim, period, least, About(reservation_id, claim.request_id, claim.key_id))
        await connection.execute(
            insert(RESERVATIONS).values(
                id=reservation_id,
                holder=claim.holder,
                period=period,
                plan=claim.plan.id,
                unit=claim.plan.unit,
                work=claim.work,
                state="open",
                outcome="",
                reserved=least,
                charged=0,
                edge=self._edge,
                lease_until=now + self._lease_seconds,
                request_id=claim.request_id,
                key_id=claim.key_id,
                opened_at=now,
                answer_kept=False,
            )
        )
        if claim.repeat is not None:
            await connection.execute(
                insert(ANSWERS).values(
                    holder=claim.holder, key_digest=claim.repeat, reservation_id=reservation_id, created_at=now
                )
            )
        await ledger.write()
        purse = (await ledger.purse(period)).allotted(claim.plan)
        after = replace(standing, available=purse.available, running=standing.running + 1)
        return Reservation(reservation_id, claim, period, least, after)

    async def _repeated(
        self, connection: AsyncConnection, claim: Claim, live: Sequence[Any], now: float
    ) -> Answer | Busy | None:
        """Return the answer of an equal request, or that it runs; None where there is none, or its edge died."""
        kept = (
            await connection.execute(
                select(ANSWERS, RESERVATIONS.c.request_id)
                .join(RESERVATIONS, RESERVATIONS.c.id == ANSWERS.c.reservation_id)
                .where(ANSWERS.c.holder == claim.holder, ANSWERS.c.key_digest == claim.repeat)
            )
        ).first()
        if kept is None:
            return None
        if kept.body is not None and kept.created_at > now - ANSWER_SECONDS:
            return Answer(kept.fingerprint, kept.content_type, kept.body, kept.request_id)
        if any(row.id == kept.reservation_id for row in live):
            return Busy(kept.reservation_id)
        await connection.execute(delete(ANSWERS).where(ANSWERS.c.reservation_id == kept.reservation_id))
        return None

    async def _reserve(
        self, ledger: Transaction, claim: Claim, period: str, amount: int, about: About, *, held: int = 0
    ) -> None:
        """Reserve `amount` in all, of which `held` is reserved already."""
        missing = amount - held
        if missing == 0:
            return
        ledger.put((await ledger.purse(period)).allotted(claim.plan, missing))
        try:
            await ledger.move(period, Kind.RESERVE, missing, about)
        except NotEnough:
            purse = await ledger.purse(period)
            live = self._alive(await live_rows(ledger.connection, claim.holder), ledger.now)
            raise used_up(_standing(claim.plan, purse, live, ledger.now, claim.work), amount, held) from None

    async def _running(self, ledger: Transaction, reservation: Reservation) -> Any:
        """Return the reservation's row, open. What was taken for dead, because this process could not say for a while
        that it lives, is opened again.
        """
        row = await ledger.row(reservation.id)
        if row.state == "open":
            return row
        repeat = reservation.claim.repeat
        if row.state != "closed" or row.outcome != Outcome.EXPIRED or repeat is not None:
            raise MeshError(
                Fault.UNAVAILABLE, "The request was given up meanwhile; send it again.", code="request_given_up"
            )
        await ledger.change(
            row.id, state="open", outcome="", closed_at=None, charged=0, lease_until=ledger.now + self._lease_seconds
        )
        await ledger.move(row.period, Kind.REFUND, row.charged, _about(row))
        return await ledger.row(reservation.id)

    async def _write(self, holder: str, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        # One after the other here already: all the requests of one holder, waiting for his lock in the database, would
        # hold all the connections there are.
        async with self._turns.setdefault(holder, asyncio.Lock()):
            return await self._store.write(work)

    def _is_dead(self, row: Any, now: float) -> bool:
        # Never what this very process runs: it lives, however long it could not say so.
        return (row.edge != self._edge or row.id in self._lost) and row.lease_until <= now

    def _alive(self, rows: Sequence[Any], now: float) -> list[Any]:
        return [row for row in rows if not self._is_dead(row, now)]

    async def _reap_one(self, reservation_id: str, holder: str) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            ledger = await Transaction.of(connection, holder, self.clock)
            row = await ledger.row(reservation_id)
            # Somebody else may have been faster, or its edge has spoken after all.
            if row.state == "closed" or not self._is_dead(row, ledger.now):
                return False
            await _end_dead(ledger, row)
            await ledger.write()
            return True

        try:
            return await self._write(holder, work)
        except NotEnough:
            # Somebody has changed his books by hand: the audit tells how, and all others are still to be reaped.
            get_logger().error("books_are_wrong", holder=holder, reservation=reservation_id)
            return False


def period_of(plan: Plan, now: float) -> str:
    """Return the period of the purse that pays for what a plan allows at `now`; credits belong to none."""
    if plan.period is not None:
        return periods.name_of(plan.period, now)
    # What is open is counted by months, so that its usage can be.
    return "" if plan.funding is Funding.CREDITS else periods.name_of(periods.Period.MONTH, now)


async def _with_a_slot(ledger: Transaction, claim: Claim, period: str, live: Sequence[Any]) -> Standing:
    """Return how a holder stands of whom `live` runs; raises LimitReached (OVERLOADED) where no slot is free."""
    purse = (await ledger.purse(period)).allotted(claim.plan)
    standing = _standing(claim.plan, purse, live, ledger.now, claim.work)
    if claim.plan.at_once and standing.running >= claim.plan.at_once:
        raise too_many_at_once(standing)
    return standing


def _standing(plan: Plan, purse: Purse, live: Sequence[Any], now: float, work: Work) -> Standing:
    slots = _SLOTS.get(work, (work,))
    # A settled one has done its work: what it waits for is the network.
    running = sum(row.work in slots and row.state == "open" for row in live)
    end = periods.end_of(plan.period, now) if plan.period is not None else None
    return Standing(plan, purse.available, running, now, end)


async def _end_dead(ledger: Transaction, row: Any) -> None:
    """End what a dead edge has left: its whole minutes of a stream were heard, a file has brought nothing."""
    heard = max(0, row.reserved - 1) if row.work == Work.STREAM else 0
    await _end(ledger, row, Outcome.UNDELIVERED if row.state == "settled" else Outcome.EXPIRED, charge=heard)


async def _end(ledger: Transaction, row: Any, outcome: Outcome, *, charge: int = 0) -> None:
    """End a request, with no more charged than `charge`, of what it has reserved."""
    seconds = Unit(row.unit).covered_seconds(charge) if charge else row.seconds
    about = _about(row, seconds=seconds)
    await ledger.move(row.period, Kind.REFUND, row.charged, about)
    await ledger.move(row.period, Kind.CHARGE, charge, about)
    await ledger.move(row.period, Kind.RELEASE, row.reserved - charge, about)
    await ledger.change(
        row.id, state="closed", outcome=outcome, reserved=0, charged=charge, seconds=seconds, closed_at=ledger.now
    )
    await ledger.connection.execute(delete(ANSWERS).where(ANSWERS.c.reservation_id == row.id, ANSWERS.c.body.is_(None)))


async def _granted(connection: AsyncConnection, holder: str, amount: int, reference: str | None) -> bool:
    if reference is None:
        return False
    statement = select(ENTRIES.c.kind, ENTRIES.c.amount)
    statement = statement.where(ENTRIES.c.holder == holder, ENTRIES.c.reference == reference)
    found = (await connection.execute(statement)).first()
    if found is not None and (found.kind == Kind.GRANT, found.amount) != (amount > 0, abs(amount)):
        raise invalid_field("reference", "This reference was used for another amount.")
    return found is not None


async def _require_valid_key(connection: AsyncConnection, key_id: str | None, now: float) -> None:
    """Raise MeshError (UNAUTHENTICATED) when a key is not taken any more, or its account is closed."""
    if key_id is None:
        return
    row = (await connection.execute(select_found(KEYS.c.id == key_id))).first()
    refusal = None if row is None else found_of(row).refusal(now)
    if refusal is not None:
        raise MeshError(Fault.UNAUTHENTICATED, f"The API key {refusal}.", code="invalid_api_key")


async def _keep(connection: AsyncConnection, reservation_id: str, answer: Answer, now: float) -> None:
    await connection.execute(
        update(ANSWERS)
        .where(ANSWERS.c.reservation_id == reservation_id)
        .values(fingerprint=answer.fingerprint, content_type=answer.content_type, body=answer.body, created_at=now)
    )


async def _forget(connection: AsyncConnection, now: float) -> None:
    running = select(RESERVATIONS.c.id).where(RESERVATIONS.c.state != "closed")
    await connection.execute(
        delete(ANSWERS).where(ANSWERS.c.created_at <= now - ANSWER_SECONDS, ANSWERS.c.reservation_id.not_in(running))
    )


def _about(row: Any, *, model: str | None = None, seconds: float | None = None) -> About:
    return About(row.id, row.request_id, row.key_id, model or row.model, row.seconds if seconds is None else seconds)
