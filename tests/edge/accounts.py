"""What an edge of the tests needs to know its callers: a database with one key in it, and plans."""

import asyncio
import secrets
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient

from services.accounts.audit import verify
from services.accounts.ledger import Ledger
from services.accounts.plans import UNLIMITED, load_plans
from services.accounts.register import Register
from services.accounts.schema import upgrade
from services.accounts.store import Store, sqlite_url
from services.edge.app import ACCOUNTS

KEY = "sk-of-the-tests"
AUTH = {"Authorization": f"Bearer {KEY}"}
OWNER = "acc_of_the_tests"
"""Account of `KEY`, on the plan `unlimited`."""

NO_SERVICES = frozenset({"asr", "diarize", "summarize"})
"""All that `FakeMesh` may do without where nothing is to be transcribed."""

_template: list[bytes] = []


async def new_database(folder: Path) -> str:
    """Return the URL of a new SQLite database in a folder, in which `KEY` is valid."""
    path = folder / f"accounts-{secrets.token_hex(4)}.db"
    if not _template:
        await _fill(path)
        _template.append(await asyncio.to_thread(path.read_bytes))
    await asyncio.to_thread(path.write_bytes, _template[0])
    return sqlite_url(path)


async def _fill(path: Path) -> None:
    store = Store(sqlite_url(path))
    await upgrade(store)
    register = Register(store)
    await register.create_account("tests", UNLIMITED, OWNER)
    await register.create_key(OWNER, "tests", secret=KEY)
    await store.close()


async def key_of(url: str, plan: str, credits: int = 0) -> tuple[str, dict[str, str]]:
    """Make an account of a plan in a database; return its id, and the headers that carry its key."""
    store = Store(url)
    register = Register(store)
    account = await register.create_account(plan, plan)
    new = await register.create_key(account.id, "first")
    if credits:
        await Ledger(store, edge="tests", lease_seconds=15).grant(account.id, credits, "bought")
    await store.close()
    return account.id, {"Authorization": f"Bearer {new.secret}"}


def plans_file(folder: Path, **changes: dict[str, Any]) -> Path:
    """Write a file of plans: those named, each with what is changed of it."""
    lines = []
    for plan_id, changed in changes.items():
        table = load_plans().get(plan_id).model_dump(mode="json", exclude={"id"}, exclude_none=True) | changed
        values = [
            f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}" for name, value in table.items()
        ]
        lines += [f"[plans.{plan_id}]", *values]
    path = folder / f"plans-{secrets.token_hex(4)}.toml"
    path.write_text("\n".join(lines))
    return path


async def prove(client: TestClient[Any, Any]) -> None:
    """Wait until an edge has told its ledger how all of its requests have ended, and prove the books."""
    accounts = client.app[ACCOUNTS]
    for _ in range(250):
        audit = await verify(accounts.store, accounts.ledger.clock())
        if not audit.running:
            break
        await asyncio.sleep(0.02)
    assert (audit.running, list(audit.faults)) == (0, [])


async def left(client: TestClient[Any, Any], headers: dict[str, str] | None = None) -> int:
    """Return what an edge says that its caller has left, in his plan's unit, once all of his requests have ended."""
    await prove(client)
    account = await (await client.get("/v1/account", headers=headers)).json()
    names = ("credits", "minutes_left", "transcriptions_left")
    return next(int(account[name]) for name in names if account[name] is not None)


async def used(client: TestClient[Any, Any], headers: dict[str, str]) -> list[dict[str, Any]]:
    """Return the requests of an account, the newest first, once all of them have ended."""
    await prove(client)
    requests: list[dict[str, Any]] = (await (await client.get("/v1/usage", headers=headers)).json())["requests"]
    return requests
