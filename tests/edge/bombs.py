"""Small files that claim, or unpack to, far more than they weigh; written by hand where no encoder would write them."""

import io
import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Final

import av

from tests.edge.zeros import zlib_of

_FLAC_BLOCK: Final = 65_535
"""Most samples of a FLAC frame."""

_OPUS_RATE: Final = 48_000
_OPUS_PACKET_SAMPLES: Final = 5_760
_OPUS_SILENCE: Final = bytes([3 << 3 | 1])
"""A packet of 120 ms: two SILK frames of 60 ms without a byte in either, which is how Opus says nothing (DTX)."""
_PACKETS_A_PAGE: Final = 255


def flac_silence(seconds: float, rate: int = 16_000, announced: float | None = None) -> bytes:
    """Return a FLAC of digital silence: one constant value for 65,535 samples, in 13 bytes.

    Args:
        seconds: how long it is.
        rate: samples a second; at 1 a frame lasts 18 hours.
        announced: how long it says that it is; None for the truth, 0 says nothing.
    """
    samples = round(seconds * rate)
    told = samples if announced is None else round(announced * rate)
    # Block sizes, no frame sizes, then rate, one channel (0), 16 bits (15) and length in 64 bits, and no digest.
    info = struct.pack(">HH6xQ16x", _FLAC_BLOCK, _FLAC_BLOCK, rate << 44 | 15 << 36 | told)
    blocks = [min(_FLAC_BLOCK, samples - first) for first in range(0, samples, _FLAC_BLOCK)]
    frames = b"".join(_flac_frame(number, block) for number, block in enumerate(blocks))
    return b"fLaC\x80" + len(info).to_bytes(3, "big") + info + frames


def _flac_frame(number: int, samples: int) -> bytes:
    # Its size is told at the end of the head, the rate is that of the file; mono, 16 bits.
    head = b"\xff\xf8\x70\x08" + _flac_number(number) + struct.pack(">H", samples - 1)
    head += bytes([_crc(head, 0x07, 8)])
    frame = head + b"\x00" + struct.pack(">h", 0)  # a constant, and its value
    return frame + struct.pack(">H", _crc(frame, 0x8005, 16))


def _flac_number(number: int) -> bytes:
    """Return a number as UTF-8 writes a character of that code."""
    if number < 0x80:
        return bytes([number])
    rest, most = b"", 0x3F
    while number > most:
        rest = bytes([0x80 | number & 0x3F]) + rest
        number >>= 6
        most >>= 1
    return bytes([~(2 * most + 1) & 0xFF | number]) + rest


