"""Where the accounts are kept: SPEECHMESH_DATABASE_URL says it, else it is a file in the data folder."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from services.accounts.store import AWAY, Store, sqlite_url
from services.models.folders import default_data_dir
from services.runtime.errors import Fault, MeshError

DATABASE_URL = "SPEECHMESH_DATABASE_URL"
"""Variable that says where; there is no option for it, because a password would stand in the list of processes."""


def file_url(data: Path) -> str:
    """Return the URL of the database in the data folder."""
    return sqlite_url(data / "accounts.db")


def chosen_url(data: Path | None, environ: Mapping[str, str]) -> str:
    """Return the URL of the database that a command works with.

    Args:
        data: data folder whose database it is, unless `environ` names one; None: the usual one.
        environ: the environment.

    Raises:
        MeshError: INVALID when nothing says where the data folder is.
    """
    return environ.get(DATABASE_URL) or file_url((data or default_data_dir(environ)).expanduser())


@asynccontextmanager
async def opened(url: str, *, make: bool = False) -> AsyncIterator[Store]:
    """Lend the store at `url`, whatever its schema.

    Args:
        url: of the database.
        make: whether an SQLite file that is not there is made, readable by its owner alone, and its folder too.

    Raises:
        MeshError: INVALID when `url` is of no database that is known; NOT_FOUND when there is no SQLite file and none
            is to be made; UNAVAILABLE when the database cannot be used, saying which one and why, but no password.
    """
    try:
        store = Store(url, patient=True)
    except ValueError as error:
        raise MeshError(Fault.INVALID, f"{DATABASE_URL}: {error}.", field="database_url") from error
    try:
        if store.is_sqlite:
            _see_to_file(Path(str(store.url.database)), make=make)
        yield store
    except MeshError as error:
        if error.code != AWAY:
            raise
        raise _unusable(store, error.__cause__ or error) from error
    finally:
        await store.close()


def _see_to_file(path: Path, *, make: bool) -> None:
    if not make:
        # SQLite would make it, for anybody to read.
        if not path.exists():
            raise MeshError(
                Fault.NOT_FOUND,
                f"There are no accounts at {path} yet: ./speechmesh up makes them, or ./speechmesh db upgrade.",
            )
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The files that SQLite puts beside it get its permissions.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise MeshError(Fault.UNAVAILABLE, f"The database {path} cannot be used: {error.strerror}.") from error


def _unusable(store: Store, cause: BaseException) -> MeshError:
    reason = str(getattr(cause, "orig", None) or cause) or type(cause).__name__
    # Not the URL: it may hold a password, also among its parameters.
    url = store.url
    place = url.database if store.is_sqlite else f"{url.database} at {url.host}:{url.port or 5432}"
    return MeshError(Fault.UNAVAILABLE, f"The database {place} cannot be used: {reason}.")
