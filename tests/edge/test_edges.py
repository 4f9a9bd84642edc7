"""Edges as processes, several at once, and killed: the books must be right whatever happens."""

import asyncio
import contextlib
import io
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.accounts.audit import Audit, verify
from services.accounts.ledger import Ledger
from services.accounts.plans import load_plans
from services.accounts.store import Store
from tests.databases import new_postgresql
from tests.edge.accounts import key_of, new_database, plans_file
from tests.edge.edge_process import EdgeProcess
from tests.edge.fake_mesh import FakeAsr, FakeMesh, tone

LEASE_SECONDS = 3.0


@contextlib.asynccontextmanager
async def edges(
    count: int,
    url: str,
    folder: Path,
    asr: FakeAsr | None = None,
    lease_seconds: float = LEASE_SECONDS,
    **plans: dict[str, Any],
) -> AsyncIterator[list[EdgeProcess]]:
    """Run edges on one database in front of one mesh."""
    async with FakeMesh(asr=asr or FakeAsr()).served() as targets:
        settings = {
            **targets,
            "database_url": url,
            "spool_dir": folder / "spool",
            "lease_seconds": lease_seconds,
            "plans_file": plans_file(folder, **plans),
            "drain_seconds": 5,
        }
        running = [EdgeProcess(settings, folder / f"edge-{number}.log") for number in range(count)]
        try:
            await asyncio.gather(*(edge.start() for edge in running))
            yield running
        finally:
            for edge in running:
                await asyncio.to_thread(edge.stop)


async def ask(
    session: aiohttp.ClientSession, edge: EdgeProcess, seconds: float = 2.0, **headers: str
) -> tuple[int, Any]:
    """Have a recording transcribed; come again when the edge itself has no place."""
    while True:
        async with session.post(f"{edge.url}/v1/transcribe", data=_recording(seconds), headers=headers) as answer:
            body = await answer.json()
            if body.get("code") != "queue_full":
                return answer.status, body
        await asyncio.sleep(0.2)


def _recording(seconds: float) -> aiohttp.FormData:
    data = aiohttp.FormData({"diarize": "false"})
    # A file, for the client does not like large bodies in one piece.
    data.add_field("file", io.BytesIO(tone(seconds)), filename="tone.wav")
    return data


async def proven(url: str) -> Audit:
    """Return the proof of the books, when all that was killed has been ended."""
    store = Store(url)
    try:
        for _ in range(300):
            audit = await verify(store, time.time())
            if audit.running == 0 and not audit.faults:
                break
            await asyncio.sleep(0.1)
        return audit
    finally:
        await store.close()


async def available(url: str, account: str, plan: str) -> int:
    store = Store(url)
    try:
        standing = await Ledger(store, edge="asks", lease_seconds=1).standing(account, load_plans().get(plan))
        return standing.available
    finally:
        await store.close()


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir()
    return tmp_path


