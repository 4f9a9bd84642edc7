import asyncio
import time
from types import SimpleNamespace

import pytest

from services.edge.pace import Pace


async def seconds_of(pace: Pace, size: int, pieces: int, pause: float = 0.0) -> float:
    """Return how long an upload takes that comes in pieces."""
    began = time.monotonic()
    for _ in range(pieces):
        await pace.took(size // pieces)
        await asyncio.sleep(pause)
    return time.monotonic() - began


async def test_one_upload_is_as_fast_as_all_may_be() -> None:
    taken = await seconds_of(Pace(1_000_000), 200_000, 100)
    assert 0.19 < taken < 1.0


async def test_several_share_what_there_is() -> None:
    pace = Pace(1_000_000)
    taken = await asyncio.gather(*(seconds_of(pace, 50_000, 20) for _ in range(4)))
    assert 0.18 < max(taken) < 1.0


def is_held_back(pace: Pace, size: int) -> bool:
    """Return whether an upload has to wait for anything after a piece of this size."""
    taking = pace.took(size)
    try:
        taking.send(None)
    except StopIteration:
        return False
    taking.close()
    return True


async def test_slow_ones_are_not_held_back_and_fast_ones_are() -> None:
    pace = Pace(10_000_000)
    for _ in range(5):
        await asyncio.sleep(0.02)
        assert not is_held_back(pace, 10_000)
    assert is_held_back(pace, 1_000_000)
    assert is_held_back(pace, 1), "whoever comes now"


async def test_what_does_not_wait_is_paid_by_what_does() -> None:
    pace = Pace(1_000_000)
    began = time.monotonic()
    pace.charge(200_000)
    await pace.took(10_000)
    assert time.monotonic() - began > 0.2


async def test_nobody_pays_for_others_without_end() -> None:
    pace = Pace(1_000)
    for _ in range(10):
        pace.charge(10_000)
    assert pace.charge(100) <= 1.1


async def test_a_pause_earns_no_more_than_it_took() -> None:
    pace = Pace(1_000_000)
    await asyncio.sleep(0.3)
    assert await seconds_of(pace, 200_000, 100) > 0.19


async def test_what_sleeps_are_late_by_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds + 0.001

    monkeypatch.setattr("services.edge.pace.time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr("services.edge.pace.asyncio", SimpleNamespace(sleep=sleep))
    pace = Pace(1_000_000)
    for _ in range(1000):
        await pace.took(1000)

    assert 0.99 < now < 1.01