def opus_silence(seconds: float, announced: float | None = None) -> bytes:
    """Return an Ogg Opus file of packets of one byte that last 120 ms: 63 kB an hour.

    Args:
        seconds: how long it is, up to the next 120 ms.
        announced: where its last page says that it ends; None for the truth.
    """
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, _OPUS_RATE, 0, 0)
    tags = b"OpusTags" + struct.pack("<I4sI", 4, b"bomb", 0)
    pages = [_ogg_page([head], 0, 0, first=True), _ogg_page([tags], 0, 1)]
    packets = -(-round(seconds * _OPUS_RATE) // _OPUS_PACKET_SAMPLES)
    for first in range(0, packets, _PACKETS_A_PAGE):
        until = min(first + _PACKETS_A_PAGE, packets)
        end, last = until * _OPUS_PACKET_SAMPLES, until == packets
        if last and announced is not None:
            end = round(announced * _OPUS_RATE)
        pages.append(_ogg_page([_OPUS_SILENCE] * (until - first), end, len(pages), last=last))
    return b"".join(pages)


def _ogg_page(packets: list[bytes], end: int, number: int, *, first: bool = False, last: bool = False) -> bytes:
    """Return a page of whole packets, each shorter than 255 bytes; `end` is its granule position."""
    before = struct.pack("<4sBBqII", b"OggS", 0, 2 * first + 4 * last, end, 1, number)
    after = bytes([len(packets), *map(len, packets)]) + b"".join(packets)
    return before + struct.pack("<I", _crc(before + bytes(4) + after, 0x04C11DB7, 32)) + after


def wav_claiming(rate: int, channels: int = 1, data_bytes: int = 64_000) -> bytes:
    """Return a silent WAV of 16 bits whose head says this, sense or nonsense."""
    block = channels * 2 & 0xFFFF
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * block & 0xFFFFFFFF, block, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", data_bytes)
    return b"RIFF" + struct.pack("<I", len(body) + data_bytes) + body + bytes(data_bytes)


def film_of_one_picture(container: str, side: int, sound: tuple[float, float] | None = (0.0, 1.0)) -> bytes:
    """Return a film of a single black picture, `side` by `side` pixels, in a thousandth of its size.

    Whoever looks at the picture unpacks 8 bytes a pixel. At 16,000 FFmpeg does so while it probes: 2 GB, five
    seconds. Of 20,000 it says itself that this is too large.

    Args:
        container: PyAV's name of it.
        side: width and height in pixels.
        sound: (start, end) in seconds of the silence beside it; None for a film without any sound track.
    """
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        video = output.add_mux_stream("png", rate=1, width=side, height=side)
        audio = output.add_stream("aac", rate=16_000, layout="mono") if sound is not None else None
        picture = av.Packet(_black_png(side))
        picture.stream, picture.time_base, picture.is_keyframe = video, Fraction(1), True
        picture.pts = picture.dts = 0
        picture.duration = 1
        output.mux(picture)
        if audio is not None and sound is not None:
            for frame in _silence(*sound):
                output.mux(audio.encode(frame))
            output.mux(audio.encode(None))
    return target.getvalue()


def _silence(start: float, end: float) -> Iterator[av.AudioFrame]:
    for first in range(round(start * 16_000), round(end * 16_000), 1024):
        frame = av.AudioFrame(format="s16", layout="mono", samples=1024)
        frame.planes[0].update(bytes(2048))
        frame.sample_rate, frame.time_base, frame.pts = 16_000, Fraction(1, 16_000), first
        yield frame


@cache
def _black_png(side: int) -> bytes:
    head = struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 0)  # 16 bits of red, green, blue and opacity
    chunks = (b"IHDR", head), (b"IDAT", zlib_of(b"\x00", side * (side * 8 + 1))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def matroska_of_one_packet(
    samples: int, rate: int, *, packed: bool, picture_side: int = 0, announced: bool = True
) -> bytes:
    """Return a Matroska file of silence, 8 bits a sample, all of it in one packet.

    Args:
        samples: how many; FFmpeg unpacks up to 10 million.
        rate: samples a second.
        packed: whether zlib packs the packet (ContentCompression), to a thousandth.
        picture_side: width and height of a picture beside the sound; 0 for no picture.
        announced: whether it says how long it is; what is recorded live often does not.
    """
    packing = _ebml("6D80", _ebml("6240", _ebml("5034", _ebml_number("4254", 0)))) if packed else b""
    shape = _ebml("E1", _ebml("B5", struct.pack(">d", rate)) + _ebml_number("9F", 1) + _ebml_number("6264", 8))
    tracks = _matroska_track(1, 2, b"A_PCM/INT/LIT", packing + shape)
    blocks = _ebml("A3", b"\x81\x00\x00\x80" + (zlib_of(b"\x00", samples) if packed else bytes(samples)))
    if picture_side:
        tracks += _matroska_picture_track(2, picture_side)
        blocks += _ebml("A3", b"\x82\x00\x00\x80" + _black_png(picture_side))
    duration = _ebml("4489", struct.pack(">d", 1000 * samples / rate)) if announced else b""
    info = _ebml("1549A966", _ebml_number("2AD7B1", 1_000_000) + duration)
    cluster = _ebml("1F43B675", _ebml_number("E7", 0) + blocks)
    head = _ebml("1A45DFA3", _ebml("4282", b"matroska"))
    return head + _ebml("18538067", info + _ebml("1654AE6B", tracks) + cluster)


def _matroska_picture_track(number: int, side: int) -> bytes:
    bitmap = struct.pack("<IiiHH4sIiiII", 40, side, side, 1, 24, b"MPNG", 0, 0, 0, 0, 0)
    size = _ebml("E0", _ebml_number("B0", side) + _ebml_number("BA", side))
    return _matroska_track(number, 1, b"V_MS/VFW/FOURCC", _ebml("63A2", bitmap) + size)


def _matroska_track(number: int, kind: int, codec: bytes, more: bytes) -> bytes:
    names = _ebml_number("D7", number) + _ebml_number("73C5", number) + _ebml_number("83", kind) + _ebml("86", codec)
    return _ebml("AE", names + more)


def _ebml(name: str, content: bytes) -> bytes:
    return bytes.fromhex(name) + (1 << 56 | len(content)).to_bytes(8, "big") + content


def _ebml_number(name: str, value: int) -> bytes:
    return _ebml(name, value.to_bytes(8, "big"))


def mp4_claiming(samples: int) -> bytes:
    """Return an MP4 whose index says in a few bytes that it has so many AAC frames, with hardly any behind it."""
    seconds = samples * 1024 // 16_000
    told = min(seconds * 16_000, 0x7FFFFFFF)
    entry = _box("mp4a", bytes(7) + b"\x01" + bytes(8) + struct.pack(">HHIHH", 1, 16, 0, 16_000, 0) + _esds())
    index = _table("stsd", 1, entry) + _table("stts", 1, struct.pack(">II", samples, 1024))
    index += _table("stsc", 1, struct.pack(">III", 1, samples, 1))
    index += _box("stsz", struct.pack(">4xII", 4, samples)) + _table("stco", 1, struct.pack(">I", 32))
    sound = _box("mdhd", struct.pack(">12xII4x", 16_000, told)) + _box("hdlr", bytes(8) + b"soun" + bytes(13))
    sound += _box("minf", _box("smhd", bytes(8)) + _box("stbl", index))
    track = _box("tkhd", struct.pack(">B2xB8xI4xI60x", 0, 1, 1, min(seconds, told))) + _box("mdia", sound)
    film = _box("mvhd", struct.pack(">12xII80x", 1, min(seconds, told))) + _box("trak", track)
    return _box("ftyp", b"isomiso2" + bytes(4)) + _box("mdat", bytes(4096)) + _box("moov", film)


def _esds() -> bytes:
    """Return the description of AAC-LC, 16 kHz, mono."""
    decoder = b"\x40\x15" + bytes(11) + b"\x05\x02\x14\x08"
    stream = bytes(3) + b"\x04" + bytes([len(decoder)]) + decoder + b"\x06\x01\x02"
    return _box("esds", bytes(4) + b"\x03" + bytes([len(stream)]) + stream)


def mov_with_packed_index(unpacked_bytes: int) -> bytes:
    """Return a QuickTime file whose index is so many zeros, packed by zlib (`cmov`)."""
    packed = struct.pack(">I", unpacked_bytes) + zlib_of(b"\x00", unpacked_bytes)
    index = _box("cmov", _box("dcom", b"zlib") + _box("cmvd", packed))
    return _box("ftyp", b"qt  " + bytes(4)) + _box("moov", index)


def _table(kind: str, entries: int, content: bytes) -> bytes:
    return _box(kind, struct.pack(">4xI", entries) + content)


def _box(kind: str, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind.encode() + content


def packed_title(unpacked_bytes: int) -> bytes:
    """Return an ID3v2.4 tag, to go before an MP3, with a title of so many bytes (up to 2^28), packed by zlib."""
    # Every byte is a 3: the first one says that UTF-8 follows, the others are characters of it.
    text = _seven_bits(unpacked_bytes) + zlib_of(b"\x03", unpacked_bytes)
    frame = b"TIT2" + _seven_bits(len(text)) + b"\x00\x09" + text
    return b"ID3\x04\x00\x00" + _seven_bits(len(frame)) + frame


def _seven_bits(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    """Return the checksum that takes the highest bit first and begins with 0, as those of FLAC and Ogg do."""
    table, mask, value = _crc_table(polynomial, bits), (1 << bits) - 1, 0
    for byte in data:
        value = (value << 8 & mask) ^ table[value >> bits - 8 ^ byte]
    return value


@cache
def _crc_table(polynomial: int, bits: int) -> tuple[int, ...]:
    mask, top = (1 << bits) - 1, 1 << bits - 1
    table = []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
        table.append(value)
    return tuple(table)
