import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from services.accounts.ledger import Ledger
from services.accounts.register import Register
from services.accounts.schema import newest, require_newest, revision, upgrade
from services.accounts.store import Store
from services.runtime.errors import Fault, MeshError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def empty(empty_database: str) -> AsyncIterator[Store]:
    store = Store(empty_database)
    yield store
    await store.close()


async def say(store: Store, statement: str) -> None:
    await store.write(lambda connection: connection.execute(text(statement)))


async def test_an_empty_database_gets_the_newest_schema_and_keeps_it_the_second_time(empty: Store) -> None:
    assert await revision(empty) is None
    assert await upgrade(empty) == (None, newest())
    secret = await Register(empty).address_secret()
    await Ledger(empty, edge="edge_1", lease_seconds=15).grant("acc_1", 5, "bought")

    assert await upgrade(empty) == (newest(), newest())

    assert await revision(empty) == newest()
    assert len(secret) == 32
    assert await Register(empty).address_secret() == secret
    assert await Ledger(empty, edge="edge_1", lease_seconds=15).grant("acc_1", 1, "bought") == 6
    await require_newest(empty)


async def test_no_two_databases_share_a_secret(empty: Store, store: Store) -> None:
    await upgrade(empty)

    assert await Register(empty).address_secret() != await Register(store).address_secret()


_UPGRADE = """
import asyncio, sys
from services.accounts.schema import upgrade
from services.accounts.store import Store

async def work():
    store = Store(sys.argv[1])
    print(await upgrade(store))
    await store.close()

asyncio.run(work())
"""


async def test_of_upgrades_at_once_one_does_the_work(empty: Store, empty_database: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", _UPGRADE, empty_database, stdout=subprocess.PIPE, cwd=ROOT
        )
        for _ in range(2)
    ]
    printed = sorted([(await process.communicate())[0].decode().strip() for process in processes])

    assert printed == sorted([str((newest(), newest())), str((None, newest()))])
    await require_newest(empty)


async def test_a_database_without_tables_is_refused_with_what_to_do(empty: Store) -> None:
    with pytest.raises(MeshError, match=r"has no tables yet\. Run: \./speechmesh db upgrade$") as caught:
        await require_newest(empty)
    assert (caught.value.fault, caught.value.code) == (Fault.INVALID, "schema_old")


async def test_a_database_that_is_older_is_refused_with_what_to_do(store: Store) -> None:
    await say(store, "DELETE FROM alembic_version")

    with pytest.raises(MeshError, match=r"Run: \./speechmesh db upgrade$"):
        await require_newest(store)


async def test_a_database_that_is_newer_is_neither_used_nor_upgraded(store: Store) -> None:
    await say(store, "UPDATE alembic_version SET version_num = '9999'")

    for ask in (require_newest(store), upgrade(store)):
        with pytest.raises(MeshError, match="is at revision 9999, which this version does not know") as caught:
            await ask
        assert (caught.value.fault, caught.value.code) == (Fault.INVALID, "schema_new")
    assert await revision(store) == "9999"


async def test_an_upgrade_that_fails_leaves_nothing_behind(empty: Store) -> None:
    await say(empty, "CREATE TABLE answers (id INTEGER)")

    with pytest.raises(Exception, match=r"answers|accounts cannot be reached"):
        await upgrade(empty)

    assert await revision(empty) is None
    await say(empty, "CREATE TABLE accounts (id INTEGER)")
