import json
import sqlite3
from collections.abc import Callable
from contextlib import closing

from sqlalchemy import make_url
from typer.testing import Result

from services.cli.accounts import app as accounts_app
from services.cli.ledger import app

Invoke = Callable[..., Result]


def test_right_books_are_proven(invoke: Invoke) -> None:
    invoke(accounts_app, "create", "Anna", "--plan", "paid", "--credits", "10")
    told = invoke(app, "verify")
    assert (told.exit_code, told.stdout) == (
        0,
        "Looked at 1 purses, 1 entries and 0 running requests; 0 spent in all.\nThe books are right.\n",
    )
    assert json.loads(invoke(app, "verify", "--json").stdout) == {
        "purses": 1,
        "entries": 1,
        "running": 0,
        "spent": 0,
        "faults": [],
        "proven": True,
    }


def test_each_fault_is_told_on_a_line(invoke: Invoke, sqlite_database: str) -> None:
    invoke(accounts_app, "create", "Anna", "--plan", "paid", "--credits", "10")
    with closing(sqlite3.connect(str(make_url(sqlite_database).database))) as connection, connection:
        connection.execute("UPDATE purses SET available = 11, spent = 1")
    told = invoke(app, "verify")
    assert told.exit_code == 1
    _, *faults = told.stdout.splitlines()
    assert [fault.partition(": ")[2] for fault in faults] == [
        "11 available, and its entries make 10",
        "1 spent, and its entries make 0",
    ]
    scripted = invoke(app, "verify", "--json")
    assert (scripted.exit_code, json.loads(scripted.stdout)["faults"]) == (1, faults)
