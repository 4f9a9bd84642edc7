"""The body of an upload: the one place through which every byte of it comes, whatever the byte is part of."""

from collections.abc import Awaitable

from aiohttp import StreamReader

from services.edge.pace import Pace
from services.edge.patience import Patience
from services.edge.spool import too_large
from services.edge.upload_head import FRAME_BYTES

_LINE_BYTES = 8190
"""Longest line; what aiohttp allows a line of a part's head. Longer ones are put together at quadratic cost."""

_READ_BYTES = 1024
"""What a read costs at least, in bytes of the pace: a line of two bytes keeps the event loop as long as a kilobyte."""

_UNPACED_BYTES = 512 * 1024
"""Of one body: a short recording does not queue behind a long one, which waits for both."""


class UploadBody:
    """Reads a body as a `StreamReader` does, of which it has what `aiohttp.MultipartReader` calls.

    A form is read by lines where its parts are told apart and by pieces where they have their values. So the lines are
    all that surrounds the values: boundaries, heads of parts, what stands before the first part and after the last.

    Args:
        content: the body as it comes.
        most_bytes: of all of it.
        max_bytes: largest recording that is taken, to be told to who sends more.
        patience: with its sender.
        pace: of all uploads.
    """

    def __init__(self, content: StreamReader, most_bytes: int, max_bytes: int, patience: Patience, pace: Pace) -> None:
        self._content = content
        self._most_bytes = most_bytes
        self._max_bytes = max_bytes
        self._patience = patience
        self._pace = pace
        self._came_bytes = 0
        self._line_bytes = 0
        self._cost = 0

    async def read(self, size: int) -> bytes:
        """Return what there is, up to `size` bytes; nothing at the end.

        Raises:
            MeshError: TOO_LARGE when more has come than may.
            TimeoutError: the sender takes too long.
        """
        return await self._take(self._content.read(size))

    async def readany(self) -> bytes:
        """Return what there is; as `read`."""
        return await self._take(self._content.readany())

    async def readline(self, *, max_line_length: int = _LINE_BYTES) -> bytes:
        """Return a line, or what is left without its end; as `read`.

        Raises:
            ValueError: there are too many lines for a form.
            HttpProcessingError: the line is too long.
        """
        line = await self._take(self._content.readline(max_line_length=max_line_length))
        self._line_bytes += len(line)
        if self._line_bytes > FRAME_BYTES:
            raise ValueError("too much around the values of a form")
        return line

    def at_eof(self) -> bool:
        """Say whether all has been read."""
        return self._content.at_eof()

    def unread_data(self, data: bytes) -> None:
        """Take back what was read too much; it is not counted again."""
        self._content.unread_data(data)

    async def _take(self, reading: Awaitable[bytes]) -> bytes:
        chunk = await self._patience.with_(reading)
        # What has come and waits to be read counts as well: what was read is told twice where some is taken back.
        came = self._content.total_bytes - self._came_bytes
        self._came_bytes += came
        if self._came_bytes > self._most_bytes:
            raise too_large(self._max_bytes)
        cost = max(came, _READ_BYTES)
        self._cost += cost
        if self._cost > _UNPACED_BYTES:
            await self._pace.took(cost)
        else:
            self._pace.charge(cost)
        return chunk
