import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from pydantic import ValidationError

from services.accounts.api_keys import digest_of
from services.accounts.tables import ENTRIES, PURSES
from services.edge.admin import MOST_CREDITS, read_token
from services.edge.app import ACCOUNTS, make_admin_app
from services.edge.config import EdgeSettings
from services.runtime.errors import Fault, MeshError
from tests.accounts.clock import Clock
from tests.edge.accounts import AUTH, NO_SERVICES, OWNER, prove
from tests.edge.fake_mesh import FakeMesh, form

Client = TestClient[Any, Any]
TOKEN = "admin-" + "t" * 32
ADMIN = {"Authorization": f"Bearer {TOKEN}"}

EVERY_ROUTE = [
    ("GET", "/admin/v1/accounts"),
    ("POST", "/admin/v1/accounts"),
    ("GET", f"/admin/v1/accounts/{OWNER}"),
    ("PATCH", f"/admin/v1/accounts/{OWNER}"),
    ("POST", f"/admin/v1/accounts/{OWNER}/credits"),
    ("GET", f"/admin/v1/accounts/{OWNER}/usage"),
    ("GET", f"/admin/v1/accounts/{OWNER}/keys"),
    ("POST", f"/admin/v1/accounts/{OWNER}/keys"),
    ("PATCH", "/admin/v1/keys/key_1"),
    ("POST", "/admin/v1/keys/key_1/rotate"),
    ("DELETE", "/admin/v1/keys/key_1"),
    ("GET", "/admin/v1/ledger"),
]


@contextlib.asynccontextmanager
async def both(folder: Path, mesh: FakeMesh | None = None) -> AsyncIterator[tuple[Client, Client]]:
    """Serve an edge and its admin API; yield a client of each. The books are proven at the end."""
    async with (mesh or FakeMesh(down=NO_SERVICES, clock=Clock())).client(folder) as public:
        app = make_admin_app(public.app[ACCOUNTS], digest_of(TOKEN))
        async with TestClient(TestServer(app, handler_cancellation=True)) as admin:
            yield public, admin
        await prove(public)


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Client]:
    """Yield a client of an admin API at noon of the 15th of November."""
    async with both(tmp_path) as (_, client):
        yield client


