"""Any number of equal bytes as zlib and gzip pack them, a thousandth of it, made without packing each of them."""

import struct
import zlib
from typing import Final

_PIECE_BYTES: Final = 1024 * 1024


def zlib_of(byte: bytes, count: int) -> bytes:
    """Return `count` times the same byte, packed by zlib."""
    # Adler-32: one more than the sum of the bytes, and the sum of all such sums on the way.
    value = byte[0]
    sums = (count + value * count * (count + 1) // 2) % 65_521, (1 + value * count) % 65_521
    return b"\x78\xda" + _repeated(byte, count) + _deflated(b"", zlib.Z_FINISH) + struct.pack(">HH", *sums)


def gzip_with_zeros(before: bytes, zeros: int, after: bytes) -> bytes:
    """Return some bytes, so many zeros and some more bytes, packed by gzip."""
    packed = _deflated(before) + _repeated(b"\x00", zeros) + _deflated(after, zlib.Z_FINISH)
    checksum = zlib.crc32(before)
    for first in range(0, zeros, _PIECE_BYTES):
        checksum = zlib.crc32(bytes(min(_PIECE_BYTES, zeros - first)), checksum)
    total = len(before) + zeros + len(after)
    tail = struct.pack("<II", zlib.crc32(after, checksum), total & 0xFFFFFFFF)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + packed + tail


def _repeated(byte: bytes, count: int) -> bytes:
    whole, rest = divmod(count, _PIECE_BYTES)
    return _deflated(byte * _PIECE_BYTES) * whole + _deflated(byte * rest)


def _deflated(data: bytes, end: int = zlib.Z_FULL_FLUSH) -> bytes:
    """Return raw deflate that may stand beside other pieces of it: it fills its last byte and looks back at nothing."""
    packer = zlib.compressobj(9, wbits=-15)
    return packer.compress(data) + packer.flush(end)
