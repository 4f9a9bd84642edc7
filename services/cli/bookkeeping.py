"""What the commands on accounts, keys and the ledger work with, opened for as long as a command runs."""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from services.accounts.ledger import Ledger
from services.accounts.plans import Plan, Plans, load_plans
from services.accounts.register import Account, Register
from services.accounts.schema import require_newest
from services.accounts.store import Store
from services.cli.database import chosen_url, opened
from services.edge.account_json import account_json, key_json
from services.runtime.errors import Fault, MeshError

T = TypeVar("T")

Data = Annotated[
    Path | None,
    typer.Option(
        envvar="SPEECHMESH_DATA",
        file_okay=False,
        show_default="~/.local/share/speechmesh",
        help="Data folder of the `up` whose accounts they are; SPEECHMESH_DATABASE_URL goes before it.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

_LEASE_SECONDS = 15.0


@dataclass(frozen=True)
class Bookkeeping:
    """An open store with the newest schema, and what is kept in it."""

    store: Store
    register: Register
    ledger: Ledger
    plans: Plans

    def plan(self, account: Account) -> Plan:
        """Return the plan of an account; raises MeshError (INVALID), saying what to do, where it is there no more."""
        if account.plan not in self.plans.for_accounts():
            raise MeshError(
                Fault.INVALID,
                f"The account {account.id} has the plan '{account.plan}', which there is no more; give it another one: "
                f"./speechmesh accounts change {account.id} --plan {'|'.join(self.plans.for_accounts())}",
            )
        return self.plans.get(account.plan)

    async def account(self, account: Account) -> dict[str, Any]:
        """Return an account with its standing, as the HTTP API tells it; raises as `plan`."""
        return account_json(account, await self.ledger.standing(account.id, self.plan(account)))

    async def keys(self, account_id: str) -> list[dict[str, Any]]:
        """Return the keys of an account as the HTTP API tells them; raises MeshError (NOT_FOUND) for the account."""
        account = await self.register.account(account_id)
        return [key_json(key, self.register.clock()) for key in await self.register.keys(account.id)]


def run(data: Path | None, work: Callable[[Bookkeeping], Awaitable[T]]) -> T:
    """Return what `work` makes of the accounts.

    Args:
        data: data folder, where no variable says otherwise; None: the usual one.
        work: the command's.

    Raises:
        MeshError: INVALID when the schema is not the newest, or the plans cannot be used; NOT_FOUND or UNAVAILABLE as
            for `database.opened`; and whatever `work` raises.
    """

    async def work_on_store() -> T:
        plans = load_plans(_plans_file(os.environ))
        async with opened(chosen_url(data, os.environ)) as store:
            await require_newest(store)
            # It opens no reservations, so its name and its lease are nobody's.
            ledger = Ledger(store, edge=f"cli_{secrets.token_hex(8)}", lease_seconds=_LEASE_SECONDS)
            return await work(Bookkeeping(store, Register(store), ledger, plans))

    return asyncio.run(work_on_store())


def _plans_file(environ: Mapping[str, str]) -> Path | None:
    configured = environ.get("SPEECHMESH_EDGE_PLANS_FILE")
    return Path(configured) if configured else None
