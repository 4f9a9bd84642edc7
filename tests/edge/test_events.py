import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.edge.app import frame
from services.edge.events import Reports, answer_in_events
from services.runtime.errors import Fault, MeshError

Work = Callable[[Reports], Awaitable[Any]]

FULL = MeshError(Fault.OVERLOADED, "Too many are waiting.", code="queue_full", retry_after_seconds=6.5)


def _client(work: Work, patience_seconds: float) -> TestClient[web.Request, web.Application]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await answer_in_events(request, work, {"ratio": 0.0}, patience_seconds=patience_seconds)

    app = web.Application(middlewares=[frame])
    app.router.add_get("/", handle)
    return TestClient(TestServer(app, handler_cancellation=True))


async def _answer(work: Work, patience_seconds: float = 0.0) -> tuple[int, str, list[tuple[str, Any]]]:
    """Return status, content type and events; where the answer is no stream, its body as the only one."""
    async with _client(work, patience_seconds) as client:
        answer = await client.get("/")
        text = await answer.text()
    if answer.content_type != "text/event-stream":
        return answer.status, answer.content_type, [("body", json.loads(text))]
    return answer.status, answer.content_type, events(text)


def events(text: str) -> list[tuple[str, Any]]:
    """Return the names and the data of events."""
    blocks = [block.split("\ndata: ") for block in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data)) for name, data in blocks]


@pytest.mark.parametrize("patience_seconds", [0.0, 10.0])
async def test_every_piece_comes_in_order_and_the_result_is_last(patience_seconds: float) -> None:
    async def work(reports: Reports) -> Any:
        for number in range(100):
            reports.add(number)
            if number % 7 == 0:
                await asyncio.sleep(0)
        return "all"

    status, content_type, told = await _answer(work, patience_seconds)

    assert (status, content_type) == (200, "text/event-stream")
    assert [data for name, data in told if name == "delta"] == list(range(100))
    assert told[-1] == ("result", "all")


async def test_progress_is_the_latest_and_comes_again_while_nothing_happens() -> None:
    async def work(reports: Reports) -> Any:
        reports.progress = {"ratio": 0.1}
        reports.progress = {"ratio": 0.2}
        await asyncio.sleep(0.6)

    _, _, told = await _answer(work)

    assert told[0] in (("progress", {"ratio": 0.0}), ("progress", {"ratio": 0.2}))
    assert told.count(("progress", {"ratio": 0.2})) >= 2
    assert ("progress", {"ratio": 0.1}) not in told


async def test_a_piece_is_not_kept_waiting_for_the_next_progress() -> None:
    taken = asyncio.Event()

    async def work(reports: Reports) -> Any:
        reports.add("one")
        await taken.wait()

    async with _client(work, 0.0) as client:
        answer = await client.get("/")
        while await answer.content.readline() != b'data: "one"\n':
            pass
        taken.set()
        assert b"event: result" in await answer.read()


async def test_a_failure_after_the_head_is_the_last_event() -> None:
    async def work(reports: Reports) -> Any:
        reports.add("one")
        await asyncio.sleep(0.05)
        raise FULL

    status, _, told = await _answer(work, 10.0)

    assert (status, told[-1][0]) == (200, "error")
    assert told[-1][1] == {"error": FULL.message, "code": "queue_full", "status": 429, "retry_after": 7}
    assert ("delta", "one") in told


async def test_a_failure_that_comes_soon_has_a_status_of_its_own_where_the_head_waits() -> None:
    async def work(reports: Reports) -> Any:
        raise FULL

    patient, at_once = await _answer(work, 10.0), await _answer(work)

    assert patient == (429, "application/json", [("body", {"error": FULL.message, "code": "queue_full"})])
    assert (at_once[0], at_once[2][-1][0]) == (200, "error")


async def test_the_head_waits_no_longer_than_it_is_told_to() -> None:
    async def work(reports: Reports) -> Any:
        await asyncio.sleep(0.2)
        raise FULL

    status, _, told = await _answer(work, 0.05)

    assert (status, told[-1][0]) == (200, "error")


async def test_an_unexpected_failure_is_the_last_event_and_hides_its_text() -> None:
    async def work(reports: Reports) -> Any:
        raise RuntimeError("secret detail")

    _, _, told = await _answer(work)

    assert told[-1][0] == "error"
    assert (told[-1][1]["code"], told[-1][1]["status"]) == ("internal", 500)
    assert "secret" not in json.dumps(told)


@pytest.mark.parametrize("patience_seconds", [0.0, 10.0])
async def test_a_client_that_leaves_cancels_the_work(patience_seconds: float) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def work(reports: Reports) -> Any:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with _client(work, patience_seconds) as client:
        asking = asyncio.ensure_future(client.get("/"))
        await asyncio.wait_for(started.wait(), 10)
        if not patience_seconds:
            (await asking).close()
        asking.cancel()
        assert await asyncio.wait_for(cancelled.wait(), 10)
