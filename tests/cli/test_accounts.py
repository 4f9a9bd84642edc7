import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from services.accounts.claims import Claim, Reservation, Work
from services.accounts.ledger import Ledger
from services.accounts.plans import load_plans
from services.accounts.register import Register
from services.cli.accounts import app
from services.cli.database import opened
from services.cli.keys import app as keys_app
from services.runtime.errors import MeshError

Invoke = Callable[..., Result]


def made(invoke: Invoke, *options: str) -> dict[str, Any]:
    account: dict[str, Any] = json.loads(invoke(app, "create", "Anna", *options, "--json").stdout)
    return account


def shown(invoke: Invoke, account_id: str) -> dict[str, Any]:
    account: dict[str, Any] = json.loads(invoke(app, "show", account_id, "--json").stdout)
    return account


def use(url: str, account_id: str, plan: str, seconds: float) -> None:
    """Have a request of so much audio, and another one that still runs."""

    async def work() -> None:
        async with opened(url) as store:
            ledger = Ledger(store, edge="edge", lease_seconds=60)
            for request in ("first", "second"):
                claim = Claim(account_id, load_plans().get(plan), Work.FILE, request)
                reservation = await ledger.open(claim)
                assert isinstance(reservation, Reservation)
                if request == "first":
                    await ledger.settle(reservation, seconds=seconds, model="base", delivered=True)

    asyncio.run(work())


def test_a_new_account_has_the_free_plan(invoke: Invoke) -> None:
    facts = dict(line.split(maxsplit=1) for line in invoke(app, "create", "Anna B").stdout.splitlines())
    assert (facts["name"], facts["plan"], facts["left"], facts["running"]) == ("Anna B", "free", "600 minutes", "0")
    assert shown(invoke, facts["id"])["minutes_left"] == 600


