"""What the tests beside this file ask of a ledger, and how they look into its books."""

from dataclasses import replace
from typing import Any

from sqlalchemy import select

from services.accounts.audit import Audit, verify
from services.accounts.claims import Answer, Claim, Reservation, Work
from services.accounts.ledger import Ledger
from services.accounts.plans import Funding, Plan, Unit, load_plans
from services.accounts.store import Store
from services.accounts.tables import ENTRIES, RESERVATIONS
from tests.accounts.clock import Clock

PLANS = load_plans()
CREDITS = Plan(id="crowd", funding=Funding.CREDITS, unit=Unit.MINUTES, max_file_bytes=1, at_once=0)
"""Credits, and no limit of what runs at once."""
LEASE = 15.0
KEY = b"k" * 32
"""SHA-256 of an Idempotency-Key."""
ANSWER = Answer(fingerprint=b"f" * 32, content_type="application/json", body=b'{"text": ""}')


def claim(
    plan: str | Plan = CREDITS,
    work: Work = Work.FILE,
    holder: str = "acc_1",
    *,
    request: str = "request",
    repeat: bytes | None = None,
) -> Claim:
    """Return what a request asks for."""
    return Claim(holder, PLANS.get(plan) if isinstance(plan, str) else plan, work, request, "key_1", repeat)


def allowing(plan: str, **changes: Any) -> Plan:
    """Return a plan of the file with some of it changed."""
    return Plan.model_validate({**PLANS.get(plan).model_dump(), **changes})


def answer_to(request: str) -> Answer:
    """Return `ANSWER` as the ledger hands it out again."""
    return replace(ANSWER, request_id=request)


async def let_in(ledger: Ledger, asked: Claim) -> Reservation:
    """Return the place that a request gets; it has to get one."""
    place = await ledger.open(asked)
    assert isinstance(place, Reservation)
    return place


async def available(ledger: Ledger, plan: str | Plan = CREDITS, holder: str = "acc_1") -> int:
    """Return what a holder may still use."""
    return (await ledger.standing(holder, claim(plan).plan)).available


async def proven(store: Store, clock: Clock) -> Audit:
    """Return the audit of books that are right."""
    audit = await verify(store, clock())
    assert audit.faults == []
    return audit


async def entries(store: Store, holder: str = "acc_1") -> list[Any]:
    """Return a holder's entries, the oldest first."""
    async with store.reading() as connection:
        statement = select(ENTRIES).where(ENTRIES.c.holder == holder).order_by(ENTRIES.c.id)
        return list((await connection.execute(statement)).all())


async def moves(store: Store, holder: str = "acc_1") -> list[tuple[str, int]]:
    """Return the kind and the amount of each of a holder's entries, the oldest first."""
    return [(row.kind, row.amount) for row in await entries(store, holder)]


async def reservation(store: Store, place: Reservation) -> Any:
    """Return the row of a reservation."""
    return await store.find(select(RESERVATIONS).where(RESERVATIONS.c.id == place.id))
