"""The register of accounts and their keys."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.accounts.api_keys import MAX_NAME, ApiKey, digest_of, hint_of, new_key
from services.accounts.store import Store
from services.accounts.tables import ACCOUNTS, KEYS, SECRETS
from services.accounts.transaction import rows_of
from services.runtime.errors import Fault, MeshError, invalid_field

_ADDRESS_SECRET = "addresses"
MOST_KEYS = 100
"""Keys of one account that are neither revoked nor expired."""
_PAGE = 100
_MOST_LISTED = 1000
_MOST_EVER = 10_000
"""Keys of one account, those that are not taken any more too."""


@dataclass(frozen=True)
class Account:
    """Who has keys and pays."""

    id: str
    name: str
    plan: str
    created_at: float
    """Seconds since 1970."""
    closed_at: float | None
    """When its keys ceased to be taken; None while they are."""


@dataclass(frozen=True)
class Found:
    """A key with its account."""

    key: ApiKey
    account: Account

    def refusal(self, now: float) -> str | None:
        """Return why the key is not taken at `now`, None when it is."""
        if self.account.closed_at is not None and self.account.closed_at <= now:
            return "belongs to an account that is closed"
        return self.key.refusal(now)


@dataclass(frozen=True)
class NewKey:
    """A key that was made now, the only time that it can be seen."""

    key: ApiKey
    secret: str


class Register:
    """Accounts and keys.

    Args:
        store: where they are kept.
        clock: tells the time, in seconds since 1970.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self.clock = clock

    async def address_secret(self) -> bytes:
        """Return what anonymous addresses are hashed with, the same for every edge of this store."""
        row = await self._store.find(select(SECRETS.c.value).where(SECRETS.c.name == _ADDRESS_SECRET))
        return bytes(row.value)

    async def create_account(self, name: str, plan: str, account_id: str | None = None) -> Account:
        """Make an account and return it.

        Args:
            name: of up to `MAX_NAME` characters.
            plan: id of a plan that was chosen from those for accounts.
            account_id: made up unless given.

        Raises:
            MeshError: INVALID for a name that is empty or too long.
        """
        account = Account(account_id or _new_id("acc"), _checked_name(name), plan, self.clock(), None)

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(insert(ACCOUNTS).values(**vars(account)))

        await self._store.write(work)
        return account

    async def sign_up(self, name: str, plan: str) -> tuple[Account, NewKey]:
        """Make an account and its first key, both or neither; raises as `create_account`."""
        account = Account(_new_id("acc"), _checked_name(name), plan, self.clock(), None)
        secret = new_key()
        key = ApiKey(_new_id("key"), account.id, "first", hint_of(secret), account.created_at, None, revoked_at=None)

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(insert(ACCOUNTS).values(**vars(account)))
            await connection.execute(insert(KEYS).values(digest=digest_of(secret), **vars(key)))

        await self._store.write(work)
        return account, NewKey(key, secret)

    async def account(self, account_id: str) -> Account:
        """Return an account; raises MeshError (NOT_FOUND) where there is none."""
        row = None
        if _may_be_id(account_id):
            row = await self._store.find(select(ACCOUNTS).where(ACCOUNTS.c.id == account_id))
        if row is None:
            raise _no_account(account_id)
        return _account(row)

    async def accounts(self, after: str = "", limit: int = _PAGE) -> Sequence[Account]:
        """Return up to `limit` accounts in the order of their ids, from the one after the id `after`."""
        if not _may_be_id(after):
            return []
        statement = select(ACCOUNTS).where(ACCOUNTS.c.id > after).order_by(ACCOUNTS.c.id).limit(limit)
        return [_account(row) for row in await self._store.read(lambda connection: rows_of(connection, statement))]

    async def change_account(
        self, account_id: str, *, name: str | None = None, plan: str | None = None, closed: bool | None = None
    ) -> Account:
        """Change what is given of an account, and return it; raises as `create_account` and `account`."""
        values: dict[str, Any] = {}
        if name is not None:
            values["name"] = _checked_name(name)
        if plan is not None:
            values["plan"] = plan
        if closed is not None:
            values["closed_at"] = self.clock() if closed else None

        await self.account(account_id)

        async def work(connection: AsyncConnection) -> None:
            if values:
                await connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.id == account_id).values(**values))

        await self._store.write(work)
        return await self.account(account_id)

    async def create_key(
        self, account_id: str, name: str, *, expires_at: float | None = None, secret: str | None = None
    ) -> NewKey:
        """Make a key for an account.

        Args:
            account_id: of an account that there is.
            name: of up to `MAX_NAME` characters.
            expires_at: when it ceases to be taken, in seconds since 1970; None for never.
            secret: the key itself, where there is one already; its account has it then already, or it is new.

        Raises:
            MeshError: NOT_FOUND for the account; INVALID for the name, a time that has passed, or the hundred-and-first
                key.
        """
        account = await self.account(account_id)
        now = self.clock()
        if expires_at is not None and expires_at <= now:
            raise invalid_field("expires_at", "The field 'expires_at' must be a time to come.")
        secret = secret or new_key()
        key = ApiKey(_new_id("key"), account.id, _checked_name(name), hint_of(secret), now, expires_at, revoked_at=None)

        async def work(connection: AsyncConnection) -> None:
            await _lock(connection, account.id)
            await _refuse_too_many(connection, account.id, now)
            await connection.execute(insert(KEYS).values(digest=digest_of(secret), **vars(key)))

        await self._store.write(work)
        return NewKey(key, secret)

    async def keys(self, account_id: str) -> Sequence[ApiKey]:
        """Return the keys of an account, the newest first, up to a thousand; also those that are revoked or expired."""
        statement = select(KEYS).where(KEYS.c.account_id == account_id).order_by(KEYS.c.created_at.desc(), KEYS.c.id)
        rows = await self._store.read(lambda connection: rows_of(connection, statement.limit(_MOST_LISTED)))
        return [_key(row) for row in rows]

    async def key(self, key_id: str, account_id: str | None = None) -> ApiKey:
        """Return a key; raises MeshError (NOT_FOUND) where there is none, or it belongs to another account."""
        row = await self._store.find(select(KEYS).where(KEYS.c.id == key_id)) if _may_be_id(key_id) else None
        if row is None or account_id not in (None, row.account_id):
            raise _no_key()
        return _key(row)

    async def rename_key(self, key_id: str, name: str) -> ApiKey:
        """Give a key another name, and return it; raises as `key` and `create_key`."""
        name = _checked_name(name)
        await self.key(key_id)
        return await self._change_key(key_id, name=name)

    async def revoke_key(self, key_id: str) -> ApiKey:
        """Have a key not be taken any more, and return it; revoking it twice changes nothing."""
        await self.key(key_id)
        # The time of the first revocation stays, also where two come at once.
        return await self._change_key(key_id, revoked_at=func.coalesce(KEYS.c.revoked_at, self.clock()))

    async def rotate_key(self, key_id: str, *, overlap_seconds: float = 0.0) -> NewKey:
        """Make a key of the same name that takes the place of another one.

        Args:
            key_id: the key that is replaced.
            overlap_seconds: how long the old one is still taken.

        Raises:
            MeshError: NOT_FOUND where there is no such key; INVALID when it is not taken any more itself, or stays the
                hundredth for a while.
        """
        account_id = (await self.key(key_id)).account_id
        secret, now = new_key(), self.clock()

        async def work(connection: AsyncConnection) -> ApiKey:
            await _lock(connection, account_id)
            # Only now: who rotates it at the same time finds it ended.
            old = _key((await connection.execute(select(KEYS).where(KEYS.c.id == key_id))).one())
            refusal = old.refusal(now)
            if refusal is not None:
                raise MeshError(Fault.INVALID, f"The key {key_id} {refusal}; make a new one.", code="key_not_valid")
            end = now + overlap_seconds
            ending = (
                {"expires_at": end if old.expires_at is None else min(end, old.expires_at)}
                if overlap_seconds
                else {"revoked_at": now}
            )
            await connection.execute(update(KEYS).where(KEYS.c.id == old.id).values(**ending))
            await _refuse_too_many(connection, account_id, now)
            new = ApiKey(_new_id("key"), account_id, old.name, hint_of(secret), now, old.expires_at, revoked_at=None)
            await connection.execute(insert(KEYS).values(digest=digest_of(secret), **vars(new)))
            return new

        return NewKey(await self._store.write(work), secret)

    async def find(self, digest: bytes) -> Found | None:
        """Return the key with this SHA-256 and its account, whether it is taken or not; None where there is none.

        The database finds it by its digest, which tells nobody who times it anything about the key.
        """
        row = await self._store.find(select_found(KEYS.c.digest == digest))
        return None if row is None else found_of(row)

    async def _change_key(self, key_id: str, **values: Any) -> ApiKey:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(update(KEYS).where(KEYS.c.id == key_id).values(**values))

        await self._store.write(work)
        return await self.key(key_id)


