import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from multidict import CIMultiDict
from sqlalchemy import select

from services.accounts.register import Register
from services.accounts.store import Store
from services.accounts.tables import ACCOUNTS as ACCOUNT_ROWS
from services.accounts.tables import KEYS, RESERVATIONS
from services.edge import identity
from services.edge.app import ACCOUNTS
from services.edge.identity import CACHE_SECONDS
from tests.accounts.clock import Clock
from tests.edge.accounts import AUTH, KEY, NO_SERVICES, OWNER, key_of, new_database
from tests.edge.fake_mesh import FakeMesh

Client = TestClient[Any, Any]
ME = "/v1/account"
ALL_TRUSTED = {"trusted_proxies": "127.0.0.0/8"}


class Stopwatch:
    """Stands in for the module `time` where keys are cached; it goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    """Return what the age of a cached key is measured with."""
    watch = Stopwatch()
    monkeypatch.setattr(identity, "time", watch)
    return watch


def mesh(**kwargs: Any) -> FakeMesh:
    return FakeMesh(down=NO_SERVICES, **kwargs)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def status(client: Client, headers: Any = None) -> int:
    return (await client.get(ME, headers=headers)).status


async def own_key(client: Client, headers: dict[str, str]) -> str:
    """Return the id of the only key of an account."""
    (key,) = (await (await client.get("/v1/keys", headers=headers)).json())["keys"]
    return str(key["id"])


async def test_a_key_is_its_account(tmp_path: Path) -> None:
    async with mesh().client(tmp_path) as client:
        for header in (f"Bearer {KEY}", f"bearer {KEY}", f"BEARER  {KEY} "):
            told = await (await client.get(ME, headers={"Authorization": header})).json()

            assert (told["id"], told["plan"]) == (OWNER, "unlimited")


@pytest.mark.parametrize(
    "header",
    [
        *("Bearer sk-unknown", "Bearer", "Bearer ", "", " ", KEY, f"Basic {KEY}", f"Token {KEY}", f"Bearer{KEY}"),
        *(
            f"Bearer {KEY}x",
            f"Bearer {KEY[:-1]}",
            f"Bearer {KEY.upper()}",
            f"Bearer {KEY}, Bearer {KEY}",
            f"Bearer,{KEY}",
        ),
        *("Bearer ключ", "Bearer 🔑", "Bearer \udcff"),
    ],
)
async def test_a_bad_key_is_never_taken_for_no_key(tmp_path: Path, header: str) -> None:
    async with mesh().client(tmp_path) as client:
        answer = await client.get(ME, headers={"Authorization": header})

        assert (answer.status, (await answer.json())["code"]) == (401, "invalid_api_key")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert await status(client) == 200


async def test_two_keys_are_refused_even_where_both_are_the_same(tmp_path: Path) -> None:
    async with mesh().client(tmp_path) as client:
        for second in (KEY, "sk-unknown", ""):
            headers = CIMultiDict([("Authorization", f"Bearer {KEY}"), ("Authorization", f"Bearer {second}")])

            assert await status(client, headers) == 401


async def test_a_key_in_the_query_is_none_but_for_a_stream(tmp_path: Path) -> None:
    async with mesh().client(tmp_path) as client:
        told = await (await client.get(f"{ME}?token={KEY}")).json()

    assert told["plan"] == "anonymous"


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        (f"?token={KEY}", {}, 1000),
        ("", AUTH, 1000),
        ("", {}, 1000),
        ("?token=sk-unknown", AUTH, 1000),
        ("?token=sk-unknown", {}, 4401),
        ("?token=", {}, 4401),
        ("?token=%20", {}, 4401),
        (f"?token={KEY}", bearer("sk-unknown"), 4401),
        ("", bearer("sk-unknown"), 4401),
    ],
)
async def test_a_stream_takes_its_key_from_the_query_where_there_is_no_header(
    tmp_path: Path, query: str, headers: dict[str, str], code: int
) -> None:
    async with (
        mesh().client(tmp_path) as client,
        client.ws_connect(f"/v1/stream{query}", headers=headers) as socket,
    ):
        # Refused at once, or over at once.
        await socket.send_bytes(b"")
        message = await socket.receive_json()
        await socket.receive()

    assert socket.close_code == code
    assert message.get("code") == (None if code == 1000 else "invalid_api_key")


async def test_who_revokes_a_key_is_refused_with_it_at_once(tmp_path: Path, stopwatch: Stopwatch) -> None:
    url = await new_database(tmp_path)
    _, headers = await key_of(url, "free")
    async with mesh(settings={"database_url": url}).client(tmp_path) as client:
        key = await own_key(client, headers)
        revoked = await client.delete(f"/v1/keys/{key}", headers=headers)
        answer = await client.get(ME, headers=headers)

        assert (revoked.status, (await revoked.json())["valid"]) == (200, False)
        assert (answer.status, (await answer.json())["error"]) == (401, "The API key was revoked.")


async def test_a_key_revoked_at_one_edge_is_refused_at_another_within_five_seconds(
    tmp_path: Path, stopwatch: Stopwatch
) -> None:
    url = await new_database(tmp_path)
    _, headers = await key_of(url, "free")
    settings = {"database_url": url}
    async with mesh(settings=settings).client(tmp_path) as here, mesh(settings=settings).client(tmp_path) as there:
        assert [await status(edge, headers) for edge in (here, there)] == [200, 200]
        await here.delete(f"/v1/keys/{await own_key(here, headers)}", headers=headers)
        stopwatch.now += CACHE_SECONDS

        assert [await status(edge, headers) for edge in (here, there)] == [401, 401]
    assert CACHE_SECONDS <= 5


async def test_a_key_that_is_used_all_the_time_is_looked_up_again_all_the_same(
    tmp_path: Path, stopwatch: Stopwatch
) -> None:
    url = await new_database(tmp_path)
    account, headers = await key_of(url, "free")
    async with mesh(settings={"database_url": url}).client(tmp_path) as client:
        assert await status(client, headers) == 200
        store = Store(url)
        (key,) = await Register(store).keys(account)
        await Register(store).revoke_key(key.id)
        await store.close()
        statuses = []
        for _ in range(10):
            stopwatch.now += CACHE_SECONDS / 9.5
            statuses.append(await status(client, headers))

    assert statuses[-1] == 401
    assert statuses == sorted(statuses)


async def test_a_cached_key_is_not_looked_up_again(tmp_path: Path, stopwatch: Stopwatch) -> None:
    url = await new_database(tmp_path)
    account, headers = await key_of(url, "free")
    async with mesh(settings={"database_url": url}).client(tmp_path) as client:
        store = client.app[ACCOUNTS].store
        assert await status(client, headers) == 200

        async def work(connection: Any) -> None:
            await connection.execute(KEYS.delete().where(KEYS.c.account_id == account))
            await connection.execute(ACCOUNT_ROWS.delete().where(ACCOUNT_ROWS.c.id == account))

        await store.write(work)
        stopwatch.now += CACHE_SECONDS * 0.9
        assert await status(client, headers) == 200
        stopwatch.now += CACHE_SECONDS * 0.1
        assert await status(client, headers) == 401


async def test_a_key_expires_on_time_even_while_it_is_cached(tmp_path: Path, stopwatch: Stopwatch) -> None:
    clock = Clock()
    async with mesh(clock=clock).client(tmp_path) as client:
        new = await client.post("/v1/keys", json={"name": "short", "expires_in_days": 1}, headers=AUTH)
        headers = bearer((await new.json())["key"])
        clock.move(86_399)
        assert await status(client, headers) == 200
        clock.move(1)
        answer = await client.get(ME, headers=headers)

        assert (answer.status, (await answer.json())["error"]) == (401, "The API key has expired.")


async def test_keys_of_an_account_that_is_closed_are_not_taken_until_it_is_open_again(
    tmp_path: Path, stopwatch: Stopwatch
) -> None:
    url = await new_database(tmp_path)
    account, headers = await key_of(url, "free")
    async with mesh(settings={"database_url": url}).client(tmp_path) as client:
        register = client.app[ACCOUNTS].register
        statuses = []
        for closed in (None, True, False):
            await register.change_account(account, closed=closed)
            stopwatch.now += CACHE_SECONDS
            statuses.append(await status(client, headers))

    assert statuses == [200, 401, 200]


async def test_another_plan_holds_as_soon_as_the_key_is_looked_up_again(tmp_path: Path, stopwatch: Stopwatch) -> None:
    url = await new_database(tmp_path)
    account, headers = await key_of(url, "free")
    async with mesh(settings={"database_url": url}).client(tmp_path) as client:
        await client.get(ME, headers=headers)
        await client.app[ACCOUNTS].register.change_account(account, plan="paid")
        stopwatch.now += CACHE_SECONDS

        assert (await (await client.get(ME, headers=headers)).json())["plan"] == "paid"


async def test_keys_that_nobody_has_take_no_room_in_the_cache(tmp_path: Path) -> None:
    async with mesh().client(tmp_path) as client:
        assert await status(client, AUTH) == 200
        for number in range(100):
            assert await status(client, bearer(f"sk-{number}")) == 401

        assert len(client.app[ACCOUNTS].identity._cache) == 1
        assert await status(client, AUTH) == 200
        assert await status(client, bearer("sk-99")) == 401


async def test_keys_that_somebody_has_take_no_more_room_than_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "_MOST_CACHED", 3)
    async with mesh().client(tmp_path) as client:
        secrets = [
            (await (await client.post("/v1/keys", json={"name": "k"}, headers=AUTH)).json())["key"] for _ in range(5)
        ]
        for secret in secrets:
            assert await status(client, bearer(secret)) == 200

        assert len(client.app[ACCOUNTS].identity._cache) == 3
        assert await status(client, bearer(secrets[0])) == 200


async def holders(client: Client, *requests: dict[str, str]) -> list[str]:
    """Return who the ledger takes callers for that send these headers."""
    for number, headers in enumerate(requests):
        # It is let in, and then says nothing that could be summed up.
        answer = await client.post("/v1/summarize", json={}, headers={**headers, "X-Request-Id": f"number-{number}"})
        assert answer.status == 400
    async with client.app[ACCOUNTS].store.reading() as connection:
        rows = (await connection.execute(select(RESERVATIONS.c.request_id, RESERVATIONS.c.holder))).all()
    found = {row.request_id: row.holder for row in rows}
    return [found[f"number-{number}"] for number in range(len(requests))]


async def test_nobody_who_is_not_a_proxy_of_ours_changes_his_name_by_a_header(tmp_path: Path) -> None:
    spoofed = [{}, {"X-Forwarded-For": "203.0.113.7"}, {"Forwarded": "for=203.0.113.7"}, {"X-Forwarded-For": "[]"}]
    async with mesh(plans={"anonymous": {"at_once": 0}}).client(tmp_path) as client:
        assert len(set(await holders(client, *spoofed))) == 1


async def test_behind_a_proxy_callers_are_told_apart_by_their_networks(tmp_path: Path) -> None:
    same = ["203.0.113.7", "6.6.6.6, 203.0.113.7", "203.0.113.7:4711", "::ffff:203.0.113.7", "203.0.113.7, 127.0.0.9"]
    one_64 = ["2001:db8:1:2::1", "[2001:db8:1:2:3:4:5:6]:80", "2001:db8:1:2:ffff::"]
    other = ["203.0.113.8", "2001:db8:1:3::1", "127.0.0.7"]
    lines = [*same, *one_64, *other]
    async with mesh(plans={"anonymous": {"at_once": 0}}, settings=ALL_TRUSTED).client(tmp_path) as client:
        found = await holders(client, *({"X-Forwarded-For": line} for line in lines))
        standard = await holders(
            client, {"Forwarded": "for=6.6.6.6, for=203.0.113.7"}, {"Forwarded": 'for="[2001:db8:1:2::9]"'}
        )

    assert len(set(found[:5])) == len(set(found[5:8])) == 1
    assert len(set(found)) == 5
    assert standard == [found[0], found[5]]


async def test_two_headers_that_disagree_are_the_proxys_own(tmp_path: Path) -> None:
    async with mesh(plans={"anonymous": {"at_once": 0}}, settings=ALL_TRUSTED).client(tmp_path) as client:
        proxy, one, two = await holders(
            client,
            {},
            {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.8"},
            {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=unknown"},
        )

    assert proxy == one == two


async def test_an_anonymous_caller_has_a_name_without_his_address_that_is_the_same_at_every_edge(
    tmp_path: Path,
) -> None:
    settings = {**ALL_TRUSTED, "database_url": await new_database(tmp_path)}
    other = {**ALL_TRUSTED, "database_url": await new_database(tmp_path)}
    caller = {"X-Forwarded-For": "203.0.113.7"}
    names = []
    for own in (settings, settings, other):
        async with mesh(settings=own).client(tmp_path) as client:
            names += await holders(client, caller)

    assert all(re.fullmatch(r"ip:[0-9a-f]{32}", name) for name in names)
    # The databases of the tests are copies of one: their secret is the same.
    assert len(set(names)) == 1
    assert not any(part in names[0] for part in ("203.0.113.7", "203", "cb007107"))


async def test_the_secret_of_addresses_is_every_databases_own(sqlite_database: str, tmp_path: Path) -> None:
    secrets = []
    for url in (sqlite_database, await new_database(tmp_path)):
        store = Store(url)
        secrets.append(await Register(store).address_secret())
        await store.close()

    assert all(len(secret) == 32 for secret in secrets)
    assert secrets[0] != secrets[1]


async def test_with_a_key_an_address_is_nobody(tmp_path: Path) -> None:
    async with mesh(settings=ALL_TRUSTED).client(tmp_path) as client:
        found = await holders(
            client, {**AUTH, "X-Forwarded-For": "203.0.113.7"}, {**AUTH, "X-Forwarded-For": "6.6.6.6"}
        )

    assert found == [OWNER, OWNER]


async def test_anonymous_callers_can_be_shut_out(tmp_path: Path) -> None:
    async with mesh(settings={"allow_anonymous": False}).client(tmp_path) as client:
        assert (await status(client), await status(client, AUTH)) == (401, 200)
