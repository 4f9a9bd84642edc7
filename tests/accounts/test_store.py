import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.accounts.store import AWAY, Store, driver_url, sqlite_url
from services.accounts.tables import ACCOUNTS, PURSES
from services.cli.ports import free_ports
from services.runtime.errors import Fault, MeshError


async def add(connection: AsyncConnection, holder: str) -> None:
    await connection.execute(insert(PURSES).values(holder=holder, period="", available=1, reserved=0, spent=0))


async def holders(store: Store) -> set[str]:
    async with store.reading() as connection:
        return set((await connection.execute(select(PURSES.c.holder))).scalars())


@pytest.fixture
async def postgresql_store(postgresql_database: str) -> AsyncIterator[Store]:
    store = Store(postgresql_database)
    yield store
    await store.close()


async def unavailable(store: Store) -> None:
    """Make sure that `store` says of itself that it is away, whatever is asked of it."""
    for ask in (
        store.find(select(PURSES)),
        store.write(lambda connection: add(connection, "acc_1")),
        store.write(lambda connection: add(connection, "acc_1"), apart=True),
        holders(store),
    ):
        with pytest.raises(MeshError) as caught:
            await ask
        assert (caught.value.fault, caught.value.code) == (Fault.UNAVAILABLE, "accounts_unavailable")
    await store.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "accounts.db",
        "mysql://root:hunter2@host/db",
        "postgresql://user:hunter2@host:port/db",
        "postgresql://user:hunter2@host",
        "postgresql+psycopg2://user:hunter2@host/db",
        "sqlite://",
        "sqlite:///:memory:",
        "://hunter2",
    ],
)
def test_what_is_no_url_of_a_database_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"^it must read sqlite:////path/to/file or postgresql://") as caught:
        Store(url)
    assert "hunter2" not in f"{caught.value!r}{caught.value.__cause__!r}{caught.value.__context__!r}"


def test_a_password_is_never_shown() -> None:
    store = Store("postgres://user:hunter2@host:5432/db")

    assert store.url.drivername == "postgresql+asyncpg"
    assert "hunter2" not in f"{store.url} {store.url!r} {vars(store)}"


def test_the_url_of_a_file_leads_to_it_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a b%20?#&" / "accounts.db"

    assert driver_url(sqlite_url(path)).database == str(path)


async def test_a_database_that_is_away_is_told_as_unavailable(tmp_path: Path) -> None:
    (port,) = free_ports(1, taken=set())

    await unavailable(Store(f"postgresql://user:hunter2@127.0.0.1:{port}/db"))
    await unavailable(Store(f"postgresql://user:hunter2@{'x' * 20}.invalid/db"))
    await unavailable(Store(sqlite_url(tmp_path / "none" / "accounts.db")))


async def test_a_file_that_is_no_database_is_told_as_unavailable(tmp_path: Path) -> None:
    (tmp_path / "accounts.db").write_bytes(b"not a database" * 1000)

    await unavailable(Store(sqlite_url(tmp_path / "accounts.db")))


async def test_a_server_that_has_no_such_database_is_told_as_unavailable(postgresql: str) -> None:
    await unavailable(Store(f"{postgresql}/none"))


async def test_a_connection_that_the_server_has_ended_is_replaced_without_a_word(
    postgresql_store: Store, postgresql_database: str
) -> None:
    other = Store(postgresql_database)
    await holders(postgresql_store)
    await other.find(
        text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = :name")
        .bindparams(name=other.url.database)
    )  # fmt: skip
    await other.close()

    await postgresql_store.write(lambda connection: add(connection, "acc_1"))
    assert await holders(postgresql_store) == {"acc_1"}


