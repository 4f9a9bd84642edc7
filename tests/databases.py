"""Databases for the tests that keep accounts: new and empty ones, with the newest schema."""

import asyncio
import secrets
import shutil
from pathlib import Path

import asyncpg

from services.accounts.schema import upgrade
from services.accounts.store import Store, sqlite_url


def new_sqlite(template: Path, folder: Path) -> str:
    """Return the URL of a copy of an SQLite file."""
    path = folder / f"accounts-{secrets.token_hex(4)}.db"
    shutil.copyfile(template, path)
    return sqlite_url(path)


def new_postgresql(server: str, template: str) -> str:
    """Return the URL of a copy of the database `template` on the server whose URL is `server`."""
    name = f"copy_{secrets.token_hex(6)}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name} TEMPLATE {template}"))
    return f"{server}/{name}"


def drop_postgresql(server: str, url: str) -> None:
    """Drop a database, whoever is still connected: thousands of files would wait for the end of the last test."""
    asyncio.run(_execute(server, f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)"))


def make_postgresql(server: str, name: str) -> None:
    """Make an empty database."""
    asyncio.run(_execute(server, f"CREATE DATABASE {name}"))


def with_schema(url: str) -> None:
    """Bring a database's schema to the newest revision."""

    async def work() -> None:
        store = Store(url)
        await upgrade(store)
        await store.close()

    asyncio.run(work())


async def _execute(server: str, statement: str) -> None:
    connection = await asyncpg.connect(f"{server}/postgres")
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
