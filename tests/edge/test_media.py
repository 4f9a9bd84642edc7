"""What the edge makes of what a decoder says, whatever that is; real decoders are in test_decoders.py."""

import asyncio
import json
import signal
from dataclasses import replace

import pytest

from services.edge import decoder_protocol as protocol
from services.edge.life_line import LifeLine
from services.edge.media import DecodeLimits, Decoding
from services.runtime.errors import Fault, MeshError


async def whole(decoding: Decoding) -> float:
    """Return the seconds of PCM that came out."""
    return sum([len(chunk.pcm) async for chunk in decoding.chunks()]) / 32_000


class FakeLine(LifeLine):
    """The life line of a decoder that is none.

    Args:
        status: its exit status.
    """

    def __init__(self, status: int | None = 0) -> None:
        self._status = status
        self.yielded = 0

    def let_others_go_first(self) -> None:
        self.yielded += 1

    async def ended(self) -> int | None:
        return self._status


def packed(*frames: tuple[bytes, bytes] | tuple[bytes, bytes, int]) -> bytes:
    """Return frames as they go through the pipe: kind, payload, and the channel where it is not the first."""
    return b"".join(
        protocol.FRAME_HEADER.pack(kind, more[0] if more else 0, len(payload)) + payload
        for kind, payload, *more in frames
    )


def impostor(said: bytes, status: int | None = 0, *, separate: bool = False) -> Decoding:
    """Return a decoding whose decoder has written what it liked, as one that was taken over may do, and ended."""
    frames = asyncio.StreamReader()
    frames.feed_data(said)
    frames.feed_eof()
    return Decoding(frames, FakeLine(status), 1, DecodeLimits(stall_seconds=10), separate=separate)


GOOD = {
    "duration": 1.0,
    "container": "wav",
    "codec": "x",
    "sample_rate": 1,
    "channels": 1,
    "has_video": False,
    "is_guessed": False,
    "is_filtered": True,
}
PROBE = (b"i", json.dumps(GOOD).encode())


STEREO = (b"i", json.dumps({**GOOD, "channels": 2}).encode())


@pytest.mark.parametrize(
    "said",
    [
        packed((b"a", b"\0\0")),
        packed((b"i", b"{")),
        packed((b"i", json.dumps({**GOOD, "duration": "inf"}).encode())),
        packed((b"i", b'{"duration": 1}')),
        packed((b"i", json.dumps({**GOOD, "sample_rate": float("inf")}).encode())),
        packed((b"i", b'{"duration": ' + b"9" * 400 + b"}")),
        packed((b"i", b"[" * 20_000)),
        packed(PROBE, (b"d", b"[" * 20_000)),
        packed(PROBE, (b"e", b"[" * 20_000)),
        packed(PROBE, (b"a", b"\0\0\0")),
        packed(PROBE, (b"a", b"\0\0", 1)),
        packed(STEREO, (b"a", b"\0\0", 1)),
        packed(PROBE, (b"z", b"")),
        packed(PROBE, (b"d", b"[]")),
        packed(PROBE, (b"d", b'{"warnings": 3}')),
        packed(PROBE, (b"e", b"[]")),
        packed(PROBE, (b"e", b'{"code": "free_credits", "message": "x"}')),
        b"a\0" + b"\xff" * 4 + bytes(100),
    ],
)
async def test_a_decoder_that_breaks_the_protocol_is_refused(said: bytes) -> None:
    with pytest.raises(MeshError, match="could not be decoded") as caught:
        await whole(impostor(said))
    assert caught.value.fault is Fault.INVALID


@pytest.mark.parametrize(
    "said",
    [
        packed(PROBE),
        packed((b"i", json.dumps({**GOOD, "channels": 200}).encode())),
        packed(STEREO, (b"a", b"\0\0", 2)),
    ],
)
async def test_channels_are_no_more_and_no_less_than_were_asked_for(said: bytes) -> None:
    with pytest.raises(MeshError, match="could not be decoded"):
        await whole(impostor(said, separate=True))


@pytest.mark.parametrize("status", [-signal.SIGSEGV, -signal.SIGXCPU, protocol.EXIT_DECODING_FAILED])
async def test_a_decoder_that_ends_by_itself_is_refused(status: int) -> None:
    with pytest.raises(MeshError, match="could not be decoded"):
        await whole(impostor(packed(PROBE), status))


async def test_a_decoder_that_cannot_begin_is_our_fault() -> None:
    with pytest.raises(RuntimeError, match="status 1"):
        await impostor(b"", 1).probe()


async def test_a_file_that_trickles_is_given_up() -> None:
    """A decoder that says a little now and then is no better than one that says nothing."""
    frames, life = asyncio.StreamReader(), FakeLine()
    decoding = Decoding(frames, life, 1, DecodeLimits(stall_seconds=0.3))
    frames.feed_data(packed(PROBE))

    async def trickle() -> None:
        while True:
            frames.feed_data(packed((b"a", bytes(32))))
            await asyncio.sleep(0.1)

    trickling = asyncio.create_task(trickle())
    with pytest.raises(MeshError, match="could not be decoded"):
        await whole(decoding)
    trickling.cancel()
    assert decoding.decoded_seconds < 0.01


async def test_a_decoder_that_closes_its_pipe_and_lives_on_is_given_up() -> None:
    class Silent(FakeLine):
        async def ended(self) -> int | None:
            await asyncio.sleep(60)
            return 0

    frames = asyncio.StreamReader()
    frames.feed_data(packed(PROBE))
    frames.feed_eof()
    async with asyncio.timeout(5):
        with pytest.raises(MeshError, match="could not be decoded"):
            await whole(Decoding(frames, Silent(), 1, DecodeLimits(stall_seconds=0.1)))


async def test_a_decoder_of_a_long_recording_lets_others_go_first() -> None:
    for seconds, times in ((100, 0), (200, 1)):
        frames, line = asyncio.StreamReader(), FakeLine()
        piece = (b"a", bytes(32_000))
        frames.feed_data(packed(PROBE, *[piece] * seconds, (b"d", b'{"warnings": []}')))
        assert await whole(Decoding(frames, line, 1, DecodeLimits())) == seconds
        assert line.yielded == times


def test_cpu_time_grows_with_the_allowed_length() -> None:
    limits = DecodeLimits(max_seconds=600)
    assert limits.job(0).cpu_seconds == 120
    assert replace(limits, max_seconds=6_000).job(0).cpu_seconds == 660
    assert replace(limits, cpu_seconds=5).job(0).cpu_seconds == 5


def test_memory_goes_with_the_size_of_the_file_up_to_a_limit() -> None:
    limits = DecodeLimits(memory_bytes=100, most_index_bytes=60)
    assert [limits.job(size).memory_bytes for size in (0, 20, 40, 10**9)] == [100, 130, 160, 160]
