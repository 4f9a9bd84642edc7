"""What a request may use and has used, as the edge tells the ledger: let in, covered, settled, delivered.

Whatever becomes of a request, its reservation ends: with the charge when it is settled, else with nothing. What the
store cannot take at the moment is told again until it does; what this process cannot tell any more because it was
killed, others find out by the lease.
"""

import asyncio
import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import replace
from enum import Enum, auto
from functools import partial
from typing import Any, TypeVar

from aiohttp import web

from services.accounts.claims import Answer, Claim, LimitReached, Outcome, Reservation, Work
from services.accounts.ledger import Ledger
from services.accounts.store import AWAY as STORE_AWAY
from services.edge.answers import REQUEST_ID, STANDING
from services.edge.identity import Caller
from services.runtime import metrics
from services.runtime.errors import Fault, MeshError, invalid_field
from services.runtime.logs import get_logger

T = TypeVar("T")

Telling = Callable[[], Coroutine[Any, Any, None]]
"""Tells the ledger something; called again, it says the same."""

_RENEWALS_IN_A_LEASE = 4
_ASK_AGAIN_SECONDS = (0.1, 0.2, 0.4, 0.8)
"""Pauses between two looks at whether an equal request has its answer; the last one from then on."""
_MOST_KEY_CHARACTERS = 255
_MOST_WAITING = 32
"""Requests of one holder that wait here for the answers to equal ones; they hold nothing but a connection."""
_MOST_FAILURES = 120
"""Requests of one holder that may fail here in a minute, where his plan has limits: each is written down for ever."""
_PATIENCE_SECONDS = 20.0
_PATIENCE_PAUSE_SECONDS = 0.5


