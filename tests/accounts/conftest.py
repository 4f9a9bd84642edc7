"""Stores, registers and ledgers for the tests beside this file."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.accounts.ledger import Ledger
from services.accounts.register import Register
from services.accounts.store import Store, sqlite_url
from tests.accounts.clock import Clock
from tests.accounts.samples import LEASE
from tests.databases import make_postgresql, new_postgresql


@pytest.fixture
def clock() -> Clock:
    """Return a clock that goes when it is told to; it stands at noon, in the middle of a month."""
    return Clock()


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """Yield a store with the newest schema, of each kind of database in turn."""
    opened = Store(database)
    yield opened
    await opened.close()


@pytest.fixture
def postgresql_database(postgresql: str) -> str:
    """Return the URL of a new PostgreSQL database with the newest schema."""
    return new_postgresql(postgresql, "template")


@pytest.fixture
def register(store: Store, clock: Clock) -> Register:
    """Return the register of the store."""
    return Register(store, clock)


@pytest.fixture
def ledger(store: Store, clock: Clock) -> Ledger:
    """Return the ledger of one edge."""
    return Ledger(store, edge="edge_1", lease_seconds=LEASE, clock=clock)


@pytest.fixture
def other_edge(store: Store, clock: Clock) -> Ledger:
    """Return the ledger of another edge of the same store."""
    return Ledger(store, edge="edge_2", lease_seconds=LEASE, clock=clock)


@pytest.fixture
async def edges(database: str, clock: Clock) -> AsyncIterator[list[Ledger]]:
    """Yield the ledgers of several edges, each with its own connections to one database."""
    stores = [Store(database) for _ in range(4)]
    yield [Ledger(each, edge=f"edge_{n}", lease_seconds=LEASE, clock=clock) for n, each in enumerate(stores)]
    for each in stores:
        await each.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without tables, of each kind in turn."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "empty.db")
    server = str(request.getfixturevalue("postgresql"))
    name = f"empty_{secrets.token_hex(6)}"
    make_postgresql(server, name)
    return f"{server}/{name}"
