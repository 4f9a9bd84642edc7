import asyncio

import pytest

from services.edge.spool_room import SpoolRoom
from services.runtime.errors import Fault, MeshError


async def test_room_is_taken_and_given_back() -> None:
    room = SpoolRoom(100)
    await room.take(60)
    await room.take(40)
    room.give_back(60)
    await room.take(30)
    assert room.held_bytes == 70


async def test_who_finds_none_is_sent_away_after_a_while() -> None:
    room = SpoolRoom(100, wait_seconds=0.05)
    await room.take(60)
    with pytest.raises(MeshError) as caught:
        await room.take(41)
    assert (caught.value.fault, caught.value.code) == (Fault.UNAVAILABLE, "spool_full")
    assert room.held_bytes == 60, "nothing was taken"


async def test_who_waits_goes_on_as_soon_as_somebody_gives_back() -> None:
    room = SpoolRoom(100)
    await room.take(90)
    taking = [asyncio.ensure_future(room.take(45)) for _ in range(2)]
    await asyncio.sleep(0)
    room.give_back(90)
    async with asyncio.timeout(0.4):
        await asyncio.gather(*taking)
    assert room.held_bytes == 90


async def test_waiting_for_room_takes_none() -> None:
    room = SpoolRoom(100, wait_seconds=0)
    await room.wait_for(100)
    assert room.held_bytes == 0
    with pytest.raises(MeshError):
        await room.wait_for(101)


async def test_what_is_to_stay_free_on_the_disk_stays_free_whoever_fills_it() -> None:
    free = [1_000]
    room = SpoolRoom(keep_free_bytes=400, free=lambda: free[0], wait_seconds=5)
    await room.take(600)
    free[0] = 450
    taking = asyncio.ensure_future(room.take(100))
    await asyncio.sleep(0.05)
    assert not taking.done()
    free[0] = 500
    async with asyncio.timeout(3):
        await taking


async def test_leaving_while_waiting_takes_nothing() -> None:
    room = SpoolRoom(100)
    await room.take(100)
    taking = asyncio.ensure_future(room.take(1))
    await asyncio.sleep(0)
    taking.cancel()
    room.give_back(100)
    await asyncio.gather(taking, return_exceptions=True)
    assert room.held_bytes == 0


async def test_there_is_room_without_limits() -> None:
    room = SpoolRoom()
    await room.take(10**15)
    assert room.max_bytes is None
