"""How much uploads may hold on disk at once: who finds no room is held back, then sent away before the disk is full."""

import asyncio
import math
from collections.abc import Callable

from services.runtime.errors import Fault, MeshError
from services.runtime.logs import get_logger

_LOOK_AGAIN_SECONDS = 0.5
"""Others than ourselves may fill the disk, and free it; nobody tells of that."""


class SpoolRoom:
    """The room of a spool; what is written there is taken first, and given back when the file is let go.

    Args:
        max_bytes: the most that may be held at once; None for no limit but the disk's.
        keep_free_bytes: what is to stay free on the disk, whoever fills it.
        free: tells how much is free on the disk, in bytes.
        wait_seconds: how long to wait for room. The sender is held back meanwhile, as nothing of his is read.
    """

    def __init__(
        self,
        max_bytes: int | None = None,
        *,
        keep_free_bytes: int = 0,
        free: Callable[[], float] = lambda: math.inf,
        wait_seconds: float = 30.0,
    ) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        """Taken and not given back."""
        self._keep_free_bytes = keep_free_bytes
        self._free = free
        self._wait_seconds = wait_seconds
        self._given_back = asyncio.Event()

    async def take(self, size: int) -> None:
        """Take room for `size` bytes, waiting for it if need be.

        Raises:
            MeshError: UNAVAILABLE when there is none for too long.
        """
        await self.wait_for(size)
        self.held_bytes += size

    async def wait_for(self, size: int) -> None:
        """Wait until there is room for `size` bytes, without taking it; as `take`."""
        if self._has_room(size):
            return
        try:
            async with asyncio.timeout(self._wait_seconds):
                while not self._has_room(size):
                    self._given_back.clear()
                    await self._something_changes()
        except TimeoutError:
            get_logger().warning("spool_full", held_bytes=self.held_bytes, wanted_bytes=size, free_bytes=self._free())
            raise spool_full() from None

    def give_back(self, size: int) -> None:
        """Give back room for `size` bytes that was taken."""
        self.held_bytes -= size
        self._given_back.set()

    def _has_room(self, size: int) -> bool:
        if self.max_bytes is not None and self.held_bytes + size > self.max_bytes:
            return False
        return self._free() - size >= self._keep_free_bytes

    async def _something_changes(self) -> None:
        waiting = asyncio.ensure_future(self._given_back.wait())
        try:
            await asyncio.wait({waiting}, timeout=_LOOK_AGAIN_SECONDS)
        finally:
            waiting.cancel()


def spool_full() -> MeshError:
    """Return the error for an upload for which there is no room."""
    return MeshError(Fault.UNAVAILABLE, "There is no room for another upload at this moment.", code="spool_full")
