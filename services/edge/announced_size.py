"""How large a file says that it is, by what it is made of outermost: one that is smaller was cut off. Pure.

FFmpeg shortens what a WAV, W64, CAF or AVI file announces to what is there, so that nothing of it shows.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Literal

ReadAt = Callable[[int, int], bytes]
"""Takes an offset and a number of bytes; returns what is there of them."""

_MOST_CHUNKS: Final = 1_000
_MOST_BOXES: Final = 200_000
"""A day of fragments of a second has two boxes each."""

_LEAST_PLACEHOLDER: Final = 0x7FFF_0000
"""Who writes to a pipe says the most that fits into 31 or 32 bits; a file that large is not taken."""

_MOST_BELIEVED: Final = 1 << 40

_WAVE64_RIFF: Final = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"

_ISO_BOXES: Final = frozenset(
    b"PICT emsg free ftyp junk mdat meta mfra moof moov pdin pnot prft sidx skip ssix styp udta uuid wide".split()
)

_EBML: Final = 0x1A45_DFA3
_SEGMENT: Final = 0x1853_8067

_OGG_TAIL_BYTES: Final = 65_307
"""The most that a page takes (RFC 3533, 6)."""


def announced_bytes(read_at: ReadAt, size: int) -> int | None:
    """Return how many bytes a file should have at least; None where it does not say.

    Args:
        read_at: reads the file.
        size: of the file, in bytes.
    """
    head = read_at(0, 40)
    for rule in (_riff, _wave64, _caf, _iso, _matroska, _ogg):
        announced = rule(read_at, head, size)
        if announced is not None:
            return announced
    return None


def mpeg_frame_bytes(head: bytes) -> int | None:
    """Return how long a frame of MPEG audio is, layer II or III, by its first four bytes; None where they do not say.

    Source: ISO/IEC 11172-3, 2.4.2.3, and 13818-3.
    """
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate, frequency, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer not in _KBITS[version == 3] or frequency == 3 or rate in (0, 15):
        return None
    samples = 576 if layer == 1 and version != 3 else 1_152
    hertz = (44_100, 48_000, 32_000)[frequency] // {3: 1, 2: 2, 0: 4}[version]
    return samples // 8 * _KBITS[version == 3][layer][rate - 1] * 1_000 // hertz + padding


# By whether it is MPEG-1, and the layer as the header has it: 1 is III, 2 is II.
_KBITS: Final = {
    True: {
        1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
        2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    },
    False: dict.fromkeys((1, 2), (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)),
}


def _riff(read_at: ReadAt, head: bytes, size: int) -> int | None:
    if head[:4] in (b"RF64", b"BW64") and head[12:16] == b"ds64" and len(head) >= 28:
        return _believed(int.from_bytes(head[20:28], "little") + 8)
    if head[8:12] == b"WAVE":
        return _wave(read_at, "little" if head[:4] == b"RIFF" else "big")
    end = 0
    # An AVI of more than a gigabyte is several of them, one behind the other (OpenDML).
    for _ in range(_MOST_CHUNKS):
        chunk = read_at(end, 8)
        if chunk[:4] not in (b"RIFF", b"RIFX") or len(chunk) < 8:
            break
        told = int.from_bytes(chunk[4:], "little" if chunk[:4] == b"RIFF" else "big")
        if told == 0 or told >= _LEAST_PLACEHOLDER:
            return None
        end += 8 + told + told % 2
        if end > size:
            return end - told % 2
    return end or None


def _wave(read_at: ReadAt, order: Literal["little", "big"]) -> int | None:
    """Return where the samples of a WAV file end: what the file says of itself as a whole is often wrong."""
    end = 12
    for _ in range(_MOST_CHUNKS):
        chunk = read_at(end, 8)
        if len(chunk) < 8:
            break
        told = int.from_bytes(chunk[4:], order)
        if chunk[:4] == b"data":
            return end + 8 + told if 0 < told < _LEAST_PLACEHOLDER else None
        end += 8 + told + told % 2
    return None


def _wave64(read_at: ReadAt, head: bytes, size: int) -> int | None:
    if not head.startswith(_WAVE64_RIFF) or len(head) < 24:
        return None
    return _believed(int.from_bytes(head[16:24], "little"))


def _caf(read_at: ReadAt, head: bytes, size: int) -> int | None:
    if not head.startswith(b"caff"):
        return None
    end = 8
    for _ in range(_MOST_BOXES):
        chunk = read_at(end, 12)
        if len(chunk) < 12:
            break
        told = int.from_bytes(chunk[4:], "big", signed=True)
        if told < 0:
            return None  # up to the end of the file
        end += 12 + told
    return _believed(end)


def _iso(read_at: ReadAt, head: bytes, size: int) -> int | None:
    if head[4:8] not in _ISO_BOXES:
        return None
    return _believed(max(islice(_box_ends(read_at), _MOST_BOXES), default=0))


def _box_ends(read_at: ReadAt) -> Iterator[int]:
    """Yield where the boxes of an MP4 or MOV file end, as far as they are known ones that say it (ISO/IEC 14496-12)."""
    end = 0
    while (box := read_at(end, 16))[4:8] in _ISO_BOXES:
        told, header = int.from_bytes(box[:4], "big"), 8
        if told == 1 and len(box) == 16:
            told, header = int.from_bytes(box[8:], "big"), 16
        if told < header:
            return  # up to the end of the file, or no size
        end += told
        yield end


def _matroska(read_at: ReadAt, head: bytes, size: int) -> int | None:
    position = 0
    for wanted in (_EBML, _SEGMENT):
        element = read_at(position, 12)
        if len(element) < 12 or int.from_bytes(element[:4], "big") != wanted:
            return None
        length = 9 - element[4].bit_length()  # of the size, by its leading zeros (RFC 8794, 4)
        told = int.from_bytes(element[4 : 4 + length], "big") & (1 << 7 * length) - 1
        if length > 8 or told == (1 << 7 * length) - 1:
            return None  # written to a pipe
        position += 4 + length + told
    return _believed(position)


def _ogg(read_at: ReadAt, head: bytes, size: int) -> int | None:
    if not head.startswith(b"OggS"):
        return None
    start = max(0, size - _OGG_TAIL_BYTES)
    tail = read_at(start, _OGG_TAIL_BYTES)
    last = tail.rfind(b"OggS")
    page = tail[last:] if last >= 0 else b""
    if len(page) < 27:
        return None
    count = page[26]
    lacing = page[27 : 27 + count]
    return start + last + 27 + count + sum(lacing) if len(lacing) == count else size + 1


def _believed(told: int) -> int | None:
    return told if 0 < told < _MOST_BELIEVED else None
