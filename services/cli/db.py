"""`./speechmesh db`: looks after the schema of the database that the accounts are kept in."""

import asyncio
import os

import typer

from services.accounts import schema
from services.accounts.store import Store
from services.cli.bookkeeping import AsJson, Data
from services.cli.command_group import command_group
from services.cli.database import chosen_url, opened
from services.cli.printing import print_json
from services.runtime.errors import Fault, MeshError

app = command_group("Look after the database of the accounts.")


@app.command("upgrade")
def upgrade_command(data: Data = None, as_json: AsJson = False) -> None:
    """Bring the schema to the newest revision; an SQLite file that is not there is made."""

    async def work() -> tuple[str | None, str]:
        async with opened(chosen_url(data, os.environ), make=True) as store:
            return await schema.upgrade(store)

    before, now = asyncio.run(work())
    if as_json:
        print_json({"before": before, "revision": now})
    elif before == now:
        print(f"The schema is at revision {now} already.")
    else:
        print(f"The schema is at revision {now} now; {f'it was at {before}' if before else 'there was none'} before.")


@app.command("status")
def status_command(data: Data = None, as_json: AsJson = False) -> None:
    """Tell the revision of the schema, and what to do about it. Exit status 1 if it is not the newest."""

    async def work() -> tuple[str | None, str | None]:
        async with opened(chosen_url(data, os.environ)) as store:
            return await schema.revision(store), await _advice(store)

    found, advice = asyncio.run(work())
    if as_json:
        print_json({"revision": found, "newest": schema.newest(), "advice": advice})
    else:
        print(advice or f"The schema is at revision {found}, the newest.")
    if advice:
        raise typer.Exit(1)


async def _advice(store: Store) -> str | None:
    """Return what to do about a schema that is not the newest, None where it is."""
    try:
        await schema.require_newest(store)
    except MeshError as error:
        if error.fault is not Fault.INVALID:
            raise
        return error.message
    return None