async def _lock(connection: AsyncConnection, account_id: str) -> None:
    """Have what changes an account's keys happen one after the other; on SQLite it does anyhow."""
    await connection.execute(select(ACCOUNTS.c.id).where(ACCOUNTS.c.id == account_id).with_for_update())


def select_found(condition: ColumnElement[bool]) -> Select[Any]:
    """Return the statement that finds keys with their accounts; `found_of` reads its rows."""
    account = (column.label(f"account_{column.name}") for column in ACCOUNTS.c if column.name != "id")
    return select(KEYS, *account).join(ACCOUNTS, ACCOUNTS.c.id == KEYS.c.account_id).where(condition)


def found_of(row: Any) -> Found:
    """Return the key and the account in a row that `select_found` has found."""
    account = Account(row.account_id, row.account_name, row.account_plan, row.account_created_at, row.account_closed_at)
    return Found(_key(row), account)


async def _refuse_too_many(connection: AsyncConnection, account_id: str, now: float) -> None:
    valid = and_(
        or_(KEYS.c.revoked_at.is_(None), KEYS.c.revoked_at > now),
        or_(KEYS.c.expires_at.is_(None), KEYS.c.expires_at > now),
    )
    counts = select(func.count(), func.count(case((valid, 1)))).where(KEYS.c.account_id == account_id)
    ever, now_valid = (await connection.execute(counts)).one()
    if now_valid >= MOST_KEYS or ever >= _MOST_EVER:
        most = f"{MOST_KEYS} keys; revoke one" if now_valid >= MOST_KEYS else f"{_MOST_EVER} keys in its life"
        raise MeshError(Fault.INVALID, f"An account has up to {most}.", code="too_many_keys")


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise invalid_field("name", f"The field 'name' must be a text of 1 to {MAX_NAME} characters on one line.")
    return name


def _may_be_id(given: str) -> bool:
    # Not every text can be asked for: PostgreSQL refuses a NUL, and what is not UTF-8 reaches neither database.
    return given.isascii() and given.isprintable()


def _new_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(8)}"


def _no_account(account_id: str) -> MeshError:
    return MeshError(Fault.NOT_FOUND, f"There is no account {account_id[:64]!r}.", code="account_not_found")


def _no_key() -> MeshError:
    # Without what was given: it may be the key itself in the place of its id.
    return MeshError(Fault.NOT_FOUND, "There is no key with that id.", code="key_not_found")


def _account(row: Any) -> Account:
    return Account(row.id, row.name, row.plan, row.created_at, row.closed_at)


def _key(row: Any) -> ApiKey:
    return ApiKey(row.id, row.account_id, row.name, row.hint, row.created_at, row.expires_at, row.revoked_at)
