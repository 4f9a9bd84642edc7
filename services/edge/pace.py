"""How fast bytes may come or go, so that who asks for anything else does not wait behind them."""

import asyncio
import time

_BURST_SECONDS = 0.004
"""What may come at once; a shorter pause is none, as the clock of an event loop is no better."""

_MOST_EARLY_SECONDS = 1.0
"""How long who waits has to pay for those who do not."""


class Pace:
    """A budget of bytes a second: a virtual clock that each byte moves on (GCRA, ITU-T I.371).

    Uploads share one, as reading a byte costs the event loop the same whoever sends it: the senders of many files at
    once are held back as much as one fast sender is, and slow ones not at all.

    Args:
        bytes_a_second: of all that share it.
    """

    def __init__(self, bytes_a_second: float) -> None:
        self._seconds_for_byte = 1 / bytes_a_second
        self._free_at = 0.0

    def charge(self, size: int) -> float:
        """Take that `size` bytes have come, or go, and nobody waits; return by how many seconds they are early."""
        now = time.monotonic()
        early = min(max(0.0, self._free_at - now), _MOST_EARLY_SECONDS) + size * self._seconds_for_byte
        self._free_at = now + early
        return early

    async def took(self, size: int) -> None:
        """Take that `size` bytes have come, or go; wait as long as they are too early."""
        early = self.charge(size)
        if early > _BURST_SECONDS:
            # Not to the end: what a sleep is late by would be lost, and with it a tenth of what may come.
            await asyncio.sleep(early - _BURST_SECONDS / 2)
