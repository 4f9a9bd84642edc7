import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from services.accounts.claims import Claim, Reservation, Work
from services.accounts.ledger import Ledger
from services.accounts.plans import load_plans
from services.accounts.store import Store
from services.edge.app import ACCOUNTS
from tests.accounts.clock import Clock
from tests.edge.accounts import AUTH, KEY, NO_SERVICES, OWNER, key_of, new_database, prove
from tests.edge.fake_mesh import FakeMesh, form

Client = TestClient[Any, Any]
SIGN_UP = {"allow_sign_up": True}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@contextlib.asynccontextmanager
async def edge(folder: Path, **kwargs: Any) -> AsyncIterator[Client]:
    """Serve an edge without services; its books are proven at the end."""
    async with FakeMesh(down=NO_SERVICES, **kwargs).client(folder) as client:
        yield client
        await prove(client)


async def ask(
    client: Client, method: str, path: str, body: Any = None, headers: dict[str, str] | None = AUTH
) -> tuple[int, Any]:
    """Return status and body."""
    answer = await client.request(method, path, json=body, headers=headers)
    return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("plan", "credits", "expected"),
    [
        ("free", 0, {"credits": None, "minutes_left": 600, "period_end": "2026-12-01T00:00:00Z", "at_once": 2}),
        ("paid", 7, {"credits": 7, "minutes_left": 7, "period_end": None, "at_once": 5}),
        ("paid", 0, {"credits": 0, "minutes_left": 0, "max_file_bytes": 2_000_000_000}),
        ("unlimited", 0, {"credits": None, "minutes_left": None, "period_end": None, "at_once": None}),
    ],
)
async def test_an_account_is_told_what_it_is_and_what_is_left(
    tmp_path: Path, plan: str, credits: int, expected: dict[str, Any]
) -> None:
    url = await new_database(tmp_path)
    account, headers = await key_of(url, plan, credits)
    async with edge(tmp_path, settings={"database_url": url}, clock=Clock()) as client:
        status, told = await ask(client, "GET", "/v1/account", headers=headers)

    assert (status, told["id"], told["name"], told["plan"]) == (200, account, plan, plan)
    assert (told["closed_at"], told["transcriptions_left"], told["running"]) == (None, None, 0)
    assert {name: told[name] for name in expected} == expected


async def test_an_anonymous_caller_is_told_what_is_left_of_his_day(tmp_path: Path) -> None:
    async with edge(tmp_path, clock=Clock()) as client:
        status, told = await ask(client, "GET", "/v1/account", headers=None)

    assert status == 200
    assert told == {
        "id": None,
        "name": None,
        "created_at": None,
        "closed_at": None,
        "plan": "anonymous",
        "credits": None,
        "minutes_left": None,
        "transcriptions_left": 3,
        "period_end": "2026-11-16T00:00:00Z",
        "max_file_bytes": 100_000_000,
        "at_once": 1,
        "running": 0,
    }


async def test_asking_changes_nothing(tmp_path: Path) -> None:
    async with edge(tmp_path) as client:
        first = [await ask(client, "GET", "/v1/account", headers=headers) for headers in (None, AUTH)]

        assert [await ask(client, "GET", "/v1/account", headers=headers) for headers in (None, AUTH)] == first


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/usage"),
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
        ("PATCH", "/v1/keys/key_1"),
        ("POST", "/v1/keys/key_1/rotate"),
        ("DELETE", "/v1/keys/key_1"),
    ],
)
async def test_what_belongs_to_an_account_needs_its_key(tmp_path: Path, method: str, path: str) -> None:
    async with edge(tmp_path) as client:
        for headers in (None, bearer("sk-unknown")):
            status, told = await ask(client, method, path, headers=headers)

            assert (status, told["code"]) == (401, "invalid_api_key")


# Usage


async def spend(url: str, holder: str, at: datetime, seconds: float, request_id: str = "req") -> None:
    """Have a holder use seconds of audio at a time, as an edge of the plan `free` would."""
    store, clock = Store(url), Clock(at)
    ledger = Ledger(store, edge="tests", lease_seconds=15, clock=clock)
    reservation = await ledger.open(Claim(holder, load_plans().get("free"), Work.FILE, request_id, "key_1"))
    assert isinstance(reservation, Reservation)
    clock.move(2)
    await ledger.settle(reservation, seconds=seconds, model="base", delivered=True)
    await store.close()