class Metering:
    """Tells the ledger about the requests of this process.

    Args:
        ledger: of this process.
        lease_seconds: how long a reservation outlives the last sign of life.
    """

    def __init__(self, ledger: Ledger, lease_seconds: float) -> None:
        self.ledger = ledger
        self._pause = lease_seconds / _RENEWALS_IN_A_LEASE
        self._telling: set[asyncio.Task[Any]] = set()
        self._untold: list[tuple[Telling, Callable[[], None]]] = []
        self._waiting: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._minute = 0
        self.reachable = True
        """Whether the store could be told, the last time."""

    @contextlib.asynccontextmanager
    async def admit(
        self, request: web.Request, caller: Caller, work: Work, repeat: bytes | None = None
    ) -> AsyncIterator["Admitted"]:
        """Let a request in for as long as the block lasts.

        Args:
            request: it is told how its caller stands.
            caller: who asks.
            work: for what.
            repeat: SHA-256 of its Idempotency-Key, see `repeat_of`.

        Raises:
            LimitReached: PAYMENT_REQUIRED or OVERLOADED, see `Ledger.open`.
            MeshError: UNAVAILABLE when the store is away.
        """
        admitted = Admitted(
            self, request, Claim(caller.holder, caller.plan, work, request[REQUEST_ID], caller.key_id, repeat)
        )
        self._refuse_who_fails_again_and_again(caller)
        outcome = Outcome.FAILED
        try:
            await admitted.open()
            yield admitted
        except asyncio.CancelledError:
            outcome = Outcome.CANCELLED
            raise
        finally:
            if admitted.close(outcome):
                self._failures[caller.holder] += 1

    async def keep_alive(self) -> None:
        """Say for ever that this process lives; end what others have left, and tell again what could not be told."""
        # Side by side: what waits for a store that is busy must not hold up the signs of life.
        await asyncio.gather(self._again_and_again(self.ledger.renew), self._again_and_again(self._tidy))

    async def _again_and_again(self, work: Telling) -> None:
        while True:
            try:
                await work()
                self.reachable = True
            except MeshError:
                self.reachable = False  # logged by the store
            except Exception:  # noqa: BLE001 - leases must go on being renewed, whatever it was
                get_logger().exception("keep_alive_failed")
            await asyncio.sleep(self._pause)

    async def _tidy(self) -> None:
        await self._tell_again()
        ended = await self.ledger.reap()
        if ended:
            get_logger().warning("requests_of_the_dead_ended", count=ended)

    async def told(self) -> None:
        """Wait until everything is told that is being told now."""
        if self._telling:
            await asyncio.wait(self._telling)

    async def surely(self, telling: Coroutine[Any, Any, T]) -> T:
        """Return what the ledger answers. Who is cancelled meanwhile leaves, and it is told all the same."""
        return await asyncio.shield(self.begin(telling))

    async def patiently(self, tell: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what the ledger answers; asked again for some seconds while the store is away, for hours of work may
        be lost with the answer. As `surely`.
        """

        async def telling() -> T:
            give_up_at = time.monotonic() + _PATIENCE_SECONDS
            while True:
                try:
                    return await tell()
                except MeshError as error:
                    if error.code != STORE_AWAY or time.monotonic() > give_up_at:
                        raise
                await asyncio.sleep(_PATIENCE_PAUSE_SECONDS)

        return await self.surely(telling())

    def _refuse_who_fails_again_and_again(self, caller: Caller) -> None:
        """Raise MeshError (OVERLOADED) where requests that come to nothing, and so cost nothing, come too often."""
        minute = int(self.ledger.clock() // 60)
        if minute != self._minute:
            self._minute = minute
            self._failures.clear()
        if caller.plan.at_once and self._failures[caller.holder] >= _MOST_FAILURES:
            raise MeshError(
                Fault.OVERLOADED,
                f"{_MOST_FAILURES} requests of yours have failed within a minute; come again in the next.",
                code="too_many_failures",
                retry_after_seconds=60 - self.ledger.clock() % 60,
            )

    @contextlib.contextmanager
    def waiting(self, holder: str) -> Iterator[None]:
        """Count a request that waits for the answer to an equal one.

        Raises:
            MeshError: OVERLOADED when too many of this holder do.
        """
        if self._waiting[holder] >= _MOST_WAITING:
            message = "Too many requests with an Idempotency-Key wait for answers; come again later."
            raise MeshError(Fault.OVERLOADED, message, code="too_many_waiting")
        self._waiting[holder] += 1
        try:
            yield
        finally:
            self._waiting[holder] -= 1
            if not self._waiting[holder]:
                del self._waiting[holder]

    def later(self, tell: Telling, abandon: Callable[[], None]) -> None:
        """Tell the ledger without waiting for it, and until it was told.

        Args:
            tell: does it.
            abandon: is called where it never will be.
        """
        self.begin(self._tell(tell, abandon))

    async def _tell(self, tell: Telling, abandon: Callable[[], None]) -> None:
        try:
            await tell()
        except MeshError as error:
            if error.code == STORE_AWAY:
                self._untold.append((tell, abandon))
                return
            get_logger().warning("ledger_refused", code=error.code)
            abandon()
        except Exception:  # noqa: BLE001 - whatever it is, the slot must not be held for ever
            get_logger().exception("ledger_failed")
            abandon()

    async def _tell_again(self) -> None:
        untold, self._untold = self._untold, []
        for tell, abandon in untold:
            await self._tell(tell, abandon)

    def begin(self, telling: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin to tell the ledger something; it goes on whoever leaves."""
        task = asyncio.ensure_future(telling)
        self._telling.add(task)
        task.add_done_callback(self._was_told)
        return task

    def _was_told(self, task: asyncio.Task[Any]) -> None:
        self._telling.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it gets it


class _State(Enum):
    OPEN = auto()
    SETTLED = auto()
    """Charged."""
    LEAVING = auto()
    """Charged, and the answer has begun to leave."""
    OVER = auto()


class Admitted:
    """A request that was let in, or one that is equal to another and waits for its answer.

    Args:
        metering: of this process.
        request: is told how its caller stands.
        claim: what it asks of the ledger.
    """

    def __init__(self, metering: Metering, request: web.Request, claim: Claim) -> None:
        self._metering = metering
        self._request = request
        self._claim = claim
        self._reservation: Reservation | None = None
        self._answer: Answer | None = None
        self._opening: asyncio.Task[None] | None = None
        self._state = _State.OPEN
        self.model: str | None = None
        """What is to do the work; None until that is known."""

    async def open(self) -> None:
        """Take a place; where an equal request has one, wait for its answer, or until there is none."""
        await self._ask()
        if self._reservation is None and self._answer is None:
            # Nothing of the body has been read: it waits where it is, and holds no room here.
            with self._metering.waiting(self._claim.holder):
                await self._wait()

    async def _wait(self) -> None:
        pauses = iter(_ASK_AGAIN_SECONDS)
        while self._reservation is None and self._answer is None:
            await asyncio.sleep(next(pauses, _ASK_AGAIN_SECONDS[-1]))
            if await self._metering.ledger.answered(self._claim):
                await self._ask()

    async def _ask(self) -> None:
        with metrics.LEDGER_SECONDS.labels("open").time():
            self._opening = self._metering.begin(self._open())
            try:
                await asyncio.shield(self._opening)
            except LimitReached as error:
                self._request[STANDING] = error.standing
                raise

    async def _open(self) -> None:
        # What it says is kept here, not by who waits for it: he may have gone when it comes.
        opened = await self._metering.ledger.open(self._claim)
        if isinstance(opened, Reservation):
            self._reservation = opened
            self._request[STANDING] = opened.standing
        elif isinstance(opened, Answer):
            self._answer = opened

    @property
    def is_answered(self) -> bool:
        """Whether an equal request has its answer already, so that this one needs no work."""
        return self._answer is not None

    def kept_answer(self, fingerprint: bytes) -> Answer | None:
        """Return the answer to an equal request; None where this one has to do the work.

        Args:
            fingerprint: SHA-256 of what is asked.

        Raises:
            MeshError: INVALID when the Idempotency-Key was used for something else.
        """
        if self._answer is not None and self._answer.fingerprint != fingerprint:
            raise MeshError(
                Fault.INVALID,
                "This Idempotency-Key was used for another request; take a new one.",
                code="idempotency_key_reused",
            )
        return self._answer

    @property
    def repeatable(self) -> bool:
        """Whether the request carries an Idempotency-Key, so that its answer is to be kept."""
        return self._claim.repeat is not None

    def covered_seconds(self) -> float:
        """Return how many seconds of audio are reserved."""
        return self._claim.plan.unit.covered_seconds(self._taken.reserved)

    async def cover(self, seconds: float) -> None:
        """Make sure that `seconds` of audio in all are reserved.

        Raises:
            LimitReached: PAYMENT_REQUIRED when that is not left.
            MeshError: UNAVAILABLE when the store is away.
        """
        needed = self._claim.plan.unit.cost(seconds)
        if needed > self._taken.reserved:
            with metrics.LEDGER_SECONDS.labels("extend").time():
                extend = partial(self._metering.ledger.extend, self._taken, needed, seconds=seconds, model=self.model)
                self._reservation = await self._metering.patiently(extend)

    async def settle(self, seconds: float, model: str | None, answer: Answer | None = None) -> None:
        """Charge `seconds` of audio, right before the answer leaves; `answer` is kept for equal requests.

        Raises:
            MeshError: as `Ledger.settle`; then nothing was charged and nothing may be answered.
        """
        ledger, kept = self._metering.ledger, answer if self.repeatable else None
        with metrics.LEDGER_SECONDS.labels("settle").time():
            settle = partial(ledger.settle, self._taken, seconds=seconds, model=model, answer=kept)
            charged = await self._metering.patiently(settle)
        # What is free, or can be asked for again, is delivered already.
        self._state = _State.SETTLED if charged and kept is None else _State.OVER
        before = self._taken.standing
        # One was reserved when the standing was taken.
        left = max(0, before.available + (1 if charged else 0) - charged)
        self._request[STANDING] = replace(before, available=left, running=max(0, before.running - 1))

    def leaves(self) -> None:
        """Say that the answer has begun to leave: from here on it is paid for, whether all of it is taken or not."""
        if self._state is _State.SETTLED:
            self._state = _State.LEAVING

    def settle_stream(self, seconds: float, charged_seconds: float) -> None:
        """Charge a live stream that has ended: `charged_seconds` of its `seconds` of audio."""
        reservation, self._state = self._taken, _State.OVER

        async def tell() -> None:
            await self._metering.ledger.settle(
                reservation, seconds=seconds, charged_seconds=charged_seconds, model=self.model, delivered=True
            )

        self._metering.later(tell, self._abandon)

    def close(self, outcome: Outcome) -> bool:
        """End it: with its charge where its answer has left, else with nothing, for the reason `outcome`; return
        whether it has come to nothing.
        """

        async def tell() -> None:
            if self._opening is not None and not self._opening.done():
                await asyncio.wait({self._opening})
            if self._reservation is None:
                return
            if self._state is _State.LEAVING:
                await self._metering.ledger.deliver(self._reservation)
            else:
                await self._metering.ledger.give_back(self._reservation, outcome)

        if self._state is not _State.OVER:
            self._metering.later(tell, self._abandon)
        return self._reservation is not None and self._state in (_State.OPEN, _State.SETTLED)

    def _abandon(self) -> None:
        if self._reservation is not None:
            self._metering.ledger.abandon(self._reservation)

    @property
    def _taken(self) -> Reservation:
        assert self._reservation is not None
        return self._reservation


def repeat_of(request: web.Request) -> bytes | None:
    """Return the SHA-256 of a request's Idempotency-Key, None where it has none.

    Raises:
        MeshError: INVALID when it is empty, too long, not of visible ASCII, or there are two.
    """
    keys = request.headers.getall("Idempotency-Key", [])
    if not keys:
        return None
    key = keys[0].strip()
    if len(keys) > 1 or not 1 <= len(key) <= _MOST_KEY_CHARACTERS or not all("!" <= letter <= "~" for letter in key):
        raise invalid_field(
            "Idempotency-Key", f"The header 'Idempotency-Key' must be 1 to {_MOST_KEY_CHARACTERS} visible characters."
        )
    return hashlib.sha256(key.encode()).digest()
