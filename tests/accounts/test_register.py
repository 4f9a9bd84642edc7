import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from services.accounts.api_keys import digest_of
from services.accounts.register import MOST_KEYS, Account, Register
from services.accounts.store import Store
from services.accounts.tables import KEYS, METADATA
from services.runtime.errors import Fault, MeshError
from tests.accounts.clock import Clock


@pytest.fixture
async def account(register: Register) -> Account:
    return await register.create_account("Ann", "free")


async def refusal(register: Register, secret: str) -> str | None:
    """Return why a key is not taken now."""
    found = await register.find(digest_of(secret))
    assert found is not None
    return found.refusal(register.clock())


async def fill(store: Store, account: Account, count: int, **values: Any) -> None:
    """Give an account keys that nobody knows."""
    rows = [
        {"id": f"key_{n}", "account_id": account.id, "digest": digest_of(f"{n}"), "hint": "", "name": "n", **values}
        for n in range(count)
    ]
    await store.write(lambda connection: connection.execute(insert(KEYS), [{"created_at": 0.0, **row} for row in rows]))


async def valid_keys(register: Register, account: Account) -> int:
    return sum(key.refusal(register.clock()) is None for key in await register.keys(account.id))


async def test_an_account_is_found_again_as_it_was_made(register: Register, clock: Clock) -> None:
    made = await register.create_account("  Ann  ", "free")

    assert made == Account(made.id, "Ann", "free", clock(), None)
    assert await register.account(made.id) == made
    assert (await register.create_account("Owner", "unlimited", "acc_owner")).id == "acc_owner"


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "two\nlines", "nul\0", "\ud800"])
async def test_a_name_that_is_none_is_refused(register: Register, account: Account, name: str) -> None:
    for ask in (
        register.create_account(name, "free"),
        register.create_key(account.id, name),
        register.change_account(account.id, name=name),
        register.rename_key("key_1", name),
    ):
        with pytest.raises(MeshError) as caught:
            await ask
        assert (caught.value.fault, caught.value.field) == (Fault.INVALID, "name")
    assert await register.keys(account.id) == []


async def test_accounts_are_listed_page_by_page(register: Register) -> None:
    made = sorted([(await register.create_account(f"{n}", "free")).id for n in range(5)])

    assert [each.id for each in await register.accounts()] == made
    assert [each.id for each in await register.accounts(limit=2)] == made[:2]
    assert [each.id for each in await register.accounts(after=made[1], limit=2)] == made[2:4]
    assert await register.accounts(after=made[4]) == []


async def test_an_account_is_changed_closed_and_opened_again(
    register: Register, account: Account, clock: Clock
) -> None:
    new = await register.create_key(account.id, "first")

    changed = await register.change_account(account.id, name="Anna", plan="paid")
    assert (changed.name, changed.plan, changed.closed_at) == ("Anna", "paid", None)
    closed = await register.change_account(account.id, closed=True)
    assert closed.closed_at == clock()
    assert await refusal(register, new.secret) == "belongs to an account that is closed"
    clock.move(5)
    assert (await register.change_account(account.id, name="Ann")).closed_at == clock() - 5
    await register.change_account(account.id, closed=False)
    assert await refusal(register, new.secret) is None


@pytest.mark.parametrize("given", ["acc_none", "", "x" * 500, "nul\0", "\udcff"])
async def test_what_there_is_not_is_not_found_whatever_its_id(register: Register, given: str) -> None:
    for ask, what in (
        (register.account(given), "account"),
        (register.change_account(given, plan="paid"), "account"),
        (register.create_key(given, "first"), "account"),
        (register.key(given), "key"),
        (register.rename_key(given, "other"), "key"),
        (register.revoke_key(given), "key"),
        (register.rotate_key(given), "key"),
    ):
        with pytest.raises(MeshError, match=f"There is no {what} ") as caught:
            await ask
        assert (caught.value.fault, caught.value.code) == (Fault.NOT_FOUND, f"{what}_not_found")


async def test_a_key_is_found_by_its_digest_with_its_account(register: Register, account: Account) -> None:
    new = await register.create_key(account.id, "first", expires_at=register.clock() + 60)

    found = await register.find(digest_of(new.secret))

    assert found is not None
    assert (found.key, found.account) == (new.key, account)
    assert new.secret.startswith(new.key.hint)
    assert await register.find(digest_of(new.secret + "x")) is None


async def test_a_secret_is_kept_nowhere(register: Register, account: Account, store: Store) -> None:
    secrets = [(await register.create_key(account.id, "first")).secret, "sk-" + "o" * 40]
    await register.create_key(account.id, "own", secret=secrets[1])
    key_id = (await register.keys(account.id))[0].id
    secrets.append((await register.rotate_key(key_id, overlap_seconds=60)).secret)

    async with store.reading() as connection:
        kept = b""
        for table in METADATA.tables.values():
            for row in await connection.execute(select(table)):
                kept += b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
    if store.is_sqlite:
        path = Path(str(store.url.database))
        kept += b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*"))

    assert b"Ann" in kept
    for secret in secrets:
        assert digest_of(secret) in kept
        assert secret.encode() not in kept
        assert secret[10:40].encode() not in kept


async def test_keys_are_listed_with_the_newest_first_also_those_that_have_ended(
    register: Register, account: Account, clock: Clock
) -> None:
    other = await register.create_account("Bob", "free")
    await register.create_key(other.id, "of another")
    first = await register.create_key(account.id, "first")
    clock.move(1)
    second = await register.create_key(account.id, "second")
    await register.revoke_key(first.key.id)

    assert [key.name for key in await register.keys(account.id)] == ["second", "first"]
    assert await register.key(second.key.id, account.id) == second.key
    with pytest.raises(MeshError, match="There is no key"):
        await register.key(second.key.id, other.id)