@contextlib.asynccontextmanager
async def with_usage(folder: Path) -> AsyncIterator[tuple[Client, dict[str, str]]]:
    """Serve an edge at noon of the 15th of November to an account that has used something on three days."""
    url = await new_database(folder)
    account, headers = await key_of(url, "free")
    other, _ = await key_of(url, "free")
    await spend(url, account, datetime(2026, 10, 1, tzinfo=UTC), 30.0, "in-october")
    await spend(url, account, datetime(2026, 11, 14, 23, 59, 59, tzinfo=UTC), 60.0, "late")
    await spend(url, account, datetime(2026, 11, 15, tzinfo=UTC), 61.0, "early")
    await spend(url, account, datetime(2026, 11, 15, 11, tzinfo=UTC), 0.5, "last")
    await spend(url, other, datetime(2026, 11, 15, 11, tzinfo=UTC), 500.0, "not-ours")
    async with edge(folder, settings={"database_url": url}, clock=Clock()) as client:
        yield client, headers


async def test_usage_is_told_by_day_and_by_request_of_the_last_thirty_days(tmp_path: Path) -> None:
    async with with_usage(tmp_path) as (client, headers):
        status, told = await ask(client, "GET", "/v1/usage", headers=headers)

    assert status == 200
    assert told["days"] == [
        {"day": "2026-11-15", "requests": 2, "seconds": 61.5, "charged": 3},
        {"day": "2026-11-14", "requests": 1, "seconds": 60.0, "charged": 1},
    ]
    assert [request["request_id"] for request in told["requests"]] == ["last", "early", "late"]
    (early,) = [request for request in told["requests"] if request["request_id"] == "early"]
    assert early.pop("id").startswith("res_")
    assert early == {
        "request_id": "early",
        "work": "file",
        "key_id": "key_1",
        "model": "base",
        "seconds": 61.0,
        "minutes": 2,
        "outcome": "answered",
        "started_at": "2026-11-15T00:00:00Z",
        "ended_at": "2026-11-15T00:00:02Z",
    }


@pytest.mark.parametrize(
    ("query", "requests"),
    [
        ("?from=2026-11-15", ["last", "early"]),
        ("?from=2026-11-14&until=2026-11-15", ["late"]),
        ("?from=2026-11-14T23:59:59Z&until=2026-11-15T00:00:00Z", ["late"]),
        ("?until=2026-11-15", ["late"]),
        ("?from=2026-09-01", ["last", "early", "late", "in-october"]),
        ("?limit=1", ["last"]),
        ("?from=2026-11-15T12:00:00Z", []),
        ("?from=2026-11-15&until=2026-11-15", []),
        ("?from=2027-01-01&until=2027-02-01", []),
        ("?from=2026-11-15T01:00:00%2B01:00", ["last", "early"]),
    ],
)
async def test_usage_can_be_asked_for_from_and_until_a_time(tmp_path: Path, query: str, requests: list[str]) -> None:
    async with with_usage(tmp_path) as (client, headers):
        status, told = await ask(client, "GET", f"/v1/usage{query}", headers=headers)

    assert status == 200
    assert [request["request_id"] for request in told["requests"]] == requests


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?from=yesterday", "from"),
        ("?from=", "from"),
        ("?until=1794744000", "until"),
        ("?from=2026-11-15&until=2026-11-14", "from"),
        ("?from=2025-11-14&until=2026-11-16", "from"),
        ("?from=2027-01-01", "from"),
        ("?from=9999-12-31T23:59:59-12:00", "from"),
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?limit=ten", "limit"),
        ("?since=2026-11-15", "since"),
        ("?token=x", "token"),
    ],
)
async def test_a_wrong_question_about_usage_names_the_parameter(tmp_path: Path, query: str, field: str) -> None:
    async with edge(tmp_path, clock=Clock()) as client:
        status, told = await ask(client, "GET", f"/v1/usage{query}")

    assert (status, told["code"], told["field"]) == (400, "invalid_field", field)


