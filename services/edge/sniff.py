"""What a file looks like from its first bytes, in words for the one who sent it.

Not a probe: FFmpeg decides what can be decoded. This only names the usual wrong files (a picture, a document,
a page of text), so that the refusal says what happened. The signatures are those of the formats' own
specifications, as collected in the database of file(1).
"""

import re
from typing import Final

HEAD_BYTES: Final = 4096
"""How much of the file's beginning is looked at."""

TAIL_BYTES: Final = 160
"""How much of the file's end is looked at."""

_APE_HAS_HEADER: Final = 1 << 31

MP4: Final = "an MP4 or MOV file"
WAV: Final = "a WAV file"

_OTHER: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF87a", "a GIF image"),
    (0, b"GIF89a", "a GIF image"),
    (8, b"WEBPVP8", "a WebP image"),
    (0, b"II*\x00", "a TIFF image"),
    (0, b"MM\x00*", "a TIFF image"),
    (4, b"ftypheic", "a HEIC image"),
    (4, b"ftypmif1", "a HEIF image"),
    (4, b"ftypavif", "an AVIF image"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive or an Office document"),
    (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
    (0, b"\x1f\x8b\x08", "a gzip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"SQLite format 3\x00", "a database"),
    (0, b"\x03ds2", "a DS2 dictation, which only its maker's program opens: export it as WAV or MP3"),
    (0, b"\x07ds2", "a DS2 dictation, which only its maker's program opens: export it as WAV or MP3"),
    (0, b"\x01enc", "an encrypted DS2 dictation: export it as WAV or MP3"),
    (0, b"MThd", "a MIDI file, which holds notes and no recording"),
)

_MEDIA: Final[tuple[tuple[int, bytes, str], ...]] = (
    (8, b"WAVE", WAV),
    (8, b"AVI ", "an AVI file"),
    (4, b"ftyp", MP4),
    (4, b"moov", MP4),
    (0, b"fLaC", "a FLAC file"),
    (0, b"OggS", "an Ogg or Opus file"),
    (0, b"ID3", "an MP3 file"),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM file"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a WMA or WMV file"),
    (0, b"\x00\x00\x01\xba", "an MPEG file"),
)

_TEXT_KINDS: Final[tuple[tuple[bytes, str], ...]] = (
    (rb"#EXTM3U|\[playlist\]", "a playlist: send the recording itself"),
    (rb"<!doctype html|<html", "a web page"),
    (rb"<\?xml|<svg|<mpd", "an XML document"),
    (rb"[\[{]\s*[\"{\[]", "JSON text"),
    (rb"[a-z][a-z0-9+.-]{1,15}://\S+\s*\Z", "an address (URL): send the recording itself"),
    (rb"version https://git-lfs", "a Git LFS pointer: send the recording itself"),
)

_STRINGIFIED_OBJECT = re.compile(rb"\s*\[object (\w+)\]\s*\Z")
_CONTROL_BYTES = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def stringified_object(head: bytes) -> str | None:
    """Return the class name when the content is JavaScript's `[object FormData]` or its like, else None."""
    match = _STRINGIFIED_OBJECT.match(head[:64]) if len(head) <= 64 else None
    return match[1].decode("ascii", "replace") if match else None


def is_text(head: bytes) -> bool:
    """Say whether `head`, a file's first bytes, is plain text (UTF-8, or UTF-16 with its mark)."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _decodes(head[: len(head) & ~1], "utf-16")
    if _CONTROL_BYTES.search(head):
        return False
    # The head may end inside a character: up to 3 bytes of it are forgiven.
    return any(_decodes(head[: len(head) - cut], "utf-8") for cut in range(4))


def other_kind(head: bytes) -> str | None:
    """Return what the file is, with its article, when it surely is no recording; None when it may be one."""
    for offset, magic, name in _OTHER:
        if head.startswith(magic, offset):
            return name
    if not head or not is_text(head):
        return None
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for pattern, name in _TEXT_KINDS:
        if re.match(pattern, start, re.IGNORECASE):
            return name
    return "plain text"


def tag_bytes(head: bytes) -> int:
    """Return how long the ID3v2 tag is with which the file begins; 0 where there is none."""
    if len(head) < 10 or not head.startswith(b"ID3"):
        return 0
    # Seven bits a byte, the first one the highest (ID3v2.4, 6.2).
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def tags_behind(tail: bytes) -> int:
    """Return how many bytes of tags the file ends with: APEv2 or Lyrics3v2, and an ID3v1 behind it; 0 where there is
    none of the first two.

    Args:
        tail: the file's last `TAIL_BYTES`, or all of it.
    """
    id3v1 = 128 if tail[-128:].startswith(b"TAG") and len(tail) >= 128 else 0
    end = len(tail) - id3v1
    footer = tail[max(0, end - 32) : end]
    if footer.startswith(b"APETAGEX") and len(footer) == 32:
        size, flags = int.from_bytes(footer[12:16], "little"), int.from_bytes(footer[20:24], "little")
        return id3v1 + size + (32 if flags & _APE_HAS_HEADER else 0)
    if footer.endswith(b"LYRICS200") and footer[-15:-9].isdigit():
        return id3v1 + int(footer[-15:-9]) + 15
    return 0


def media_kind(head: bytes) -> str | None:
    """Return which media file it began as, with its article; None when no known one."""
    return next((name for offset, magic, name in _MEDIA if head.startswith(magic, offset)), None)


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return bool(text)
