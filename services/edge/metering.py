"""What a request may use and has used, as the edge tells the ledger: let in, covered, settled, delivered.

Whatever becomes of a request, its reservation ends: with the charge when it is settled, else with nothing. What the
store cannot take at the moment is told again until it does; what this process cannot tell any more because it was
killed, others find out by the lease.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from enum import Enum, auto
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
        outcome = Outcome.FAILED
        try:
            await admitted.open()
            yield admitted
        except asyncio.CancelledError:
            outcome = Outcome.CANCELLED
            raise
        finally:
            admitted.close(outcome)

    async def keep_alive(self) -> None:
        """Say for ever that this process lives, end what others have left, and tell again what could not be told."""
        while True:
            try:
                await self.ledger.renew()
                await self._tell_again()
                ended = await self.ledger.reap()
                self.reachable = True
                if ended:
                    get_logger().warning("requests_of_the_dead_ended", count=ended)
            except MeshError:
                self.reachable = False  # logged by the store
            except Exception:  # noqa: BLE001 - leases must go on being renewed, whatever it was
                get_logger().exception("keep_alive_failed")
            await asyncio.sleep(self._pause)

    async def told(self) -> None:
        """Wait until everything is told that is being told now."""
        if self._telling:
            await asyncio.wait(self._telling)

    async def surely(self, telling: Coroutine[Any, Any, T]) -> T:
        """Return what the ledger answers. Who is cancelled meanwhile leaves, and it is told all the same."""
        return await asyncio.shield(self.begin(telling))

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
    """Charged, and the answer is on its way."""
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
        """Take a place, or find that an equal request has one."""
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

    async def kept_answer(self, fingerprint: bytes) -> Answer | None:
        """Return the answer to an equal request, waiting for it where it is being worked on; None where this request
        has to do the work.

        Args:
            fingerprint: SHA-256 of what is asked.

        Raises:
            MeshError: INVALID when the Idempotency-Key was used for something else; else as `Metering.admit`.
        """
        pauses = iter(_ASK_AGAIN_SECONDS)
        while self._reservation is None and self._answer is None:
            await asyncio.sleep(next(pauses, _ASK_AGAIN_SECONDS[-1]))
            await self.open()
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
                self._reservation = await self._metering.surely(
                    self._metering.ledger.extend(self._taken, needed, seconds=seconds, model=self.model)
                )

    async def settle(self, seconds: float, model: str | None, answer: Answer | None = None) -> None:
        """Charge `seconds` of audio, right before the answer leaves; `answer` is kept for equal requests.

        Raises:
            MeshError: as `Ledger.settle`; then nothing was charged and nothing may be answered.
        """
        ledger, kept = self._metering.ledger, answer if self.repeatable else None
        with metrics.LEDGER_SECONDS.labels("settle").time():
            charged = await self._metering.surely(ledger.settle(self._taken, seconds=seconds, model=model, answer=kept))
        # What is free, or can be asked for again, is delivered already.
        self._state = _State.SETTLED if charged and kept is None else _State.OVER
        before = self._taken.standing
        # One was reserved when the standing was taken.
        left = max(0, before.available + (1 if charged else 0) - charged)
        self._request[STANDING] = replace(before, available=left, running=max(0, before.running - 1))

    def settle_stream(self, seconds: float, charged_seconds: float, model: str | None) -> None:
        """Charge a live stream that has ended: `charged_seconds` of its `seconds` of audio."""
        reservation, self._state = self._taken, _State.OVER

        async def tell() -> None:
            await self._metering.ledger.settle(
                reservation, seconds=seconds, charged_seconds=charged_seconds, model=model, delivered=True
            )

        self._metering.later(tell, self._abandon)

    def close(self, outcome: Outcome) -> None:
        """End it: what was settled has left, else there is no answer, for the reason `outcome`."""

        async def tell() -> None:
            if self._opening is not None and not self._opening.done():
                await asyncio.wait({self._opening})
            if self._reservation is None:
                return
            if self._state is _State.SETTLED:
                await self._metering.ledger.deliver(self._reservation)
            else:
                await self._metering.ledger.give_back(self._reservation, outcome)

        if self._state is not _State.OVER:
            self._metering.later(tell, self._abandon)

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
