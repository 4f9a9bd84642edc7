import asyncio
import gzip
import io
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.edge.app import frame
from services.edge.body import receive_body

LIMIT = 2**20


async def _echo(request: web.Request) -> web.Response:
    return web.Response(body=await receive_body(request, LIMIT, 0.2))


@pytest.fixture
async def client() -> AsyncIterator[TestClient[web.Request, web.Application]]:
    # The limit of the whole application is smaller, and not what counts.
    app = web.Application(middlewares=[frame], client_max_size=10)
    app.router.add_post("/", _echo)
    async with TestClient(TestServer(app)) as client:
        yield client


async def _pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(1000)


@pytest.mark.parametrize("size", [0, 1, LIMIT])
async def test_a_body_comes_whole(client: TestClient[web.Request, web.Application], size: int) -> None:
    answer = await client.post("/", data=b"x" * size)

    assert await answer.read() == b"x" * size


async def test_so_does_one_whose_length_is_not_known(client: TestClient[web.Request, web.Application]) -> None:
    answer = await client.post("/", data=_pieces(1000))

    assert await answer.read() == bytes(1_000_000)


@pytest.mark.parametrize("known", [True, False])
async def test_one_over_the_limit_is_413_whether_or_not_its_length_is_known(
    client: TestClient[web.Request, web.Application], known: bool
) -> None:
    answer = await client.post("/", data=io.BytesIO(bytes(LIMIT + 1)) if known else _pieces(1100))

    assert answer.status == 413
    told = await answer.json()
    assert (told["code"], told["field"]) == ("body_too_large", "body")
    assert "1 MiB" in told["error"]


async def test_it_is_what_comes_out_of_a_packed_body_that_counts(
    client: TestClient[web.Request, web.Application],
) -> None:
    headers = {"Content-Encoding": "gzip"}
    fits = await client.post("/", data=gzip.compress(bytes(LIMIT)), headers=headers)
    bomb = await client.post("/", data=gzip.compress(bytes(50 * LIMIT)), headers=headers)

    assert (fits.status, len(await fits.read()), bomb.status) == (200, LIMIT, 413)


async def test_a_body_that_is_not_packed_as_its_head_says_is_refused(
    client: TestClient[web.Request, web.Application],
) -> None:
    answer = await client.post("/", data=b"not gzip" * 9, headers={"Content-Encoding": "gzip"})

    assert answer.status == 400


async def test_a_sender_that_stops_is_given_up(client: TestClient[web.Request, web.Application]) -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)

    answer = await client.post("/", data=stalling())

    assert (answer.status, (await answer.json())["code"]) == (400, "upload_stalled")


async def test_so_is_one_that_trickles(client: TestClient[web.Request, web.Application]) -> None:
    async def trickling() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    answer = await asyncio.wait_for(client.post("/", data=trickling()), 10)

    assert (answer.status, (await answer.json())["code"]) == (400, "upload_stalled")
