"""The schema of the store: what it is, what it should be, and how it gets there."""

from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.accounts.store import Store
from services.runtime.errors import Fault, MeshError

_MIGRATIONS = Path(__file__).with_name("migrations")
_LOCK = 0x5350_4D53
"""Of PostgreSQL: two upgrades at once happen one after the other."""


@cache
def newest() -> str:
    """Return the revision of the schema that this version works with."""
    (head,) = _scripts().get_heads()
    return head


async def revision(store: Store) -> str | None:
    """Return the revision of a store's schema, None where it has none yet.

    Raises:
        MeshError: UNAVAILABLE when the database cannot be reached.
    """
    return await store.read(lambda connection: connection.run_sync(_revision))


async def upgrade(store: Store) -> tuple[str | None, str]:
    """Bring a store's schema to the newest revision, whole or not at all; return the one before and this one.

    Raises:
        MeshError: INVALID when it is newer than this version knows; UNAVAILABLE when the database cannot be reached.
    """

    async def work(connection: AsyncConnection) -> str | None:
        if not store.is_sqlite:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        before = await connection.run_sync(_revision)
        _refuse_unknown(before)
        await connection.run_sync(_upgrade)
        return before

    return await store.write(work), newest()


async def require_newest(store: Store) -> None:
    """Make sure that a store's schema is the one that this version works with.

    Raises:
        MeshError: INVALID, saying what to do; UNAVAILABLE when the database cannot be reached.
    """
    found = await revision(store)
    _refuse_unknown(found)
    if found != newest():
        what = "has no tables yet" if found is None else f"is at revision {found}, older than {newest()}"
        raise MeshError(
            Fault.INVALID,
            f"The database of the accounts {what}. Run: ./speechmesh db upgrade",
            code="schema_old",
        )


def _refuse_unknown(found: str | None) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if found is not None and found not in known:
        raise MeshError(
            Fault.INVALID,
            f"The database of the accounts is at revision {found}, which this version does not know: "
            "a newer Speechmesh has changed it. Start that version, or restore a backup from before.",
            code="schema_new",
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _revision(connection: Any) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Any) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
