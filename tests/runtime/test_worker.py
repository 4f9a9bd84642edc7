import asyncio
import contextlib
import threading

import pytest

from services.runtime.worker import Work, stream_from_thread


async def test_items_come_in_order() -> None:
    def run(work: Work[int]) -> None:
        for number in range(100):
            work.emit(number)

    assert [item async for item in stream_from_thread(run)] == list(range(100))


async def test_what_the_work_raises_is_raised_after_what_it_gave() -> None:
    def run(work: Work[int]) -> None:
        work.emit(1)
        raise ValueError("over")

    items = stream_from_thread(run)

    assert await anext(items) == 1
    with pytest.raises(ValueError, match="over"):
        await anext(items)


async def test_who_leaves_early_stops_the_work_and_waits_for_its_end() -> None:
    ended = threading.Event()

    def run(work: Work[int]) -> None:
        work.emit(1)
        while not work.cancelled():
            pass
        ended.set()

    async with contextlib.aclosing(stream_from_thread(run)) as items:
        async for _ in items:
            break

    assert ended.is_set()


async def test_a_cancelled_consumer_waits_for_the_thread_too() -> None:
    started, ended = threading.Event(), threading.Event()

    def run(work: Work[int]) -> None:
        started.set()
        while not work.cancelled():
            pass
        ended.set()

    async def consume() -> None:
        async with contextlib.aclosing(stream_from_thread(run)) as items:
            async for _ in items:
                pass

    task = asyncio.ensure_future(consume())
    assert await asyncio.to_thread(started.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended.is_set()
