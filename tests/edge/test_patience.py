import asyncio
import time

import pytest

from services.edge.patience import Patience


async def _piece(size: int, after_seconds: float = 0.0) -> bytes:
    await asyncio.sleep(after_seconds)
    return bytes(size)


async def _trickle(patience: Patience, size: int) -> None:
    for _ in range(20):
        await patience.with_(_piece(size, after_seconds=0.02))


async def test_a_pause_that_is_too_long_is_not_waited_for() -> None:
    patience = Patience(0.05)
    assert await patience.with_(_piece(10)) == bytes(10)

    with pytest.raises(TimeoutError):
        await patience.with_(_piece(10, after_seconds=5))


async def test_a_sender_that_trickles_uses_it_up() -> None:
    with pytest.raises(TimeoutError):
        await _trickle(Patience(0.1), 1)


async def test_a_sender_that_is_slow_and_steady_does_not() -> None:
    patience = Patience(1.0)
    began = time.monotonic()
    while time.monotonic() - began < 1.3:
        assert await patience.with_(_piece(500, after_seconds=0.05)) == bytes(500)
