"""How long a sender may keep us waiting for a body: with a single pause, and on the whole."""

import asyncio
import time
from collections.abc import Awaitable

_LEAST_BYTES_PER_SECOND = 500
"""On the whole; a tenth of what the slowest line gives. Who sends less holds his place for nothing."""


class Patience:
    """What is left of it with one sender.

    Args:
        stall_seconds: longest pause.
    """

    def __init__(self, stall_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._left_seconds = stall_seconds

    async def with_(self, reading: Awaitable[bytes]) -> bytes:
        """Return what is read; raise TimeoutError where it takes too long."""
        began = time.monotonic()
        async with asyncio.timeout(min(self._stall_seconds, self._left_seconds)):
            read = await reading
        self._left_seconds += len(read) / _LEAST_BYTES_PER_SECOND - (time.monotonic() - began)
        return read
