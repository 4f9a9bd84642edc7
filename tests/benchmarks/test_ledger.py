from pathlib import Path

from benchmarks.ledger import Times, measure
from services.accounts.store import sqlite_url


async def test_every_step_of_a_request_is_measured_on_a_database_that_was_empty(tmp_path: Path) -> None:
    times = await measure(sqlite_url(tmp_path / "accounts.db"), key_count=30, requests=3)

    assert [each.step for each in times] == [
        "look up one of 30 keys",
        "let in",
        "reserve more",
        "settle",
        "note that it was delivered",
    ]
    assert all(len(each.seconds) == 3 and min(each.seconds) > 0 for each in times)


def test_a_row_is_in_milliseconds() -> None:
    assert Times("x", [0.001, 0.002, 0.003]).row()[:3] == ["x", 3, 2.0]