# Keys


async def test_a_key_is_made_shown_once_renamed_and_revoked(tmp_path: Path) -> None:
    async with edge(tmp_path, clock=Clock()) as client:
        status, new = await ask(client, "POST", "/v1/keys", {"name": "laptop", "expires_in_days": 30})
        secret = new.pop("key")
        assert status == 201
        assert (new["name"], new["expires_at"], new["valid"]) == ("laptop", "2026-12-15T12:00:00Z", True)
        assert secret.startswith(new["hint"])

        assert (await ask(client, "GET", "/v1/account", headers=bearer(secret)))[1]["id"] == OWNER
        status, renamed = await ask(client, "PATCH", f"/v1/keys/{new['id']}", {"name": "desk"})
        assert (status, renamed) == (200, {**new, "name": "desk"})
        listed = (await ask(client, "GET", "/v1/keys"))[1]["keys"]
        assert [key for key in listed if key["id"] == new["id"]] == [renamed]
        assert not any("key" in key for key in listed)

        status, revoked = await ask(client, "DELETE", f"/v1/keys/{new['id']}")
        assert (status, revoked["valid"], revoked["revoked_at"]) == (200, False, "2026-11-15T12:00:00Z")
        assert (await ask(client, "DELETE", f"/v1/keys/{new['id']}")) == (200, revoked)
        assert (await ask(client, "GET", "/v1/account", headers=bearer(secret)))[0] == 401
        assert (await ask(client, "GET", "/v1/account"))[0] == 200


async def test_a_key_needs_no_more_than_asking_for_it(tmp_path: Path) -> None:
    async with edge(tmp_path) as client:
        answer = await client.post("/v1/keys", headers=AUTH)
        new = await answer.json()

    assert (answer.status, new["name"], new["expires_at"]) == (201, "key", None)


@pytest.mark.parametrize("overlap", [0, 24])
async def test_a_rotated_key_gives_way_to_a_new_one_at_once_or_after_an_overlap(tmp_path: Path, overlap: int) -> None:
    clock = Clock()
    async with edge(tmp_path, clock=clock) as client:
        _, old = await ask(client, "POST", "/v1/keys", {"name": "robot"})
        status, new = await ask(
            client, "POST", f"/v1/keys/{old['id']}/rotate", {"overlap_hours": overlap} if overlap else None
        )

        async def taken() -> list[bool]:
            answers = [await ask(client, "GET", "/v1/account", headers=bearer(key["key"])) for key in (old, new)]
            return [status == 200 for status, _ in answers]

        assert (status, new["name"]) == (201, "robot")
        assert new["id"] != old["id"]
        assert await taken() == [bool(overlap), True]
        clock.move(overlap * 3600)
        assert await taken() == [False, True]

        status, told = await ask(client, "POST", f"/v1/keys/{old['id']}/rotate")
        assert (status, told["code"]) == (400, "key_not_valid")


async def test_somebody_elses_key_is_not_there(tmp_path: Path) -> None:
    url = await new_database(tmp_path)
    _, headers = await key_of(url, "free")
    async with edge(tmp_path, settings={"database_url": url}) as client:
        (key,) = (await ask(client, "GET", "/v1/keys"))[1]["keys"]
        answers = [
            await ask(client, method, f"/v1/keys/{key_id}{more}", body, headers=headers)
            for key_id in (key["id"], "key_of_nobody", "%00", "%F0%9D%84%9E", "x" * 1000)
            for method, more, body in [
                ("PATCH", "", {"name": "mine"}),
                ("POST", "/rotate", {}),
                ("DELETE", "", None),
            ]
        ]

        assert {(status, told["code"]) for status, told in answers} == {(404, "key_not_found")}
        assert (await ask(client, "GET", "/v1/keys"))[1]["keys"] == [key]
        assert (await ask(client, "GET", "/v1/account"))[0] == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": 7}, "name"),
        ({"name": None}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"nmae": "x"}, "nmae"),
        ({"plan": "unlimited"}, "plan"),
        ({"expires_in_days": 0}, "expires_in_days"),
        ({"expires_at": "2026-11-15T11:59:59Z"}, "expires_at"),
        ({"expires_at": "2026-11-15T12:00:00Z"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at"),
        ({"expires_at": "2027-01-01", "expires_in_days": 1}, "expires_at"),
        ([], "body"),
        ("key", "body"),
    ],
)
async def test_a_wrong_wish_for_a_key_names_the_field(tmp_path: Path, body: Any, field: str) -> None:
    async with edge(tmp_path, clock=Clock()) as client:
        status, told = await ask(client, "POST", "/v1/keys", body)

        assert (status, told["field"]) == (400, field)
        assert len((await ask(client, "GET", "/v1/keys"))[1]["keys"]) == 1


