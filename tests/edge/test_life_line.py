import asyncio
import socket
from collections.abc import Iterator

import pytest

from services.edge.decoder_protocol import LIFE, YIELD
from services.edge.life_line import LifeLine


@pytest.fixture
def server() -> Iterator[tuple[LifeLine, socket.socket]]:
    """Give a line, and the server's end of it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        yield LifeLine(ours), theirs
    ours.close()


async def test_a_decoder_is_begun_and_ended(server: tuple[LifeLine, socket.socket]) -> None:
    line, theirs = server
    theirs.send(LIFE.pack(77) + LIFE.pack(-9))
    assert (await line.begun(), await line.ended()) == (77, -9)


async def test_a_number_may_come_in_pieces(server: tuple[LifeLine, socket.socket]) -> None:
    line, theirs = server
    begun = asyncio.ensure_future(line.begun())
    for byte in LIFE.pack(1_234_567):
        theirs.send(bytes([byte]))
        await asyncio.sleep(0)
    assert await begun == 1_234_567


async def test_nobody_can_tell_when_the_server_is_gone(server: tuple[LifeLine, socket.socket]) -> None:
    line, theirs = server
    theirs.close()
    assert await line.begun() is None
    line.let_others_go_first()
    await line.end(5)


async def test_ending_waits_until_the_decoder_is_gone(server: tuple[LifeLine, socket.socket]) -> None:
    line, theirs = server
    ending = asyncio.ensure_future(line.end(5))
    await asyncio.sleep(0.01)
    assert theirs.recv(1) == b"", "it is asked for"
    assert not ending.done()
    theirs.send(LIFE.pack(-9))
    theirs.close()
    await ending


async def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(server: tuple[LifeLine, socket.socket]) -> None:
    with pytest.raises(TimeoutError):
        await server[0].end(0.05)


async def test_priority_is_asked_for_with_a_byte(server: tuple[LifeLine, socket.socket]) -> None:
    line, theirs = server
    line.let_others_go_first()
    assert theirs.recv(10) == YIELD
