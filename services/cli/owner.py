"""What `up` does for whoever runs the machine: tables for the accounts, and an account whose key has no limits."""

import asyncio

from services.accounts import schema
from services.accounts.api_keys import digest_of
from services.accounts.plans import UNLIMITED
from services.accounts.register import Found, Register
from services.cli.database import opened
from services.runtime.errors import Fault, MeshError

OWNER = "acc_owner"
"""Id of the owner's account."""

_KEY_NAME = "up"


def upgrade(url: str) -> None:
    """Bring the schema of the database at `url` to the newest revision; an SQLite file is made if need be.

    Raises:
        MeshError: INVALID when it is newer than this version knows; UNAVAILABLE when the database cannot be used.
    """

    async def work() -> None:
        async with opened(url, make=True) as store:
            await schema.upgrade(store)

    asyncio.run(work())


def admit(url: str, key: str) -> str | None:
    """See to it that `key` is one of the owner's, unless the database has it already, of whomever.

    Args:
        url: of a database whose schema is the newest.
        key: the API key.

    Returns:
        why the key is not taken and what to do about it, to be said after "The API key"; None when it is taken.

    Raises:
        MeshError: INVALID when the owner has too many keys; UNAVAILABLE when the database cannot be used.
    """

    async def work() -> str | None:
        async with opened(url) as store:
            register = Register(store)
            found = await register.find(digest_of(key)) or await _add(register, key)
            return _refusal(found, register.clock())

    return asyncio.run(work())


async def _add(register: Register, key: str) -> Found:
    try:
        account = await register.account(OWNER)
    except MeshError as error:
        if error.fault is not Fault.NOT_FOUND:
            raise
        account = await register.create_account("owner", UNLIMITED, OWNER)
    new = await register.create_key(account.id, _KEY_NAME, secret=key)
    return Found(new.key, account)


def _refusal(found: Found, now: float) -> str | None:
    reason = found.refusal(now)
    if reason is None:
        return None
    if found.account.closed_at is not None:
        return f"{reason}; open it again with: ./speechmesh accounts reopen {found.account.id}"
    return f"{reason}; to get another one, remove its file and start again"