@pytest.mark.parametrize(
    ("method", "more", "body", "field"),
    [
        ("PATCH", "", {}, "name"),
        ("PATCH", "", {"name": ""}, "name"),
        ("PATCH", "", {"name": "x", "expires_at": "2027-01-01"}, "expires_at"),
        *(
            ("POST", "/rotate", {"overlap_hours": hours}, "overlap_hours")
            for hours in (-1, 169, 1.5, "1", True, None, 10**30)
        ),
        ("POST", "/rotate", {"name": "x"}, "name"),
    ],
)
async def test_a_wrong_change_of_a_key_names_the_field_and_changes_nothing(
    tmp_path: Path, method: str, more: str, body: Any, field: str
) -> None:
    async with edge(tmp_path) as client:
        before = await ask(client, "GET", "/v1/keys")
        status, told = await ask(client, method, f"/v1/keys/{before[1]['keys'][0]['id']}{more}", body)

        assert (status, told["field"]) == (400, field)
        assert await ask(client, "GET", "/v1/keys") == before


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 50_000, b'{"name": NaN', b"name=x"])
async def test_a_body_that_is_no_json_is_told(tmp_path: Path, body: bytes) -> None:
    async with edge(tmp_path) as client:
        answer = await client.post("/v1/keys", data=body, headers=AUTH)

        assert (answer.status, (await answer.json())["code"]) == (400, "invalid_json")


async def test_a_body_over_64_kib_is_413(tmp_path: Path) -> None:
    async with edge(tmp_path) as client:
        status, told = await ask(client, "POST", "/v1/keys", {"name": "x" * 2**16})

    assert (status, told["code"]) == (413, "body_too_large")


async def test_the_key_after_the_hundredth_is_refused(tmp_path: Path) -> None:
    async with edge(tmp_path) as client:
        register = client.app[ACCOUNTS].register
        for _ in range(99):
            await register.create_key(OWNER, "one of many")
        status, told = await ask(client, "POST", "/v1/keys")
        (key, *_) = await register.keys(OWNER)
        rotated, _ = await ask(client, "POST", f"/v1/keys/{key.id}/rotate")

    assert (status, told["code"]) == (400, "too_many_keys")
    assert rotated == 201


# Sign-up


async def test_nobody_signs_up_unless_that_is_allowed(tmp_path: Path) -> None:
    async with edge(tmp_path) as client:
        for body in ({"name": "Ada"}, {}, []):
            status, told = await ask(client, "POST", "/v1/account", body, headers=None)

            assert (status, told["code"]) == (404, "sign_up_is_off")


async def test_who_signs_up_gets_the_free_plan_and_a_key_that_works(tmp_path: Path) -> None:
    async with FakeMesh(settings=SIGN_UP, clock=Clock()).client(tmp_path) as client:
        status, told = await ask(client, "POST", "/v1/account", {"name": " Ada "}, headers=None)
        headers = bearer(told.pop("key")["key"])

        assert status == 201
        assert (told["name"], told["plan"], told["minutes_left"]) == ("Ada", "free", 600)
        assert await ask(client, "GET", "/v1/account", headers=headers) == (200, told)
        transcribed = await client.post("/v1/transcribe", data=form(diarize="false"), headers=headers)
        assert transcribed.status == 200
        await prove(client)
        assert (await ask(client, "GET", "/v1/account", headers=headers))[1]["minutes_left"] == 599


