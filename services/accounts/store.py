"""The database behind the accounts: SQLite for one machine, PostgreSQL for many edges; one set of statements.

A write transaction holds what it touches until it commits. SQLite knows one writer: ours wait for each other in
this process, and for other processes by SQLite's own lock. PostgreSQL locks the rows of a holder, see `ledger`.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import await_only

from services.runtime.errors import Fault, MeshError
from services.runtime.logs import get_logger

T = TypeVar("T")

Work = Callable[[AsyncConnection], Awaitable[T]]
"""What is done on a connection, in a transaction."""

AWAY = "accounts_unavailable"
"""Code of the error that says that the database cannot be reached."""

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
_LOCKED_SECONDS = 10.0
_LOCKED_PAUSE_SECONDS = 0.05
_CONNECTIONS = 8
_STATEMENT_SECONDS = 30.0
_APART_SECONDS = 2.0
_STUCK_SECONDS = 3.0
_ATTEMPTS = 5
_PASSING = frozenset({"40001", "40P01"})
"""PostgreSQL's codes for a transaction that another one was in the way of: it did nothing, and may be done again."""
_AWAY = ("08", "25006", "25P03", "28", "3D", "40", "53", "55P03", "57")
"""How PostgreSQL's codes begin when it cannot serve us: no connection, only a replica, no such user or database, others
in the way for long or again and again, too many connections or too little room, starting or stopping."""


