"""A decoder's life as its server tells of it, and the edge's way to end it."""

import asyncio
import socket
from contextlib import suppress

from services.edge import decoder_protocol as protocol


class LifeLine:
    """The line to the server about one decoder.

    Args:
        line: our end, non-blocking; this object owns it from now on.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    async def begun(self) -> int | None:
        """Return its process id, when it has one; None when it was not begun."""
        return await self._number()

    async def ended(self) -> int | None:
        """Wait until it has ended, and return its exit status; None when nobody can tell any more."""
        return await self._number()

    def let_others_go_first(self) -> None:
        """Have its priority lowered."""
        with suppress(OSError):  # it may have ended
            self._line.send(protocol.YIELD)

    async def end(self, seconds: float) -> None:
        """Have it killed if it lives, and wait until it is gone.

        Args:
            seconds: how long at most.

        Raises:
            TimeoutError: nobody says that it is gone.
        """
        try:
            async with asyncio.timeout(seconds):
                self._line.shutdown(socket.SHUT_WR)
                while await self._number() is not None:
                    pass
        except TimeoutError:
            raise
        except OSError:
            pass  # its server is gone, and all decoders with it
        finally:
            self._line.close()

    async def _number(self) -> int | None:
        told = b""
        while len(told) < protocol.LIFE.size:
            try:
                piece = await asyncio.get_running_loop().sock_recv(self._line, protocol.LIFE.size - len(told))
            except ConnectionError:
                return None
            if not piece:
                return None
            told += piece
        return int(protocol.LIFE.unpack(told)[0])
