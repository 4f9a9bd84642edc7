import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from services.accounts.store import Store, sqlite_url
from services.accounts.tables import METADATA
from tests.databases import make_postgresql


@pytest.fixture
async def declared(database: str, tmp_path: Path) -> AsyncIterator[Store]:
    """Yield a database of the same kind with the tables as they are declared, not as the migrations make them."""
    url, name = sqlite_url(tmp_path / "declared.db"), f"declared_{secrets.token_hex(6)}"
    if not database.startswith("sqlite"):
        server = database.rpartition("/")[0]
        await asyncio.to_thread(make_postgresql, server, name)
        url = f"{server}/{name}"
    store = Store(url)
    await store.write(lambda connection: connection.run_sync(METADATA.create_all))
    yield store
    await store.close()


async def seen(store: Store) -> dict[str, Any]:
    """Return all that the database itself tells of its tables."""

    def look(connection: Any) -> dict[str, Any]:
        inspector = inspect(connection)
        return {
            name: {
                "columns": [{**column, "type": str(column["type"])} for column in inspector.get_columns(name)],
                "primary": inspector.get_pk_constraint(name),
                "foreign": inspector.get_foreign_keys(name),
                "unique": sorted(inspector.get_unique_constraints(name), key=str),
                "checks": sorted(inspector.get_check_constraints(name), key=str),
                "indexes": sorted((_index(index) for index in inspector.get_indexes(name)), key=str),
            }
            for name in sorted(inspector.get_table_names())
            if name != "alembic_version"
        }

    async with store.reading() as connection:
        return await connection.run_sync(look)


def _index(index: Any) -> dict[str, Any]:
    # A condition is a clause, which equals none but itself.
    options = {key: str(value) for key, value in index.get("dialect_options", {}).items()}
    return {**index, "dialect_options": options}


async def test_the_migrations_make_exactly_what_is_declared(store: Store, declared: Store) -> None:
    made = await seen(store)

    assert set(made) == set(METADATA.tables)
    assert made == await seen(declared)


async def test_alembic_finds_nothing_to_change(store: Store) -> None:
    def compare(connection: Any) -> Any:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA)

    async with store.reading() as connection:
        assert await connection.run_sync(compare) == []


async def test_the_triggers_that_guard_the_entries_are_there(store: Store) -> None:
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    if not store.is_sqlite:
        query = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'O'"
    async with store.reading() as connection:
        names = set((await connection.execute(text(query))).scalars())

    expected = {"entries_update", "entries_delete", "entries_replace"} if store.is_sqlite else {"entries_only_append"}
    assert names == expected


def test_every_column_of_a_constraint_has_a_name_to_change_it_by() -> None:
    names = [constraint.name for table in METADATA.tables.values() for constraint in table.constraints]

    assert all(names)
    assert len({str(name) for name in names}) == len(names)


def test_a_migration_is_called_by_its_number_and_what_it_does() -> None:
    folder = Path(__file__).resolve().parents[2] / "services" / "accounts" / "migrations" / "versions"

    for path in folder.glob("*.py"):
        assert re.fullmatch(r"\d{4}_[a-z_]+", path.stem)
        assert f'revision = "{path.stem[:4]}"' in path.read_text()