async def test_who_is_stuck_in_a_transaction_holds_up_others_for_seconds_only(
    postgresql_store: Store, postgresql_database: str
) -> None:
    await postgresql_store.write(lambda connection: add(connection, "acc_1"))
    other, begun, leave = Store(postgresql_database, patient=True), asyncio.Event(), asyncio.Event()

    async def hold(connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT * FROM purses FOR UPDATE"))
        begun.set()
        await leave.wait()

    holding = asyncio.ensure_future(other.write(hold))
    await begun.wait()
    with pytest.raises(MeshError) as caught:
        await postgresql_store.write(lambda connection: connection.execute(text("SELECT * FROM purses FOR UPDATE")))
    leave.set()
    await holding
    await other.close()

    assert caught.value.code == AWAY


async def test_a_write_that_raises_is_undone(store: Store) -> None:
    async def work(connection: AsyncConnection) -> None:
        await add(connection, "acc_1")
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(work)
    assert await holders(store) == set()


async def test_a_write_returns_what_it_makes_and_stays(store: Store, database: str) -> None:
    async def work(connection: AsyncConnection) -> int:
        await add(connection, "acc_1")
        return 7

    assert await store.write(work) == 7
    again = Store(database)
    assert await holders(again) == {"acc_1"}
    await again.close()


async def test_a_write_is_done_to_its_end_whoever_leaves(store: Store) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def work(connection: AsyncConnection) -> None:
        await add(connection, "acc_1")
        begun.set()
        await end.wait()

    task = asyncio.create_task(store.write(work))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    end.set()

    await store.write(lambda connection: add(connection, "acc_2"))
    assert await holders(store) == {"acc_1", "acc_2"}


async def test_nobody_who_leaves_at_any_moment_leaves_the_database_locked(store: Store) -> None:
    await store.write(lambda connection: add(connection, "acc_0"))
    for number in range(200):
        doing = [
            asyncio.ensure_future(store.write(lambda connection, n=number: add(connection, f"acc_x{n}"))),
            asyncio.ensure_future(store.read(lambda connection: connection.execute(select(PURSES)))),
            asyncio.ensure_future(store.find(select(PURSES))),
        ]
        await asyncio.sleep(number * 0.00002)
        for task in doing:
            task.cancel()
        await asyncio.wait(doing)

    async with asyncio.timeout(5):
        await store.write(lambda connection: add(connection, "acc_last"))
    assert {"acc_0", "acc_last", "acc_x100"} <= await holders(store)


async def test_what_a_constraint_forbids_is_no_outage(store: Store) -> None:
    with pytest.raises(IntegrityError):
        await store.write(
            lambda connection: connection.execute(
                insert(PURSES).values(holder="acc_1", period="", available=-1, reserved=0, spent=0)
            )
        )


async def test_a_reader_sees_one_state_while_others_write(store: Store, database: str) -> None:
    other = Store(database)
    async with store.reading() as connection:
        count = text("SELECT count(*) FROM purses")
        before = await connection.scalar(count)
        await other.write(lambda writing: add(writing, "acc_1"))
        assert await connection.scalar(count) == before == 0
    assert await holders(store) == {"acc_1"}
    await other.close()


async def test_many_more_writers_than_connections_all_get_their_turn(store: Store) -> None:
    await asyncio.gather(*(store.write(lambda c, n=n: add(c, f"acc_{n}")) for n in range(60)))  # type: ignore[misc]

    assert len(await holders(store)) == 60


async def test_a_write_that_ran_into_a_deadlock_is_done_again(postgresql_store: Store) -> None:
    for holder in ("acc_1", "acc_2"):
        await postgresql_store.write(lambda connection, holder=holder: add(connection, holder))  # type: ignore[misc]
    both, tries = asyncio.Barrier(2), 0

    async def spend(connection: AsyncConnection, first: str, second: str) -> None:
        nonlocal tries
        tries += 1
        for number, holder in enumerate((first, second)):
            more = update(PURSES).where(PURSES.c.holder == holder).values(spent=PURSES.c.spent + 1)
            await connection.execute(more)
            if number == 0 and tries <= 2:
                await both.wait()

    await asyncio.gather(
        postgresql_store.write(lambda connection: spend(connection, "acc_1", "acc_2")),
        postgresql_store.write(lambda connection: spend(connection, "acc_2", "acc_1")),
    )

    assert tries == 3
    async with postgresql_store.reading() as connection:
        assert set((await connection.execute(select(PURSES.c.spent))).scalars()) == {2}


async def serially(connection: AsyncConnection, each: asyncio.Barrier | None) -> None:
    """Add one to what is spent in a transaction that fails where another one did so meanwhile."""
    await connection.execute(text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
    spent = await connection.scalar(select(PURSES.c.spent))
    if each is not None:
        await each.wait()
    await connection.execute(update(PURSES).values(spent=(spent or 0) + 1))


async def test_a_write_that_could_not_be_put_in_order_is_done_again(postgresql_store: Store) -> None:
    await postgresql_store.write(lambda connection: add(connection, "acc_1"))
    both, tries = asyncio.Barrier(2), 0

    async def work(connection: AsyncConnection) -> None:
        nonlocal tries
        tries += 1
        await serially(connection, both if tries <= 2 else None)

    await asyncio.gather(*(postgresql_store.write(work) for _ in range(2)))

    assert tries == 3
    async with postgresql_store.reading() as connection:
        assert await connection.scalar(select(PURSES.c.spent)) == 2


async def test_a_write_that_never_gets_through_is_told_as_unavailable(
    postgresql_store: Store, postgresql_database: str
) -> None:
    other = Store(postgresql_database)
    await other.write(lambda connection: add(connection, "acc_1"))

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
        await connection.scalar(select(PURSES.c.spent))
        await other.write(lambda inner: inner.execute(update(PURSES).values(spent=PURSES.c.spent + 1)))
        await connection.execute(update(PURSES).values(spent=0))

    with pytest.raises(MeshError) as caught:
        await postgresql_store.write(work)
    assert caught.value.fault is Fault.UNAVAILABLE
    await other.close()


_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
connection.execute("INSERT INTO purses VALUES ('acc_other', '', 0, 0, 0)")
print("held", flush=True)
sys.stdin.read(1)
connection.execute("COMMIT")
"""


async def test_a_write_waits_for_another_process_that_holds_the_file(sqlite_database: str) -> None:
    store = Store(sqlite_database)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HOLD, str(store.url.database), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    writing = asyncio.create_task(store.write(lambda connection: add(connection, "acc_1")))
    done, _ = await asyncio.wait({writing}, timeout=0.2)
    assert not done
    # Readers do not wait.
    assert await holders(store) == set()

    await process.communicate(b"x")
    await writing

    assert await holders(store) == {"acc_1", "acc_other"}
    await store.close()


async def test_what_was_written_outlives_a_power_failure_and_foreign_keys_hold(sqlite_database: str) -> None:
    store = Store(sqlite_database)
    async with store.reading() as connection:
        pragmas = [await connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")]
        keys = await connection.scalar(text("PRAGMA foreign_keys"))
    await store.close()

    assert (pragmas, keys) == (["wal", 2], 1)


async def test_a_store_that_was_closed_has_let_go_of_its_file(sqlite_database: str) -> None:
    store = Store(sqlite_database)
    await store.write(
        lambda connection: connection.execute(insert(ACCOUNTS).values(id="a", name="a", plan="free", created_at=0.0))
    )
    await store.close()

    path = Path(str(store.url.database))
    assert not path.with_name(f"{path.name}-wal").exists()
    direct = sqlite3.connect(path)
    assert direct.execute("SELECT id FROM accounts").fetchall() == [("a",)]
    direct.close()


def test_a_file_that_cannot_be_opened_leaves_nothing_running_behind_the_loop() -> None:
    async def ask() -> None:
        store = Store("sqlite:////")
        with pytest.raises(MeshError) as caught:
            await store.find(select(PURSES))
        await store.close()
        assert caught.value.code == AWAY

    # Each loop ends at once: what a thread still had to say to it would fail, and with it this test.
    for _ in range(60):
        asyncio.run(ask())
