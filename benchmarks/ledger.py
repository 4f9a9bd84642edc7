"""What accounts cost a request: looking up its key, letting it in, settling it; on SQLite, and on PostgreSQL by URL.

    .venv/bin/python benchmarks/ledger.py
    .venv/bin/python benchmarks/ledger.py --database postgresql://user@127.0.0.1:5432/empty

The database of `--database` must be empty; it gets the schema, the keys and the entries, and keeps them.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

ROOT = Path(__file__).resolve().parent.parent
# Run as a script, Python looks for modules in this folder only.
sys.path[:0] = [str(ROOT), str(ROOT / "protos")]

from benchmarks.asr import percentile  # noqa: E402 - needs the path above
from benchmarks.tables import Cell, table  # noqa: E402
from services.accounts.api_keys import digest_of, hint_of, new_key  # noqa: E402
from services.accounts.audit import verify  # noqa: E402
from services.accounts.claims import Claim, Reservation, Work  # noqa: E402
from services.accounts.ledger import Ledger  # noqa: E402
from services.accounts.plans import load_plans  # noqa: E402
from services.accounts.register import Account, Register  # noqa: E402
from services.accounts.schema import upgrade  # noqa: E402
from services.accounts.store import Store, sqlite_url  # noqa: E402
from services.accounts.tables import KEYS  # noqa: E402

_PLANS = load_plans()
_KEYS_AT_ONCE = 1000


@dataclass(frozen=True)
class Times:
    """How long one step took, again and again; in seconds."""

    step: str
    seconds: Sequence[float]

    def row(self) -> list[Cell]:
        """Return the step with how often, its median, its 99th percentile and its greatest, in milliseconds."""
        shown = (statistics.median(self.seconds), percentile(self.seconds, 0.99), max(self.seconds))
        return [self.step, len(self.seconds), *(1000 * value for value in shown)]


async def measure(url: str, key_count: int, requests: int) -> list[Times]:
    """Return how long each step took on a database that is empty."""
    store = Store(url)
    try:
        await upgrade(store)
        register = Register(store)
        account = await register.create_account("benchmark", "paid")
        keys = await _fill(store, account, key_count)
        ledger = Ledger(store, edge="benchmark", lease_seconds=60)
        await ledger.grant(account.id, 10 * requests, "benchmark")
        found = await _timed(
            f"look up one of {key_count} keys", requests, lambda i: register.find(digest_of(keys[i % len(keys)]))
        )
        times = [found, *await _requests(ledger, account.id, requests)]
        audit = await verify(store, time.time())
        assert not audit.faults, audit.faults
        return times
    finally:
        await store.close()


async def _requests(ledger: Ledger, holder: str, count: int) -> list[Times]:
    opened: list[Reservation] = []
    claim = Claim(holder, _PLANS.get("paid"), Work.FILE, "request", "key")

    async def open_(_: int) -> None:
        place = await ledger.open(claim)
        assert isinstance(place, Reservation)
        opened.append(place)

    steps: dict[str, list[float]] = {"let in": [], "reserve more": [], "settle": [], "note that it was delivered": []}
    for _ in range(count):
        for name, step in zip(
            steps,
            (
                open_,
                lambda _: ledger.extend(opened[-1], 3),
                lambda _: ledger.settle(opened[-1], seconds=150.0, model="base"),
                lambda _: ledger.deliver(opened[-1]),
            ),
            strict=True,
        ):
            steps[name].extend((await _timed(name, 1, step)).seconds)
    return [Times(name, seconds) for name, seconds in steps.items()]


async def _timed(step: str, count: int, work: Callable[[int], Awaitable[object]]) -> Times:
    seconds = []
    for number in range(count):
        began = time.perf_counter()
        await work(number)
        seconds.append(time.perf_counter() - began)
    return Times(step, seconds)


async def _fill(store: Store, account: Account, count: int) -> list[str]:
    """Give an account many keys, without the checks of the register; return some of them."""
    kept: list[str] = []
    for first in range(0, count, _KEYS_AT_ONCE):
        made = [new_key() for _ in range(min(_KEYS_AT_ONCE, count - first))]
        kept.append(made[0])
        rows = [
            {
                "id": f"key_{first + number}",
                "account_id": account.id,
                "digest": digest_of(key),
                "hint": hint_of(key),
                "name": "benchmark",
                "created_at": 0.0,
            }
            for number, key in enumerate(made)
        ]

        async def work(connection: AsyncConnection, rows: list[dict[str, object]] = rows) -> None:
            await connection.execute(insert(KEYS), rows)

        await store.write(work)
    return kept


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--database", metavar="URL", help="an empty PostgreSQL database; SQLite in a new file unless given"
    )
    parser.add_argument("--keys", type=int, default=100_000, metavar="N", help="in the store (%(default)s)")
    parser.add_argument("--requests", type=int, default=500, metavar="N", help="one after the other (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="speechmesh-ledger-") as folder:
        url = options.database or sqlite_url(Path(folder) / "accounts.db")
        times = asyncio.run(measure(url, options.keys, options.requests))
    name = "PostgreSQL" if options.database else "SQLite"
    print(table(name, ["step", "times", "median ms", "p99 ms", "most ms"], [each.row() for each in times]))
    whole = sum(statistics.median(each.seconds) for each in times if each.step in ("let in", "settle"))
    print(f"A request of a minute, its key known: {1000 * whole:.2f} ms before its answer leaves (medians).")


if __name__ == "__main__":
    main()
