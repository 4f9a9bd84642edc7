"""A wire to a PostgreSQL server that can be cut at the worst moment: the server has committed, and nobody learns it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from sqlalchemy import make_url


class CutWire:
    """Passes on what a client and a server say to each other.

    Args:
        host: of the server.
        port: of the server.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self.lose_next_commit = False
        """Whether the connection that commits next is cut before it is told so."""

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until either side hangs up."""
        to_reader, to_writer = await asyncio.open_connection(*self._server)
        cut = asyncio.Event()

        async def there() -> None:
            while chunk := await reader.read(65536):
                if self.lose_next_commit and b"COMMIT" in chunk:
                    self.lose_next_commit = False
                    cut.set()
                to_writer.write(chunk)

        async def back() -> None:
            while chunk := await to_reader.read(65536):
                if cut.is_set():
                    return
                writer.write(chunk)

        tasks = {asyncio.ensure_future(there()), asyncio.ensure_future(back())}
        with contextlib.suppress(ConnectionError):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writer.transport.abort()
        to_writer.transport.abort()


@contextlib.asynccontextmanager
async def cut_wire(url: str) -> AsyncIterator[tuple[CutWire, str]]:
    """Yield a wire to the database at `url`, and the URL at its near end."""
    parsed = make_url(url)
    assert parsed.host is not None
    assert parsed.port is not None
    wire = CutWire(parsed.host, parsed.port)
    server = await asyncio.start_server(wire.connect, "127.0.0.1", 0)
    async with server:
        yield wire, parsed.set(port=server.sockets[0].getsockname()[1]).render_as_string(hide_password=False)