async def ask(client: Client, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Return status and body of what the admin asks."""
    answer = await client.request(method, f"/admin/v1{path}", json=body, headers=ADMIN)
    return answer.status, await answer.json()


async def made(client: Client, plan: str = "free", name: str = "Ada") -> str:
    """Make an account; return its id."""
    status, told = await ask(client, "POST", "/accounts", {"name": name, "plan": plan})
    assert status == 201
    return str(told["id"])


async def test_the_public_port_knows_no_admin(tmp_path: Path) -> None:
    async with both(tmp_path) as (public, _):
        for method, path in EVERY_ROUTE:
            answer = await public.request(method, path, headers=ADMIN)

            assert (answer.status, (await answer.json())["code"]) == (404, "not_found")


async def test_the_admins_port_knows_nothing_else(admin: Client) -> None:
    for path in ("/v1/account", "/v1/keys", "/v1/models", "/health", "/"):
        assert (await admin.get(path, headers=ADMIN)).status == 404


@pytest.mark.parametrize(
    "headers",
    [
        {},
        AUTH,
        *(
            {"Authorization": header}
            for header in ("", "Bearer", "Bearer ", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}t", f"Bearer {TOKEN[:-1]}")
        ),
        {"Authorization": f"Bearer {TOKEN.upper()}"},
        {"Authorization": "Bearer ключ"},
        {"X-Admin-Token": TOKEN},
    ],
)
async def test_every_route_needs_the_token(tmp_path: Path, headers: dict[str, str]) -> None:
    async with both(tmp_path) as (_, client):
        before = await ask(client, "GET", "/accounts")
        for method, path in EVERY_ROUTE:
            answer = await client.request(method, path, headers=headers, json={"name": "x", "amount": 5})

            assert (answer.status, (await answer.json())["code"]) == (401, "invalid_admin_token")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert await ask(client, "GET", "/accounts") == before
        assert len((await ask(client, "GET", f"/accounts/{OWNER}/keys"))[1]["keys"]) == 1


async def test_the_tokens_scheme_is_written_in_any_case(admin: Client) -> None:
    for header in (f"bearer {TOKEN}", f"BEARER  {TOKEN} "):
        assert (await admin.get("/admin/v1/ledger", headers={"Authorization": header})).status == 200


async def test_the_admins_token_is_nobodys_key(tmp_path: Path) -> None:
    async with both(tmp_path) as (public, _):
        assert (await public.get("/v1/account", headers=ADMIN)).status == 401


# Accounts


async def test_an_account_is_made_with_a_plan_and_told(admin: Client) -> None:
    status, told = await ask(admin, "POST", "/accounts", {"name": " Ada ", "plan": "paid"})

    assert (status, told["name"], told["plan"], told["credits"]) == (201, "Ada", "paid", 0)
    assert (told["created_at"], told["closed_at"]) == ("2026-11-15T12:00:00Z", None)
    assert await ask(admin, "GET", f"/accounts/{told['id']}") == (200, told)


async def test_an_account_is_free_unless_another_plan_is_named(admin: Client) -> None:
    status, told = await ask(admin, "POST", "/accounts", {"name": "Ada"})

    assert (status, told["plan"], told["minutes_left"]) == (201, "free", 600)


@pytest.mark.parametrize(
    ("body", "field", "allowed"),
    [
        ({}, "name", "text"),
        ({"name": ""}, "name", "100 characters"),
        ({"name": "Ada", "plan": "gold"}, "plan", "free, paid, unlimited"),
        ({"name": "Ada", "plan": "anonymous"}, "plan", "free, paid, unlimited"),
        ({"name": "Ada", "plan": "sign_up"}, "plan", "free, paid, unlimited"),
        ({"name": "Ada", "plan": None}, "plan", "text"),
        ({"name": "Ada", "credits": 5}, "credits", "name, plan"),
        ([], "body", "object"),
    ],
)
async def test_a_wrong_account_names_the_field(admin: Client, body: Any, field: str, allowed: str) -> None:
    status, told = await ask(admin, "POST", "/accounts", body)

    assert (status, told["field"]) == (400, field)
    assert allowed in told["error"]


async def test_accounts_are_listed_a_page_at_a_time(admin: Client) -> None:
    there = {OWNER, *[await made(admin, name=f"Ada {number}") for number in range(6)]}
    pages, query = [], ""
    while True:
        status, told = await ask(admin, "GET", f"/accounts?limit=3{query}")
        assert status == 200
        pages.append([account["id"] for account in told["accounts"]])
        if told["next"] is None:
            break
        query = f"&after={told['next']}"

    assert [len(page) for page in pages] == [3, 3, 1]
    assert [account for page in pages for account in page] == sorted(there)
    assert (await ask(admin, "GET", "/accounts"))[1]["next"] is None


async def test_a_page_that_is_just_full_is_followed_by_an_empty_one(admin: Client) -> None:
    await made(admin)
    _, full = await ask(admin, "GET", "/accounts?limit=2")

    assert await ask(admin, "GET", f"/accounts?limit=2&after={full['next']}") == (200, {"accounts": [], "next": None})


@pytest.mark.parametrize(
    ("query", "field"),
    [*((f"limit={limit}", "limit") for limit in ("0", "1001", "x", "-1", "")), ("after=%00", "after")],
)
async def test_a_wrong_page_names_the_parameter(admin: Client, query: str, field: str) -> None:
    status, told = await ask(admin, "GET", f"/accounts?{query}")

    assert (status, told["field"]) == (400, field)


@pytest.mark.parametrize("account", ["acc_of_nobody", "%00", "%F0%9D%84%9E", "x" * 500])
async def test_an_account_that_is_not_there_is_404(admin: Client, account: str) -> None:
    for method, more in [
        ("GET", ""),
        ("PATCH", ""),
        ("POST", "/credits"),
        ("GET", "/usage"),
        ("GET", "/keys"),
        ("POST", "/keys"),
    ]:
        status, told = await ask(admin, method, f"/accounts/{account}{more}")

        assert (status, told["code"]) == (404, "account_not_found")


async def test_an_account_gets_another_name_and_another_plan(admin: Client) -> None:
    account = await made(admin)

    status, told = await ask(admin, "PATCH", f"/accounts/{account}", {"name": "Ada L.", "plan": "unlimited"})

    assert (status, told["name"], told["plan"], told["minutes_left"]) == (200, "Ada L.", "unlimited", None)
    assert await ask(admin, "PATCH", f"/accounts/{account}", {}) == (200, told)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"plan": "gold"}, "plan"),
        ({"plan": "anonymous"}, "plan"),
        ({"plan": None}, "plan"),
        ({"closed": "yes"}, "closed"),
        ({"closed": 1}, "closed"),
        ({"closed": None}, "closed"),
        ({"credits": 5}, "credits"),
    ],
)
async def test_a_wrong_change_names_the_field_and_changes_nothing(admin: Client, body: Any, field: str) -> None:
    before = await ask(admin, "GET", f"/accounts/{OWNER}")
    status, told = await ask(admin, "PATCH", f"/accounts/{OWNER}", {"name": "Other", **body})

    assert (status, told["field"]) == (400, field)
    assert await ask(admin, "GET", f"/accounts/{OWNER}") == before


async def test_a_closed_account_is_refused_at_once_and_taken_again_once_it_is_open(tmp_path: Path) -> None:
    async with both(tmp_path) as (public, admin):
        statuses = [(await public.get("/v1/account", headers=AUTH)).status]
        _, closed = await ask(admin, "PATCH", f"/accounts/{OWNER}", {"closed": True})
        refused = await public.get("/v1/account", headers=AUTH)
        _, opened = await ask(admin, "PATCH", f"/accounts/{OWNER}", {"closed": False})
        statuses.append((await public.get("/v1/account", headers=AUTH)).status)

        assert statuses == [200, 200]
        assert (closed["closed_at"], opened["closed_at"]) == ("2026-11-15T12:00:00Z", None)
        assert (refused.status, (await refused.json())["error"]) == (
            401,
            "The API key belongs to an account that is closed.",
        )


async def test_another_plan_holds_at_once(tmp_path: Path) -> None:
    async with both(tmp_path) as (public, admin):
        plans = [(await (await public.get("/v1/account", headers=AUTH)).json())["plan"]]
        await ask(admin, "PATCH", f"/accounts/{OWNER}", {"plan": "free"})
        plans.append((await (await public.get("/v1/account", headers=AUTH)).json())["plan"])

    assert plans == ["unlimited", "free"]


# Credits


async def test_credits_are_given_and_taken_back(admin: Client) -> None:
    account = await made(admin, "paid")

    given = await ask(admin, "POST", f"/accounts/{account}/credits", {"amount": 100, "note": "invoice 7"})
    taken = await ask(admin, "POST", f"/accounts/{account}/credits", {"amount": -40})

    assert [(status, told["credits"]) for status, told in (given, taken)] == [(200, 100), (200, 60)]


async def test_credits_that_are_sent_again_under_one_idempotency_key_are_given_once(admin: Client) -> None:
    account = await made(admin, "paid")
    path, headers = f"/admin/v1/accounts/{account}/credits", {**ADMIN, "Idempotency-Key": "payment-17"}

    for _ in range(3):
        answer = await admin.post(path, json={"amount": 100}, headers=headers)
        assert (answer.status, (await answer.json())["credits"]) == (200, 100)
    other = await admin.post(path, json={"amount": 50}, headers=headers)

    assert (other.status, (await other.json())["field"]) == (400, "reference")


async def test_no_more_credits_are_taken_back_than_there_are(admin: Client) -> None:
    account = await made(admin, "paid")
    await ask(admin, "POST", f"/accounts/{account}/credits", {"amount": 5})

    status, told = await ask(admin, "POST", f"/accounts/{account}/credits", {"amount": -6})

    assert (status, told["field"], told["error"]) == (400, "amount", "Only 5 credits are available.")
    assert (await ask(admin, "GET", f"/accounts/{account}"))[1]["credits"] == 5


@pytest.mark.parametrize("plan", ["free", "unlimited"])
async def test_a_plan_that_uses_no_credits_is_given_none(admin: Client, plan: str) -> None:
    account = await made(admin, plan)

    status, told = await ask(admin, "POST", f"/accounts/{account}/credits", {"amount": 5})

    assert (status, told["field"]) == (400, "amount")
    assert plan in told["error"]


async def test_what_is_left_of_credits_can_be_taken_back_under_another_plan(admin: Client) -> None:
    account = await made(admin, "paid")
    await ask(admin, "POST", f"/accounts/{account}/credits", {"amount": 5})
    await ask(admin, "PATCH", f"/accounts/{account}", {"plan": "free"})

    status, told = await ask(admin, "POST", f"/accounts/{account}/credits", {"amount": -5})

    assert (status, told["minutes_left"]) == (200, 600)
    await ask(admin, "PATCH", f"/accounts/{account}", {"plan": "paid"})
    assert (await ask(admin, "GET", f"/accounts/{account}"))[1]["credits"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "amount"),
        *(
            ({"amount": amount}, "amount")
            for amount in (0, 1.5, "5", True, None, MOST_CREDITS + 1, -MOST_CREDITS - 1, 10**40)
        ),
        ({"amount": 5, "note": 7}, "note"),
        ({"amount": 5, "note": "a\0b"}, "note"),
        ({"amount": 5, "reason": "x"}, "reason"),
    ],
)
async def test_wrong_credits_name_the_field(admin: Client, body: Any, field: str) -> None:
    account = await made(admin, "paid")

    status, told = await ask(admin, "POST", f"/accounts/{account}/credits", body)

    assert (status, told["field"]) == (400, field)
    assert (await ask(admin, "GET", f"/accounts/{account}"))[1]["credits"] == 0


# Keys and usage


async def test_keys_of_an_account_are_made_listed_renamed_rotated_and_revoked(tmp_path: Path) -> None:
    async with both(tmp_path) as (public, admin):
        account = await made(admin)
        status, new = await ask(admin, "POST", f"/accounts/{account}/keys", {"name": "first", "expires_in_days": 1})
        assert (status, new["expires_at"]) == (201, "2026-11-16T12:00:00Z")
        secret = {"Authorization": f"Bearer {new.pop('key')}"}
        assert (await (await public.get("/v1/account", headers=secret)).json())["id"] == account

        assert await ask(admin, "PATCH", f"/keys/{new['id']}", {"name": "desk"}) == (200, {**new, "name": "desk"})
        status, rotated = await ask(admin, "POST", f"/keys/{new['id']}/rotate", {"overlap_hours": 0})
        assert (status, rotated["name"]) == (201, "desk")
        assert (await public.get("/v1/account", headers=secret)).status == 401
        other = {"Authorization": f"Bearer {rotated.pop('key')}"}
        assert (await public.get("/v1/account", headers=other)).status == 200
        status, revoked = await ask(admin, "DELETE", f"/keys/{rotated['id']}")
        assert (status, revoked["valid"]) == (200, False)
        assert (await public.get("/v1/account", headers=other)).status == 401

        listed = (await ask(admin, "GET", f"/accounts/{account}/keys"))[1]["keys"]
        assert {key["id"]: key["valid"] for key in listed} == {new["id"]: False, rotated["id"]: False}


async def test_a_key_that_is_not_there_is_404(admin: Client) -> None:
    for method, more in [("PATCH", ""), ("POST", "/rotate"), ("DELETE", "")]:
        status, told = await ask(admin, method, f"/keys/key_of_nobody{more}")

        assert (status, told["code"]) == (404, "key_not_found")


async def test_usage_of_an_account_is_told_as_its_owner_sees_it(tmp_path: Path) -> None:
    async with both(tmp_path, FakeMesh()) as (public, admin):
        assert (await public.post("/v1/transcribe", data=form(diarize="false"), headers=AUTH)).status == 200
        await prove(public)
        own = await (await public.get("/v1/usage", headers=AUTH)).json()

        assert await ask(admin, "GET", f"/accounts/{OWNER}/usage") == (200, own)
        assert await ask(admin, "GET", f"/accounts/{await made(admin)}/usage") == (200, {"days": [], "requests": []})
        status, told = await ask(admin, "GET", f"/accounts/{OWNER}/usage?limit=0")

    assert (status, told["field"]) == (400, "limit")
    assert [(request["minutes"], request["outcome"]) for request in own["requests"]] == [(1, "answered")]


# The proof


async def test_the_ledger_is_proven(admin: Client) -> None:
    account = await made(admin, "paid")
    await ask(admin, "POST", f"/accounts/{account}/credits", {"amount": 5})

    assert await ask(admin, "GET", "/ledger") == (
        200,
        {"purses": 1, "entries": 1, "running": 0, "spent": 0, "faults": [], "proven": True},
    )


async def test_a_ledger_that_is_wrong_says_where(tmp_path: Path) -> None:
    async with both(tmp_path) as (public, admin):
        account = await made(admin, "paid")
        await ask(admin, "POST", f"/accounts/{account}/credits", {"amount": 5})

        async def put(amount: int) -> None:
            async def work(connection: Any) -> None:
                await connection.execute(PURSES.update().values(available=amount))
                assert await connection.scalar(ENTRIES.select())

            await public.app[ACCOUNTS].store.write(work)

        await put(6)
        status, told = await ask(admin, "GET", "/ledger")
        await put(5)

    assert (status, told["proven"]) == (200, False)
    assert told["faults"] == [f"{account}: 6 available, and its entries make 5"]


# Its settings


def test_a_token_is_read_without_what_is_around_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"\n {TOKEN} \r\n")

    assert read_token(path) == digest_of(TOKEN)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"t" * 31,
        b"t" * 31 + b"\n \n",
        b"t" * 20 + b" " + b"t" * 20,
        b"t" * 20 + b"\n" + b"t" * 20,
        b"\xff" * 40,
        b"t" * 40 + b"\0",
        b"t" * 20 + b"\t" + b"t" * 20,
    ],
)
def test_what_is_no_secret_is_refused_and_never_repeated(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)

    with pytest.raises(MeshError) as refused:
        read_token(path)

    assert (refused.value.fault, refused.value.field) == (Fault.INVALID, "admin_token_file")
    assert "tttt" not in refused.value.message


def test_a_token_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(MeshError, match="cannot be read"):
            read_token(path)


def test_an_admin_without_a_token_is_refused_by_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    url = "sqlite:////tmp/accounts.db"

    assert EdgeSettings(database_url=url).admin_listen is None
    assert EdgeSettings(database_url=url, admin_listen="127.0.0.1:0", admin_token_file=path).admin_token_file == path
    with pytest.raises(ValidationError, match="SPEECHMESH_EDGE_ADMIN_LISTEN"):
        EdgeSettings(database_url=url, admin_listen="127.0.0.1:0")
    with pytest.raises(ValidationError, match="admin_token_file"):
        EdgeSettings(database_url=url, admin_listen="127.0.0.1:0", admin_token_file=tmp_path / "nothing")


async def test_the_token_reaches_no_log(admin: Client, capfd: pytest.CaptureFixture[str]) -> None:
    await ask(admin, "GET", "/ledger")
    await admin.get("/admin/v1/ledger", headers={"Authorization": f"Basic {TOKEN}"})

    out, err = capfd.readouterr()
    assert "/admin/v1/ledger" in out + err
    assert TOKEN not in out + err
