import asyncio
import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from typer.testing import Result

from services.accounts.api_keys import digest_of
from services.accounts.register import Found, Register
from services.cli.accounts import app as accounts_app
from services.cli.database import opened
from services.cli.keys import app
from services.runtime.errors import MeshError

Invoke = Callable[..., Result]
DAY_SECONDS = 86_400


@pytest.fixture
def account(invoke: Invoke) -> str:
    """Return the id of a new account."""
    return str(json.loads(invoke(accounts_app, "create", "Anna", "--json").stdout)["id"])


@pytest.fixture
def key(invoke: Invoke, account: str) -> str:
    """Return the id of a new key of that account."""
    return str(json.loads(invoke(app, "create", account, "--json").stdout)["id"])


def found(url: str, secret: str) -> Found:
    async def work() -> Found | None:
        async with opened(url) as store:
            return await Register(store).find(digest_of(secret))

    key = asyncio.run(work())
    assert key is not None
    return key


def listed(invoke: Invoke, account: str) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = json.loads(invoke(app, "list", account, "--json").stdout)["keys"]
    return keys


def test_a_new_key_stands_alone_on_standard_output(invoke: Invoke, account: str, sqlite_database: str) -> None:
    told = invoke(app, "create", account, "--name", "laptop")
    (secret,) = told.stdout.splitlines()
    key = found(sqlite_database, secret).key
    assert (key.account_id, key.name, key.expires_at) == (account, "laptop", None)
    assert told.stderr == f"This is the only time that the key is shown. Its id is {key.id}, and it does not expire.\n"


def test_a_new_key_is_told_to_scripts_as_the_http_api_does(invoke: Invoke, account: str, sqlite_database: str) -> None:
    told = json.loads(invoke(app, "create", account, "--json").stdout)
    assert told["id"] == found(sqlite_database, told["key"]).key.id
    assert (told["name"], told["valid"], told["expires_at"]) == ("key", True, None)


def test_a_key_expires_after_days_or_at_a_time(invoke: Invoke, account: str) -> None:
    told = json.loads(invoke(app, "create", account, "--expires-in-days", "30", "--json").stdout)
    ahead = datetime.fromisoformat(told["expires_at"]).timestamp() - time.time()
    assert 29.9 * DAY_SECONDS < ahead <= 30 * DAY_SECONDS
    told_at = invoke(app, "create", account, "--expires-at", "2126-01-31")
    assert "expires at 2126-01-31T00:00:00Z." in told_at.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--expires-in-days", "0"), "must be a whole number from 1 to"),
        (("--expires-at", "soon"), "must be a time in ISO 8601"),
        (("--expires-at", "2020-01-01"), "must be a time to come"),
        (("--expires-at", "2126-01-01", "--expires-in-days", "1"), "not both"),
        (("--name", ""), "The field 'name' must be a text of 1 to"),
    ],
)
def test_a_wrong_option_makes_no_key(invoke: Invoke, account: str, options: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(MeshError, match=sentence):
        invoke(app, "create", account, *options)
    assert listed(invoke, account) == []


def test_the_list_shows_all_keys_and_no_secret(invoke: Invoke, account: str, key: str) -> None:
    secret = invoke(app, "create", account, "--name", "laptop").stdout.strip()
    shown = invoke(app, "list", account).stdout
    assert key in shown
    assert "laptop" in shown
    assert secret not in shown
    assert {each["id"] for each in listed(invoke, account)} > {key}
    assert not any("key" in each for each in listed(invoke, account))


def test_a_revoked_key_is_not_taken(invoke: Invoke, account: str, key: str) -> None:
    assert key in invoke(app, "revoke", key).stdout
    (told,) = listed(invoke, account)
    assert (told["valid"], told["revoked_at"] is None) == (False, False)
    assert json.loads(invoke(app, "revoke", key, "--json").stdout) == told


def test_rotation_revokes_the_old_key(invoke: Invoke, account: str, key: str, sqlite_database: str) -> None:
    told = invoke(app, "rotate", key)
    new = found(sqlite_database, told.stdout.strip()).key
    assert told.stderr.endswith(f"The key {key} is taken no more.\n")
    assert {each["id"]: each["valid"] for each in listed(invoke, account)} == {key: False, new.id: True}


def test_rotation_may_overlap(invoke: Invoke, account: str, key: str) -> None:
    told = invoke(app, "rotate", key, "--overlap-hours", "2")
    end = {each["id"]: each["expires_at"] for each in listed(invoke, account)}[key]
    assert told.stderr.endswith(f"The key {key} is taken until {end}.\n")
    assert all(each["valid"] for each in listed(invoke, account))
    assert "key" in json.loads(invoke(app, "rotate", key, "--json").stdout)
    assert invoke(app, "rotate", key, "--overlap-hours", "169").exit_code == 2


def test_a_key_gets_another_name(invoke: Invoke, account: str, key: str) -> None:
    assert "desk" in invoke(app, "rename", key, "desk").stdout
    assert json.loads(invoke(app, "rename", key, "lap", "--json").stdout)["name"] == "lap"
    assert [each["name"] for each in listed(invoke, account)] == ["lap"]


@pytest.mark.parametrize(
    "arguments",
    [("create", "acc_0"), ("list", "acc_0"), ("revoke", "key_0"), ("rotate", "key_0"), ("rename", "key_0", "name")],
)
def test_what_is_not_there_is_said(invoke: Invoke, arguments: tuple[str, ...]) -> None:
    with pytest.raises(MeshError, match=r"There is no (account 'acc_0'|key with that id)\."):
        invoke(app, *arguments)
