import struct
from collections.abc import Callable

import pytest

from services.edge.announced_size import announced_bytes, mpeg_frame_bytes

Media = Callable[..., bytes]

PIPED = 0xFFFF_FFFF


def announced(content: bytes) -> int | None:
    return announced_bytes(lambda offset, size: content[offset : offset + size], len(content))


def wav(data: bytes, told: int, whole: int = 0) -> bytes:
    """Return a file that says that it has `told` bytes of samples, and `whole` in all."""
    return b"RIFF" + struct.pack("<I", whole or told) + b"WAVELIST\3\0\0\0abc\0data" + struct.pack("<I", told) + data


@pytest.mark.parametrize(
    ("container", "codec", "video"),
    [
        ("wav", "pcm_s16le", None),
        ("w64", "pcm_s16le", None),
        ("caf", "pcm_s16be", None),
        ("avi", "libmp3lame", "mpeg4"),
        ("ipod", "aac", None),
        ("mp4", "aac", "mpeg4"),
        ("mov", "pcm_s16le", "mpeg4"),
        ("matroska", "vorbis", "mpeg4"),
        ("webm", "libopus", None),
        ("ogg", "libopus", None),
        ("ogg", "vorbis", None),
    ],
)
def test_what_a_file_announces_is_there_until_it_is_cut(
    container: str, codec: str, video: str | None, media: Media
) -> None:
    rate, layout = (48_000, "mono") if codec == "libopus" else (44_100, "stereo")
    content = media(container, codec, video=video, rate=rate, layout=layout)
    whole = announced(content)
    assert whole is not None
    assert whole <= len(content)
    for percent in (99, 90, 70, 51, 20):
        cut = content[: len(content) * percent // 100]
        told = announced(cut)
        assert told is not None
        assert told > len(cut)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        wav(bytes(100), 0),
        wav(bytes(100), PIPED),
        wav(bytes(100), 0x7FFF_FFFF),
        b"RF64" + bytes(4) + b"WAVEds64" + struct.pack("<IQ", 28, (1 << 64) - 9) + bytes(40),
        b"caff" + bytes(4) + b"data" + struct.pack(">q", -1) + bytes(40),
        b"\0\0\0\x08ftyp\0\0\0\0mdat" + bytes(100),
        b"\0\0\0\x01mdat" + struct.pack(">Q", (1 << 63)) + bytes(100),
        b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7 + bytes(40),
        b"\x1a\x45\xdf\xa3\0\0\0\0\0\0\0\0\0\0\0",
        b"OggS" + bytes(10),
        b"ID3" + bytes(100),
    ],
)
def test_what_says_nothing_is_no_announcement(content: bytes) -> None:
    told = announced(content)
    assert told is None or told <= len(content)


def test_a_wav_is_as_large_as_its_samples_need() -> None:
    assert announced(wav(bytes(100), 100, whole=90_000)) == 132
    assert announced(wav(bytes(40), 100, whole=8)) == 132


def test_a_hostile_file_is_not_walked_for_long() -> None:
    content = (b"RIFF\1\0\0\0xx" + bytes(2)) * 100_000
    reads = 0

    def read_at(offset: int, size: int) -> bytes:
        nonlocal reads
        reads += 1
        return content[offset : offset + size]

    announced_bytes(read_at, len(content))
    assert reads < 5_000


def test_large_files_say_it_elsewhere() -> None:
    ds64 = b"RF64" + struct.pack("<I", PIPED) + b"WAVEds64" + struct.pack("<IQ", 28, 5_000_000_000)
    assert announced(ds64 + bytes(100)) == 5_000_000_008
    assert announced(b"\0\0\0\x08ftyp\0\0\0\x01mdat" + struct.pack(">Q", 9_000) + bytes(100)) == 9_008
    two = b"RIFF" + struct.pack("<I", 4) + b"AVI RIFF" + struct.pack("<I", 400) + b"AVIX"
    assert announced(two) == 12 + 408


def test_a_page_whose_head_is_cut_is_not_whole(media: Media) -> None:
    content = media("ogg", "libopus", rate=48_000)
    cut = content[: content.rindex(b"OggS") + 27]
    told = announced(cut)
    assert told is not None
    assert told > len(cut)


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("mp3", "libmp3lame", rate) for rate in (8_000, 16_000, 22_050, 44_100, 48_000)]
    + [("mp2", "mp2", rate) for rate in (16_000, 44_100, 48_000)],
)
def test_a_frame_of_mpeg_audio_ends_where_the_next_one_begins(
    container: str, codec: str, rate: int, media: Media
) -> None:
    content = media(container, codec, rate=rate)
    tag = 10 + int.from_bytes(content[6:10], "big") if content.startswith(b"ID3") else 0
    position, frames = tag, 0
    while position < len(content):
        size = mpeg_frame_bytes(content[position : position + 4])
        assert size is not None, position
        position += size
        frames += 1
    assert position == len(content)
    assert frames > 20


@pytest.mark.parametrize(
    "head", [b"", b"\xff\xfb", b"TAG\0", b"\xff\xff\xff\xff", b"\xff\xfb\x00\x00", b"\xff\xeb\x90\0"]
)
def test_what_is_no_frame_has_no_length(head: bytes) -> None:
    assert mpeg_frame_bytes(head) is None