async def test_a_key_that_is_renamed_is_the_same_key(register: Register, account: Account) -> None:
    new = await register.create_key(account.id, "first")

    assert (await register.rename_key(new.key.id, " other ")).name == "other"
    assert await refusal(register, new.secret) is None


async def test_a_revoked_key_stays_revoked_since_the_first_time(
    register: Register, account: Account, clock: Clock
) -> None:
    new = await register.create_key(account.id, "first")
    revoked = await register.revoke_key(new.key.id)
    clock.move(60)

    assert revoked.revoked_at == clock() - 60
    assert await register.revoke_key(new.key.id) == revoked
    assert await refusal(register, new.secret) == "was revoked"


async def test_a_key_expires_on_time(register: Register, account: Account, clock: Clock) -> None:
    new = await register.create_key(account.id, "first", expires_at=clock() + 60)
    clock.move(59.9)
    assert await refusal(register, new.secret) is None
    clock.move(0.1)
    assert await refusal(register, new.secret) == "has expired"
    with pytest.raises(MeshError) as caught:
        await register.create_key(account.id, "late", expires_at=clock())
    assert caught.value.field == "expires_at"


async def test_a_rotated_key_ends_at_once_and_its_successor_has_its_name_and_end(
    register: Register, account: Account, clock: Clock
) -> None:
    old = await register.create_key(account.id, "first", expires_at=clock() + 600)

    new = await register.rotate_key(old.key.id)

    assert (new.key.name, new.key.expires_at, new.key.account_id) == ("first", clock() + 600, account.id)
    assert await refusal(register, old.secret) == "was revoked"
    assert await refusal(register, new.secret) is None


async def test_with_an_overlap_both_keys_are_taken_until_it_ends(
    register: Register, account: Account, clock: Clock
) -> None:
    old = await register.create_key(account.id, "first")
    short = await register.create_key(account.id, "short", expires_at=clock() + 10)

    new = await register.rotate_key(old.key.id, overlap_seconds=60)
    await register.rotate_key(short.key.id, overlap_seconds=60)

    assert [await refusal(register, key.secret) for key in (old, new, short)] == [None, None, None]
    clock.move(10)
    assert await refusal(register, short.secret) == "has expired"
    clock.move(50)
    assert await refusal(register, old.secret) == "has expired"
    assert await refusal(register, new.secret) is None


async def test_a_key_that_has_ended_is_not_rotated(register: Register, account: Account, clock: Clock) -> None:
    revoked = await register.create_key(account.id, "first")
    expired = await register.create_key(account.id, "second", expires_at=clock() + 1)
    await register.revoke_key(revoked.key.id)
    clock.move(1)

    for key, reason in ((revoked, "was revoked"), (expired, "has expired")):
        with pytest.raises(MeshError, match=f"{reason}; make a new one") as caught:
            await register.rotate_key(key.key.id, overlap_seconds=60)
        assert (caught.value.fault, caught.value.code) == (Fault.INVALID, "key_not_valid")
    assert await valid_keys(register, account) == 0


async def test_a_key_that_is_rotated_twice_at_once_has_one_successor(
    register: Register, account: Account, database: str, clock: Clock
) -> None:
    old = await register.create_key(account.id, "first")
    stores = [Store(database) for _ in range(4)]

    rotated = await asyncio.gather(
        *(Register(each, clock).rotate_key(old.key.id) for each in stores), return_exceptions=True
    )

    assert sum(not isinstance(each, MeshError) for each in rotated) == 1
    assert await valid_keys(register, account) == 1
    for each in stores:
        await each.close()


async def test_the_hundred_and_first_key_is_refused_until_one_ends(
    register: Register, account: Account, store: Store
) -> None:
    await fill(store, account, MOST_KEYS)

    with pytest.raises(MeshError, match="up to 100 keys") as caught:
        await register.create_key(account.id, "one more")
    assert (caught.value.fault, caught.value.code) == (Fault.INVALID, "too_many_keys")
    await register.rotate_key("key_7")
    await register.revoke_key("key_8")
    await register.create_key(account.id, "one more")
    assert await valid_keys(register, account) == MOST_KEYS


async def test_a_rotation_with_an_overlap_is_a_key_more(register: Register, account: Account, store: Store) -> None:
    await fill(store, account, MOST_KEYS - 1)

    await register.rotate_key("key_1", overlap_seconds=60)
    with pytest.raises(MeshError, match="up to 100 keys"):
        await register.rotate_key("key_1", overlap_seconds=60)

    assert await valid_keys(register, account) == MOST_KEYS


async def test_keys_that_are_made_at_once_are_not_more_than_a_hundred(
    register: Register, account: Account, store: Store, database: str, clock: Clock
) -> None:
    await fill(store, account, MOST_KEYS - 1)
    stores = [Store(database) for _ in range(4)]

    made = await asyncio.gather(
        *(Register(each, clock).create_key(account.id, "one more") for each in stores), return_exceptions=True
    )

    assert sum(isinstance(each, MeshError) for each in made) == 3
    assert await valid_keys(register, account) == MOST_KEYS
    for each in stores:
        await each.close()


async def test_a_secret_belongs_to_one_key(register: Register, account: Account, store: Store) -> None:
    await register.create_key(account.id, "own", secret="sk-" + "o" * 40)

    with pytest.raises(Exception, match=r"(?i)unique"):
        await register.create_key(account.id, "own", secret="sk-" + "o" * 40)
    assert await store.find(select(func.count()).select_from(KEYS)) == (1,)


async def test_every_edge_hashes_addresses_alike(register: Register, database: str) -> None:
    other = Store(database)

    assert await Register(other).address_secret() == await register.address_secret()
    await other.close()