def test_a_new_account_may_have_another_plan_and_credits(invoke: Invoke) -> None:
    paid = made(invoke, "--plan", "paid", "--credits", "100")
    assert (paid["plan"], paid["credits"]) == ("paid", 100)
    assert "no limit" in invoke(app, "create", "Bea", "--plan", "unlimited").stdout


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--plan", "anonymous"), "The field 'plan' must be one of: free, paid, unlimited."),
        (("--credits", "5"), "The plan 'free' uses no credits; give the account another plan first."),
    ],
)
def test_a_wrong_option_makes_no_account(invoke: Invoke, options: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(MeshError) as caught:
        invoke(app, "create", "Anna", *options)
    assert caught.value.message == sentence
    assert json.loads(invoke(app, "list", "--json").stdout) == {"accounts": []}


def test_the_list_has_every_account(invoke: Invoke, sqlite_database: str) -> None:
    async def make_many() -> None:
        async with opened(sqlite_database) as store:
            for _ in range(101):
                await Register(store).create_account("[red]", "free")

    asyncio.run(make_many())
    made(invoke, "--plan", "paid")
    accounts = json.loads(invoke(app, "list", "--json").stdout)["accounts"]
    rows = invoke(app, "list").stdout.splitlines()
    assert len(accounts) == len({account["id"] for account in accounts}) == 102
    assert [row.split()[0] for row in rows[1:]] == [account["id"] for account in accounts]
    assert sum("[red]" in row for row in rows) == 101


def test_an_account_is_shown_with_its_keys_and_what_it_runs(invoke: Invoke, sqlite_database: str) -> None:
    account = made(invoke, "--plan", "paid", "--credits", "10")["id"]
    key = json.loads(invoke(keys_app, "create", account, "--json").stdout)["id"]
    use(sqlite_database, account, "paid", seconds=61)
    told = shown(invoke, account)
    assert (told["credits"], told["running"], [each["id"] for each in told["keys"]]) == (7, 1, [key])
    text = invoke(app, "show", account).stdout
    assert "left     7 credits\n" in text
    assert key in text


def test_an_account_gets_another_name_and_plan(invoke: Invoke) -> None:
    account = made(invoke)["id"]
    assert "Bea" in invoke(app, "change", account, "--name", "Bea").stdout
    told = json.loads(invoke(app, "change", account, "--plan", "paid", "--json").stdout)
    assert (told["name"], told["plan"]) == ("Bea", "paid")
    nothing = invoke(app, "change", account)
    assert nothing.exit_code == 2
    assert "give one of them, or both" in nothing.stderr
    with pytest.raises(MeshError, match="must be one of"):
        invoke(app, "change", account, "--plan", "sign_up")


def test_an_account_is_closed_and_opened_again(invoke: Invoke) -> None:
    account = made(invoke)["id"]
    assert "\nclosed " in invoke(app, "close", account).stdout
    assert shown(invoke, account)["closed_at"] is not None
    assert "\nclosed " not in invoke(app, "reopen", account).stdout
    assert json.loads(invoke(app, "close", account, "--json").stdout)["closed_at"] is not None
    assert json.loads(invoke(app, "reopen", account, "--json").stdout)["closed_at"] is None


def test_credits_with_one_reference_are_given_once(invoke: Invoke) -> None:
    account = made(invoke, "--plan", "paid")["id"]
    for _ in range(2):
        given = json.loads(invoke(app, "credit", account, "5", "--reference", "invoice-17", "--json").stdout)
    assert given["credits"] == 5
    assert invoke(app, "credit", account, "5", "--reference", "x" * 65).exit_code == 2


def test_credits_are_given_and_taken_back(invoke: Invoke) -> None:
    account = made(invoke, "--plan", "paid")["id"]
    assert "left     10 credits\n" in invoke(app, "credit", account, "10", "--note", "invoice 7").stdout
    assert json.loads(invoke(app, "credit", account, "-3", "--json").stdout)["credits"] == 7
    assert json.loads(invoke(app, "credit", "--json", account, "--", "-3").stdout)["credits"] == 4
    with pytest.raises(MeshError, match="Only 4 credits are available"):
        invoke(app, "credit", account, "-5")
    assert shown(invoke, account)["credits"] == 4


@pytest.mark.parametrize("amount", ["0", "1.5", "many", "1000000001", "-1000000001"])
def test_an_amount_is_a_whole_number_that_is_not_0(invoke: Invoke, amount: str) -> None:
    account = made(invoke, "--plan", "paid")["id"]
    assert invoke(app, "credit", account, amount).exit_code == 2
    assert shown(invoke, account)["credits"] == 0


def test_only_a_plan_that_uses_credits_gets_some(invoke: Invoke) -> None:
    account = made(invoke, "--plan", "paid", "--credits", "5")["id"]
    invoke(app, "change", account, "--plan", "free")
    with pytest.raises(MeshError, match=r"The plan 'free' uses no credits; give the account another plan first\."):
        invoke(app, "credit", account, "5")
    invoke(app, "credit", account, "-5")
    invoke(app, "change", account, "--plan", "paid")
    assert shown(invoke, account)["credits"] == 0


def test_usage_is_told_by_day(invoke: Invoke, sqlite_database: str) -> None:
    account = made(invoke)["id"]
    use(sqlite_database, account, "free", seconds=61)
    (day,) = json.loads(invoke(app, "usage", account, "--json").stdout)["days"]
    assert (day["requests"], day["seconds"], day["charged"]) == (1, 61.0, 2)
    header, row = invoke(app, "usage", account).stdout.splitlines()
    assert header.split() == ["day", "requests", "seconds", "charged"]
    assert row.split() == [day["day"], "1", "61.0", "2"]


def test_usage_is_told_by_request(invoke: Invoke, sqlite_database: str) -> None:
    account = made(invoke)["id"]
    use(sqlite_database, account, "free", seconds=61)
    requests = json.loads(invoke(app, "usage", account, "--requests", "--json").stdout)["requests"]
    assert {each["request_id"]: each["outcome"] for each in requests} == {"first": "answered", "second": "running"}
    rows = {row.split()[2]: row.split()[3:] for row in invoke(app, "usage", account, "--requests").stdout.splitlines()}
    assert rows["first"] == ["base", "61.0", "2", "minutes", "answered"]
    assert rows["second"] == ["-", "-", "0", "minutes", "running"]


def test_usage_is_told_of_a_time(invoke: Invoke, sqlite_database: str) -> None:
    account = made(invoke)["id"]
    use(sqlite_database, account, "free", seconds=61)

    def days(*options: str) -> int:
        return len(json.loads(invoke(app, "usage", account, *options, "--json").stdout)["days"])

    assert [days("--from", "2020-01-01"), days("--until", "2020-01-01"), days("--from", "2120-01-01")] == [1, 0, 0]
    with pytest.raises(MeshError, match="The field 'from' must be a time in ISO 8601"):
        invoke(app, "usage", account, "--from", "yesterday")


def test_a_plan_that_is_gone_hides_no_account(invoke: Invoke, sqlite_database: str) -> None:
    async def make() -> None:
        async with opened(sqlite_database) as store:
            await Register(store).create_account("Anna", "team", "acc_1")

    asyncio.run(make())
    assert "team" in invoke(app, "list").stdout
    for arguments in (("credit", "acc_1", "-5"), ("close", "acc_1"), ("change", "acc_1", "--name", "Bea")):
        with pytest.raises(MeshError, match="The account acc_1 has the plan 'team', which there is no more"):
            invoke(app, *arguments)
    told = json.loads(invoke(app, "change", "acc_1", "--plan", "free", "--json").stdout)
    assert (told["plan"], told["name"], told["closed_at"]) == ("free", "Anna", None)


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "acc_0"),
        ("change", "acc_0", "--name", "Bea"),
        ("close", "acc_0"),
        ("reopen", "acc_0"),
        ("credit", "acc_0", "5"),
        ("usage", "acc_0"),
    ],
)
def test_an_account_that_is_not_there_is_named(invoke: Invoke, arguments: tuple[str, ...]) -> None:
    with pytest.raises(MeshError, match=r"There is no account 'acc_0'\."):
        invoke(app, *arguments)


def test_the_whole_story_on_each_kind_of_database(invoke: Invoke, database: str) -> None:
    here = {"SPEECHMESH_DATABASE_URL": database}
    account = json.loads(invoke(app, "create", "Anna", "--plan", "paid", "--credits", "10", "--json", **here).stdout)
    use(database, account["id"], "paid", seconds=30)
    told = json.loads(invoke(app, "show", account["id"], "--json", **here).stdout)
    assert (told["credits"], told["running"]) == (8, 1)
    assert len(json.loads(invoke(app, "list", "--json", **here).stdout)["accounts"]) == 1