class Store:
    """One database.

    Args:
        url: `sqlite:///path/to/file` or `postgresql://user:password@host:port/name`.
        connections: to PostgreSQL at most, beside one for signs of life.
        patient: whether a statement may take as long as it likes, and wait as long; else half a minute and three
            seconds, on PostgreSQL.

    Raises:
        ValueError: with a sentence, when the URL is none of these; it is not repeated, for it may hold a password.
    """

    def __init__(self, url: str, *, connections: int = _CONNECTIONS, patient: bool = False) -> None:
        self.url = driver_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        seconds = None if patient else _STATEMENT_SECONDS
        self._engine = _sqlite(self.url) if self.is_sqlite else _postgresql(self.url, connections, seconds)
        # Signs of life wait for no request. On SQLite there is one writer at a time whatever one does.
        self._apart = self._engine if self.is_sqlite else _postgresql(self.url, 1, _APART_SECONDS)
        self._writing = asyncio.Lock()
        self._doing: set[asyncio.Future[Any]] = set()

    async def close(self) -> None:
        """Close all connections, when what is being done on them is done."""
        if self._doing:
            await asyncio.wait(self._doing)
        await self._engine.dispose()
        await self._apart.dispose()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection in a transaction that only reads and sees one state of the store; for who is not cancelled,
        see `read`.

        Raises:
            MeshError: UNAVAILABLE when the database cannot be reached.
        """
        with _reachable():
            async with self._reading() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        level = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        async with self._engine.execution_options(**level).connect() as connection, connection.begin():
            yield connection

    async def read(self, work: Work[T]) -> T:
        """Return what `work` makes of a connection in a transaction that only reads and sees one state of the store.

        Raises:
            MeshError: UNAVAILABLE when the database cannot be reached.
        """

        async def reading() -> T:
            async with self._reading() as connection:
                return await work(connection)

        return await self._surely(_on_a_living_connection(reading))

    async def find(self, statement: Any) -> Any:
        """Return the one row that a statement finds, or None; for look-ups that need no transaction.

        Raises:
            MeshError: UNAVAILABLE when the database cannot be reached.
        """

        async def finding() -> Any:
            async with self._engine.connect() as connection:
                return (await connection.execute(statement)).first()

        return await self._surely(_on_a_living_connection(finding))

    async def write(self, work: Work[T], *, apart: bool = False) -> T:
        """Return what `work` makes of a connection in a transaction, which is committed when it returns and undone
        when it raises. It may be called again, where another transaction was in its way. Who is cancelled meanwhile
        leaves, and it is done all the same.

        Args:
            work: what is done in the transaction.
            apart: whether it has a connection of its own, and so never waits for one that others hold.

        Raises:
            MeshError: UNAVAILABLE when the database cannot be reached, and whatever `work` raises.
        """
        return await self._surely(self._write_again(work, self._apart if apart else self._engine))

    async def _surely(self, doing: Coroutine[Any, Any, T]) -> T:
        # Cancelled in the middle of a statement, SQLite's driver leaves its connection open behind our back, in a
        # transaction, and with it the database locked.
        task = asyncio.ensure_future(doing)
        self._doing.add(task)
        task.add_done_callback(self._is_done)
        return await asyncio.shield(task)

    def _is_done(self, task: asyncio.Future[Any]) -> None:
        self._doing.discard(task)
        if not task.cancelled():
            task.exception()  # who waits for it gets it; who has left does not want it

    async def _write_again(self, work: Work[T], engine: AsyncEngine) -> T:
        with _reachable():
            for attempt in range(_ATTEMPTS):
                worked = asyncio.Event()
                try:
                    return await self._write(work, engine, worked)
                except DBAPIError as error:
                    # A connection that was dead before its first word; after the last one, nobody knows.
                    was_dead = error.connection_invalidated and not worked.is_set()
                    if attempt == _ATTEMPTS - 1 or not (was_dead or _code(error) in _PASSING):
                        raise
                await asyncio.sleep(0.01 * 2**attempt)
        raise AssertionError("unreachable")

    async def _write(self, work: Work[T], engine: AsyncEngine, worked: asyncio.Event) -> T:
        async with contextlib.AsyncExitStack() as stack:
            if self.is_sqlite:
                await stack.enter_async_context(self._writing)
                engine = engine.execution_options(writes=True)
            result = await work(await stack.enter_async_context(engine.begin()))
            worked.set()
            return result


def sqlite_url(path: Path) -> str:
    """Return the URL of the SQLite file at `path`."""
    return URL.create("sqlite", database=str(path.absolute())).render_as_string()


def driver_url(url: str) -> URL:
    """Return `url` with the driver that is used.

    Raises:
        ValueError: with a sentence, when it is no URL of a database that is known; it is not repeated, for it may hold
            a password.
    """
    with contextlib.suppress(ArgumentError, ValueError):
        parsed = make_url(url)
        if parsed.drivername in _DRIVERS and parsed.database not in (None, "", ":memory:"):
            return _with_driver(parsed)
    raise ValueError(
        "it must read sqlite:////path/to/file or postgresql://user:password@host:port/name, the latter with "
        "?sslmode=MODE where it is wanted"
    )


def _with_driver(url: URL) -> URL:
    url = url.set(drivername=_DRIVERS[url.drivername])
    if not url.query:
        return url
    if set(url.query) != {"sslmode"} or url.get_backend_name() != "postgresql":
        raise ValueError("unknown parameters")
    # libpq's name, as everybody writes it; the driver has another one.
    return url.set(query={"ssl": url.query["sslmode"]})


def _sqlite(url: URL) -> AsyncEngine:
    async def open_file() -> aiosqlite.Connection:
        connection = aiosqlite.connect(str(url.database), timeout=_LOCKED_SECONDS)
        # As SQLAlchemy does it: no process waits for a connection at its end.
        connection._thread.daemon = True
        try:
            return await connection
        except BaseException:
            # Where the file cannot be opened, its thread still has a word to say to this loop, which may end soon.
            await asyncio.to_thread(connection._thread.join)
            raise

    engine = create_async_engine(
        url,
        hide_parameters=True,
        async_creator=open_file,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=_CONNECTIONS,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, _: Any) -> None:
        try:
            # Python's own transactions begin late and commit by surprise; ours begin where we say so.
            connection.isolation_level = None
            cursor = connection.cursor()
            _write_ahead(cursor)
            # What was committed outlives a power failure, too: it is money.
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("PRAGMA foreign_keys=ON")
            cursor.close()
        except BaseException:
            # Nobody else knows of it yet: a file that is no database is found out here.
            connection.close()
            raise

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        # A reader that becomes a writer may find that it read what is no longer so, and fails.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _write_ahead(cursor: Any) -> None:
    """Have readers and the writer not wait for each other."""
    for _ in range(round(_LOCKED_SECONDS / _LOCKED_PAUSE_SECONDS)):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # This one does not wait for its turn by itself, when another process makes the same change.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            await_only(asyncio.sleep(_LOCKED_PAUSE_SECONDS))
    cursor.execute("PRAGMA journal_mode=WAL")


def _postgresql(url: URL, connections: int, statement_seconds: float | None) -> AsyncEngine:
    limits: dict[str, float] = {}
    if statement_seconds is not None:
        # An edge that is stuck in the middle of a transaction must let go before the leases of others end.
        stuck = {"lock_timeout": _STUCK_SECONDS, "idle_in_transaction_session_timeout": _STUCK_SECONDS}
        limits = {"statement_timeout": statement_seconds, **stuck}
    return create_async_engine(
        url,
        hide_parameters=True,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=_LOCKED_SECONDS,
        connect_args={
            "timeout": _STUCK_SECONDS,
            "command_timeout": None if statement_seconds is None else 2 * statement_seconds,
            "server_settings": {name: f"{seconds * 1000:.0f}" for name, seconds in limits.items()},
        },
    )


async def _on_a_living_connection(asking: Callable[[], Awaitable[T]]) -> T:
    """Ask, and ask again on another connection where the first was dead: the server was started again since."""
    with _reachable():
        try:
            return await asking()
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        return await asking()


@contextlib.contextmanager
def _reachable() -> Any:
    """Turn a database that is away into an error that callers understand."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout, OSError) as error:
        raise _away(error) from error
    except DBAPIError as error:
        # SQLite's own word for a file that is no database, or a broken one; its other kinds say what they are.
        broken = type(error) is DatabaseError
        if not (broken or error.connection_invalidated or (_code(error) or "").startswith(_AWAY)):
            raise
        raise _away(error) from error


def _away(error: Exception) -> MeshError:
    get_logger().error("store_unavailable", reason=type(error.__cause__ or error).__name__)
    return MeshError(Fault.UNAVAILABLE, "The accounts cannot be reached at this moment.", code=AWAY)


def _code(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