async def test_of_fifty_at_once_on_one_credit_one_runs(folder: Path) -> None:
    url = await new_database(folder)
    account, key = await key_of(url, "paid", credits=1)
    async with edges(1, url, folder) as (edge,), aiohttp.ClientSession() as session:
        answers = await asyncio.gather(*(ask(session, edge, **key) for _ in range(50)))

    statuses = Counter(status for status, _ in answers)
    assert statuses[200] == 1
    assert set(statuses) <= {200, 402, 429}
    audit = await proven(url)
    assert (audit.faults, audit.spent) == ([], 1)
    assert await available(url, account, "paid") == 0


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["sqlite, one edge", "postgresql, three edges"])
async def test_two_hundred_at_once_spend_a_hundred_credits_to_the_last(
    folder: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    if kind.startswith("sqlite"):
        count, url = 1, await new_database(folder)
    else:
        server = await asyncio.to_thread(request.getfixturevalue, "postgresql")
        count, url = 3, await asyncio.to_thread(new_postgresql, server, "template")
    account, key = await key_of(url, "paid", credits=100)
    async with edges(count, url, folder, None, 10, paid={"at_once": 0}) as running, aiohttp.ClientSession() as session:
        answers = await asyncio.gather(*(ask(session, running[number % count], **key) for number in range(200)))

    assert Counter(status for status, _ in answers) == {200: 100, 402: 100}
    audit = await proven(url)
    assert (audit.faults, audit.spent) == ([], 100)
    assert await available(url, account, "paid") == 0


@pytest.mark.timeout(180)
async def test_an_edge_that_is_killed_at_any_moment_loses_no_credit_and_gives_none_away(folder: Path) -> None:
    url = await new_database(folder)
    account, key = await key_of(url, "paid", credits=1000)
    chance = random.Random(7)
    paid = 0
    async with edges(1, url, folder, FakeAsr(pause_seconds=0.2)) as (edge,):
        for _ in range(8):
            async with aiohttp.ClientSession() as session:
                asking = asyncio.ensure_future(ask(session, edge, 130.0, **key))
                await asyncio.sleep(chance.uniform(0.0, 0.9))
                edge.kill()
                with contextlib.suppress(aiohttp.ClientError, asyncio.CancelledError):
                    status, _ = await asking
                    paid += 3 * (status == 200)
            await edge.start()
            killed_at = time.monotonic()
            audit = await proven(url)
            assert audit.faults == []
            assert audit.running == 0
            # A lease, another one for an answer that may have left, and some patience with the machine.
            assert time.monotonic() - killed_at < 5 * LEASE_SECONDS
        # One that is not killed pays, and has the slot that the others left.
        async with aiohttp.ClientSession() as session:
            assert (await ask(session, edge, 130.0, **key))[0] == 200

    audit = await proven(url)
    # Who was killed between the last byte of an answer and the note that it was delivered has given it back.
    assert audit.spent in (paid + 3, paid)
    assert await available(url, account, "paid") == 1000 - audit.spent


async def _in_two_halves(whole: bytes, half_sent: asyncio.Event) -> AsyncIterator[bytes]:
    yield whole[: len(whole) // 2]
    half_sent.set()
    await asyncio.sleep(0.2)
    yield whole[len(whole) // 2 :]


async def _until(moment: str, session: aiohttp.ClientSession, edge: EdgeProcess, key: dict[str, str]) -> None:
    """Ask for a transcription, and kill the edge at a certain moment of it."""
    data = _recording(70.0)()
    body = io.BytesIO()
    await data.write(_Writer(body))
    half_sent = asyncio.Event()
    upload = _in_two_halves(body.getvalue(), half_sent)
    asking = asyncio.ensure_future(
        session.post(f"{edge.url}/v1/transcribe", data=upload, headers={**data.headers, **key})
    )
    if moment == "upload":
        await half_sent.wait()
        await asyncio.sleep(0.05)
    elif moment == "recognition":
        await half_sent.wait()
        await asyncio.sleep(0.5)
    else:
        (await asking).close()
    edge.kill()
    with contextlib.suppress(aiohttp.ClientError):
        (await asking).close()


class _Writer:
    """Where a form is written that is wanted as bytes."""

    def __init__(self, target: io.BytesIO) -> None:
        self._target = target

    async def write(self, chunk: bytes) -> None:
        self._target.write(chunk)


@pytest.mark.parametrize("moment", ["upload", "recognition", "answer"])
async def test_an_edge_that_is_killed_in_the_middle_of_something_leaves_nothing_behind(
    folder: Path, moment: str
) -> None:
    url = await new_database(folder)
    account, key = await key_of(url, "paid", credits=10)
    async with edges(1, url, folder, FakeAsr(pause_seconds=0.8)) as (edge,), aiohttp.ClientSession() as session:
        await _until(moment, session, edge, key)
        await edge.start()
        audit = await proven(url)

    assert (audit.faults, audit.running) == ([], 0)
    # Of an answer that had begun to leave nobody knows whether it came; the others have cost nothing.
    assert audit.spent in ((0, 2) if moment == "answer" else (0,))
    assert await available(url, account, "paid") == 10 - audit.spent


async def test_ten_with_one_idempotency_key_are_one_transcription(folder: Path) -> None:
    url, asr = await new_database(folder), FakeAsr(pause_seconds=0.5)
    _, key = await key_of(url, "paid", credits=10)
    async with edges(2, url, folder, asr) as running, aiohttp.ClientSession() as session:
        headers = {**key, "Idempotency-Key": "job-17"}
        answers = await asyncio.gather(*(ask(session, running[number % 2], 3.0, **headers) for number in range(10)))

    assert [status for status, _ in answers] == [200] * 10
    assert all(body == answers[0][1] for _, body in answers)
    assert len(asr.configs) == 1
    audit = await proven(url)
    assert (audit.faults, audit.spent) == ([], 1)


async def test_who_repeats_a_request_whose_edge_was_killed_gets_his_answer_and_pays_once(folder: Path) -> None:
    url = await new_database(folder)
    _, key = await key_of(url, "paid", credits=10)
    headers = {**key, "Idempotency-Key": "job-18"}
    async with edges(1, url, folder, FakeAsr(pause_seconds=0.5)) as (edge,):
        async with aiohttp.ClientSession() as session:
            asking = asyncio.ensure_future(ask(session, edge, 70.0, **headers))
            await asyncio.sleep(0.4)
            edge.kill()
            with contextlib.suppress(aiohttp.ClientError):
                await asking
        await edge.start()
        async with aiohttp.ClientSession() as session:
            answers = [await ask(session, edge, 70.0, **headers) for _ in range(2)]

    assert [status for status, _ in answers] == [200, 200]
    assert answers[0][1] == answers[1][1]
    audit = await proven(url)
    assert (audit.faults, audit.spent) == ([], 2)
