import asyncio
from collections.abc import AsyncIterator

import pytest

from services.edge.transcription import _Feed, _pump, _Shares


async def _chunks(count: int, sent: list[int]) -> AsyncIterator[bytes]:
    for number in range(count):
        sent.append(number)
        yield bytes([number])


async def test_both_services_get_every_chunk_in_order() -> None:
    feeds = [_Feed(), _Feed()]

    async def take(feed: _Feed) -> bytes:
        return b"".join([chunk async for chunk in feed.chunks()])

    _, one, two = await asyncio.gather(_pump(_chunks(20, []), feeds), take(feeds[0]), take(feeds[1]))

    assert one == two == bytes(range(20))


async def test_the_slower_service_holds_up_the_decoder() -> None:
    feeds = [_Feed(), _Feed()]
    sent: list[int] = []
    pumping = asyncio.ensure_future(_pump(_chunks(100, sent), feeds))
    fast = asyncio.ensure_future(anext(feeds[0].chunks()))
    await fast
    for _ in range(20):
        await asyncio.sleep(0)

    pumping.cancel()

    assert len(sent) <= 6


def test_progress_is_the_mean_of_the_services() -> None:
    seen: list[tuple[str, float]] = []
    shares = _Shares(lambda stage, ratio: seen.append((stage, ratio)))
    one, two = shares.share(), shares.share()

    one(0.5)
    two(0.25)
    one(1.0)

    assert seen == [("transcribing", 0.25), ("transcribing", 0.375), ("transcribing", pytest.approx(0.625))]
