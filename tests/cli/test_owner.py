import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from services.accounts.plans import UNLIMITED
from services.accounts.register import Register
from services.accounts.schema import newest, revision
from services.cli.database import file_url, opened
from services.cli.owner import OWNER, admit, upgrade
from services.runtime.errors import MeshError

T = TypeVar("T")


def ask(url: str, work: Callable[[Register], Awaitable[T]]) -> T:
    async def run() -> T:
        async with opened(url) as store:
            return await work(Register(store))

    return asyncio.run(run())


def test_the_tables_are_made_once(tmp_path: Path) -> None:
    async def found() -> str | None:
        async with opened(file_url(tmp_path)) as store:
            return await revision(store)

    upgrade(file_url(tmp_path))
    admit(file_url(tmp_path), "sk-one")
    upgrade(file_url(tmp_path))
    assert asyncio.run(found()) == newest()
    assert admit(file_url(tmp_path), "sk-one") is None


def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    upgrade(file_url(tmp_path))
    with closing(sqlite3.connect(tmp_path / "accounts.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(MeshError, match="at revision 9999, which this version does not know"):
        upgrade(file_url(tmp_path))


def test_the_key_becomes_one_of_an_account_without_limits(database: str) -> None:
    assert admit(database, "sk-one") is None
    account = ask(database, lambda register: register.account(OWNER))
    (key,) = ask(database, lambda register: register.keys(OWNER))
    assert (account.name, account.plan, key.name) == ("owner", UNLIMITED, "up")


def test_a_key_that_is_known_is_left_alone(sqlite_database: str) -> None:
    for _ in range(2):
        assert admit(sqlite_database, "sk-one") is None
    assert len(ask(sqlite_database, lambda register: register.keys(OWNER))) == 1


def test_a_key_of_another_account_is_left_alone(sqlite_database: str) -> None:
    ask(sqlite_database, lambda register: register.create_account("Anna", "free", "acc_1"))
    ask(sqlite_database, lambda register: register.create_key("acc_1", "mine", secret="sk-one"))
    assert admit(sqlite_database, "sk-one") is None
    assert [account.id for account in ask(sqlite_database, lambda register: register.accounts())] == ["acc_1"]


def test_a_new_key_is_added_to_the_account_that_there_is(sqlite_database: str) -> None:
    admit(sqlite_database, "sk-one")
    ask(sqlite_database, lambda register: register.change_account(OWNER, name="Bea", plan="free"))
    assert admit(sqlite_database, "sk-two") is None
    account = ask(sqlite_database, lambda register: register.account(OWNER))
    assert (account.name, account.plan) == ("Bea", "free")
    assert len(ask(sqlite_database, lambda register: register.keys(OWNER))) == 2


def test_a_revoked_key_stays_revoked(sqlite_database: str) -> None:
    admit(sqlite_database, "sk-one")
    (key,) = ask(sqlite_database, lambda register: register.keys(OWNER))
    ask(sqlite_database, lambda register: register.revoke_key(key.id))
    for _ in range(2):
        assert admit(sqlite_database, "sk-one") == ("was revoked; to get another one, remove its file and start again")
    assert admit(sqlite_database, "sk-two") is None


def test_a_closed_account_stays_closed(sqlite_database: str) -> None:
    admit(sqlite_database, "sk-one")
    ask(sqlite_database, lambda register: register.change_account(OWNER, closed=True))
    sentence = f"belongs to an account that is closed; open it again with: ./speechmesh accounts reopen {OWNER}"
    assert [admit(sqlite_database, key) for key in ("sk-one", "sk-two")] == [sentence, sentence]
