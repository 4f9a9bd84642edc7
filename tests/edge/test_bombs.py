"""That the bombs are what they claim: a recording that is refused for a mistake of ours in it would prove nothing."""

import gzip
import io
import zlib
from collections.abc import Callable

import av
import pytest

from tests.edge import bombs
from tests.edge.zeros import gzip_with_zeros, zlib_of


def seconds_of(content: bytes) -> float:
    with av.open(io.BytesIO(content)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


@pytest.mark.parametrize("count", [0, 1, 3 * 1024 * 1024 + 5])
def test_repeated_bytes_are_packed_as_zlib_and_gzip_pack_them(count: int) -> None:
    assert zlib.decompress(zlib_of(b"q", count)) == b"q" * count
    assert gzip.decompress(gzip_with_zeros(b"abc", count, b"xyz")) == b"abc" + bytes(count) + b"xyz"


@pytest.mark.parametrize(
    "content",
    [
        bombs.flac_silence(300),
        bombs.flac_silence(300, rate=100, announced=0),
        bombs.opus_silence(300),
        bombs.wav_claiming(100, data_bytes=60_000),
        bombs.matroska_of_one_packet(300_000, 1_000, packed=False),
        bombs.matroska_of_one_packet(300_000, 1_000, packed=True),
    ],
    ids=["flac", "flac that says nothing", "opus", "wav", "matroska", "packed matroska"],
)
def test_a_long_recording_is_as_long_as_it_says(content: bytes) -> None:
    assert seconds_of(content) == pytest.approx(300, abs=0.2)


@pytest.mark.parametrize(
    "film",
    [
        *(bombs.film_of_one_picture(container, 500, sound=None) for container in ("mp4", "mov", "avi")),
        bombs.matroska_of_one_packet(8_000, 8_000, packed=False, picture_side=500),
    ],
    ids=["mp4", "mov", "avi", "matroska"],
)
def test_a_picture_unpacks_to_eight_bytes_a_pixel(film: bytes) -> None:
    with av.open(io.BytesIO(film)) as container:
        (picture,) = container.decode(video=0)

    assert (picture.width, picture.height, picture.format.name) == (500, 500, "rgba64be")


def test_an_index_claims_more_frames_than_there_are() -> None:
    with av.open(io.BytesIO(bombs.mp4_claiming(10_000))) as container:
        assert container.streams.audio[0].frames == 10_000


def test_a_title_unpacks_to_its_letters(media: Callable[..., bytes]) -> None:
    titled = bombs.packed_title(1_000_000) + media("mp3", "libmp3lame", spans=((0.0, 0.5),))
    with av.open(io.BytesIO(titled)) as container:
        assert len(container.metadata["title"]) == 999_999