async def test_the_fourth_sign_up_of_a_day_from_an_address_is_refused_until_midnight(tmp_path: Path) -> None:
    clock = Clock()
    async with edge(tmp_path, settings=SIGN_UP, clock=clock) as client:
        statuses = [(await ask(client, "POST", "/v1/account", {"name": "Ada"}, headers=None))[0] for _ in range(3)]
        fourth = await client.post("/v1/account", json={"name": "Ada"}, headers={"X-Forwarded-For": "203.0.113.7"})
        clock.set(datetime(2026, 11, 16, tzinfo=UTC))
        statuses.append((await ask(client, "POST", "/v1/account", {"name": "Ada"}, headers=None))[0])

    assert statuses == [201] * 4
    assert (fourth.status, fourth.headers["Retry-After"]) == (429, "43200")


async def test_signing_up_takes_nothing_of_what_an_address_may_transcribe_and_the_other_way_round(
    tmp_path: Path,
) -> None:
    async with edge(tmp_path, settings=SIGN_UP, clock=Clock()) as client:
        for _ in range(3):
            assert (await ask(client, "POST", "/v1/account", {"name": "Ada"}, headers=None))[0] == 201

        assert (await ask(client, "GET", "/v1/account", headers=None))[1]["transcriptions_left"] == 3


async def test_many_who_sign_up_at_once_from_one_address_are_three(tmp_path: Path) -> None:
    async with edge(tmp_path, settings=SIGN_UP, clock=Clock()) as client:
        answers = await asyncio.gather(
            *(ask(client, "POST", "/v1/account", {"name": f"Ada {number}"}, headers=None) for number in range(10))
        )
        for _ in range(3):
            answers.append(await ask(client, "POST", "/v1/account", {"name": "Ada"}, headers=None))
        accounts = await client.app[ACCOUNTS].register.accounts()

    assert [status for status, _ in answers].count(201) == 3
    assert {status for status, _ in answers} == {201, 429}
    assert len([account for account in accounts if account.plan == "free"]) == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": ["Ada"]}, "name"),
        ({"name": "Ada", "plan": "unlimited"}, "plan"),
        ([], "body"),
    ],
)
async def test_a_wrong_sign_up_names_the_field_and_does_not_count(tmp_path: Path, body: Any, field: str) -> None:
    async with edge(tmp_path, settings=SIGN_UP) as client:
        for _ in range(4):
            status, told = await ask(client, "POST", "/v1/account", body, headers=None)

            assert (status, told["field"]) == (400, field)
        assert (await ask(client, "POST", "/v1/account", {"name": "Ada"}, headers=None))[0] == 201


async def test_a_method_that_an_address_does_not_take_is_told_with_those_that_it_does(tmp_path: Path) -> None:
    async with edge(tmp_path) as client:
        answer = await client.put("/v1/account", headers=AUTH)

    assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD,POST")


async def test_neither_keys_nor_names_reach_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with edge(tmp_path, settings=SIGN_UP) as client:
        _, told = await ask(client, "POST", "/v1/account", {"name": "Ada Lovelace"}, headers=None)
        await ask(client, "POST", f"/v1/keys/{told['key']['id']}/rotate", headers=bearer(told["key"]["key"]))

    out, err = capfd.readouterr()
    assert "account" in out + err
    assert not any(secret in out + err for secret in ("sk-", KEY, "Lovelace"))


async def test_who_hangs_up_in_the_middle_of_a_change_locks_out_nobody(tmp_path: Path) -> None:
    async with edge(tmp_path, settings=SIGN_UP) as client:
        for number in range(120):
            path, headers = ("/v1/keys", AUTH) if number % 2 else ("/v1/account", {})
            asking = asyncio.ensure_future(client.post(path, json={"name": "x"}, headers=headers))
            await asyncio.sleep(0.0002 * (number % 30))
            asking.cancel()
            await asyncio.wait({asking})
        async with asyncio.timeout(5):
            answer = await client.get("/v1/account", headers=AUTH)
            assert answer.status == 200
        answer = await client.post("/v1/keys", json={"name": "last"}, headers=AUTH)

        assert answer.status in (201, 400)  # a hundred keys may be there
        # Who hung up on his sign-up may have an account, and then he has used up one of his three.
        accounts = await client.app[ACCOUNTS].register.accounts()
        assert len(accounts) <= 1 + 3
