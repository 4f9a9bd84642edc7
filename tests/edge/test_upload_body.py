import asyncio
import warnings

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError

from services.edge.pace import Pace
from services.edge.patience import Patience
from services.edge.upload_body import UploadBody
from services.edge.upload_head import FRAME_BYTES
from services.runtime.errors import Fault, MeshError

MOST = 100_000


class Notes(Pace):
    """Notes what it is told, and holds nobody back."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.taken: list[int] = []
        self.waited: list[int] = []

    def charge(self, size: int) -> float:
        self.taken.append(size)
        return 0.0

    async def took(self, size: int) -> None:
        self.waited.append(size)
        self.charge(size)


def body_of(*pieces: bytes, pace: Pace | None = None, ended: bool = True) -> UploadBody:
    """Return a body of which all these pieces have come."""
    loop = asyncio.get_running_loop()
    connection = BaseProtocol(loop)
    connection.connection_made(asyncio.Transport())
    content = StreamReader(connection, limit=2**24, loop=loop)
    for piece in pieces:
        content.feed_data(piece)
    if ended:
        content.feed_eof()
    return UploadBody(content, MOST, 90_000, Patience(0.05), pace or Notes())


async def test_it_reads_as_the_stream_does() -> None:
    body = body_of(b"a line\nfour", b" more\nand ", b"the rest")

    assert await body.readline() == b"a line\n"
    assert await body.read(4) == b"four"
    assert await body.readline() == b" more\n"
    assert not body.at_eof()
    assert await body.readany() == b"and the rest"
    assert body.at_eof()
    assert await body.read(10) == b""


@pytest.mark.parametrize("way", ["read", "readany", "readline"])
async def test_more_than_may_come_is_refused_however_it_is_read(way: str) -> None:
    body = body_of(b"x\n" * (MOST // 2), b"x")
    reading = {"read": lambda: body.read(10), "readany": body.readany, "readline": body.readline}[way]

    with pytest.raises(MeshError, match="90 kB") as refused:
        await reading()

    assert refused.value.fault == Fault.TOO_LARGE


async def test_as_much_as_may_come_is_not_refused_when_some_is_taken_back() -> None:
    pace = Notes()
    body = body_of(bytes(MOST), pace=pace)

    for _ in range(3):
        whole = await body.read(MOST)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            body.unread_data(whole)

    assert await body.read(MOST) == bytes(MOST)
    assert pace.taken == [MOST, 1024, 1024, 1024]


async def test_a_short_line_costs_as_much_as_it_keeps_the_loop() -> None:
    pace = Notes()
    body = body_of(b"x\n" * 1000, pace=pace)

    for _ in range(1000):
        await body.readline()

    assert pace.taken == [2000, *[1024] * 999]


async def test_a_short_recording_does_not_wait_behind_others() -> None:
    pace = Notes()
    body = body_of(bytes(MOST), pace=pace)
    while await body.read(1_000):
        pass
    assert pace.waited == []


async def test_a_long_one_and_many_short_lines_wait() -> None:
    pace = Notes()
    body = body_of(b"x\n" * 600, pace=pace)
    for _ in range(600):
        await body.readline()
    assert len(pace.waited) == 600 - 511, "the first line has paid for all that have come"


async def test_what_surrounds_the_values_of_a_form_is_not_endless() -> None:
    body = body_of(b"x\r\n" * (FRAME_BYTES // 3 + 1))

    for _ in range(FRAME_BYTES // 3):
        await body.readline()
    with pytest.raises(ValueError, match="around the values"):
        await body.readline()


async def test_a_line_is_not_endless() -> None:
    with pytest.raises(HttpProcessingError):
        await body_of(b"x" * 9_000).readline()


@pytest.mark.parametrize("way", ["read", "readany", "readline"])
async def test_a_sender_that_stops_is_not_waited_for(way: str) -> None:
    body = body_of(ended=False)
    reading = {"read": lambda: body.read(10), "readany": body.readany, "readline": body.readline}[way]

    with pytest.raises(TimeoutError):
        await reading()
