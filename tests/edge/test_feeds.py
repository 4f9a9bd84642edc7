import asyncio
from collections.abc import AsyncIterator

import pytest

from services.edge.clients import Done
from services.edge.feeds import Feed, Shares, fed, pump, unhurried
from services.edge.media import Chunk
from services.edge.pace import Pace


async def _chunks(count: int, sent: list[int], channels: int = 1) -> AsyncIterator[Chunk]:
    for number in range(count):
        sent.append(number)
        yield Chunk(number % channels, bytes([number]))


async def test_both_services_get_every_chunk_in_order() -> None:
    feeds = [Feed(), Feed()]

    async def take(feed: Feed) -> bytes:
        return b"".join([chunk async for chunk in feed.chunks()])

    _, one, two = await asyncio.gather(pump(_chunks(20, []), [feeds]), take(feeds[0]), take(feeds[1]))

    assert one == two == bytes(range(20))


async def test_each_channel_goes_to_those_who_listen_to_it() -> None:
    left, right = Feed(), Feed()

    async def take(feed: Feed) -> bytes:
        return b"".join([chunk async for chunk in feed.chunks()])

    _, one, two = await asyncio.gather(pump(_chunks(20, [], 2), [[left], [right]]), take(left), take(right))

    assert (one, two) == (bytes(range(0, 20, 2)), bytes(range(1, 20, 2)))


async def test_only_what_is_behind_ten_minutes_of_a_recording_is_paced() -> None:
    taken: list[int] = []

    class Notes(Pace):
        async def took(self, size: int) -> None:
            taken.append(size)

    async def chunks() -> AsyncIterator[Chunk]:
        for _ in range(603):
            yield Chunk(0, bytes(32_000))

    assert len([chunk async for chunk in unhurried(chunks(), Notes(1.0))]) == 603
    assert taken == [32_000] * 3


async def test_the_slower_service_holds_up_the_decoder() -> None:
    feeds = [Feed(), Feed()]
    sent: list[int] = []
    pumping = asyncio.ensure_future(pump(_chunks(100, sent), [feeds]))
    fast = asyncio.ensure_future(anext(feeds[0].chunks()))
    await fast
    for _ in range(20):
        await asyncio.sleep(0)

    pumping.cancel()

    assert len(sent) <= 6


def test_progress_is_the_mean_of_the_services() -> None:
    seen: list[tuple[str, float]] = []
    shares = Shares(lambda stage, ratio: seen.append((stage, ratio)), duration=None)
    one, two = shares.share(), shares.share()

    one(Done(5.0, 0.5))
    two(Done(2.5, 0.25))
    one(Done(10.0, 1.0))

    assert seen == [("transcribing", 0.25), ("transcribing", 0.375), ("transcribing", pytest.approx(0.625))]


def test_a_long_recording_has_progress_before_it_has_all_come() -> None:
    seen: list[float] = []
    share = Shares(lambda stage, ratio: seen.append(ratio), duration=100.0).share()

    for done in (Done(10.0, 0.0), Done(50.0, 0.0), Done(40.0, 0.4), Done(120.0, 0.0), Done(120.0, 1.0)):
        share(done)

    assert seen == [0.1, 0.5, 0.5, 0.95, 1.0]


async def test_a_service_that_answers_early_does_not_hold_up_the_rest() -> None:
    feeds = [Feed(), Feed()]

    async def answer_at_once(feed: Feed) -> str:
        await anext(feed.chunks())
        return "done"

    async def take_all(feed: Feed) -> int:
        return len([chunk async for chunk in feed.chunks()])

    async with asyncio.timeout(5):
        _, early, whole = await asyncio.gather(
            pump(_chunks(100, []), [feeds]),
            fed(feeds[0], answer_at_once(feeds[0])),
            fed(feeds[1], take_all(feeds[1])),
        )

    assert (early, whole) == ("done", 100)


async def test_who_still_reads_when_the_answer_is_there_reads_the_end() -> None:
    feed = Feed()
    reading = asyncio.ensure_future(anext(feed.chunks(), None))
    await asyncio.sleep(0)

    await fed(feed, asyncio.sleep(0))

    assert await asyncio.wait_for(reading, 5) is None
