import pytest

from services.edge import sniff


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00", "a PNG image"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "a JPEG image"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "a WebP image"),
        (b"\x00\x00\x00\x18ftypheic", "a HEIC image"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
        (b"PK\x03\x04\x14\x00", "a ZIP archive or an Office document"),
        (b"MThd\x00\x00\x00\x06", "a MIDI file, which holds notes and no recording"),
        (b"\x03ds2\x00\x00", "a DS2 dictation, which only its maker's program opens: export it as WAV or MP3"),
        (b"\x01enc\x00\x00", "an encrypted DS2 dictation: export it as WAV or MP3"),
        (b"<!DOCTYPE html>\n<html>", "a web page"),
        (b"  <HTML lang=en>", "a web page"),
        (b'<?xml version="1.0"?>', "an XML document"),
        (b'{"error": "not found"}', "JSON text"),
        (b"\xef\xbb\xbf#EXTM3U\n", "a playlist: send the recording itself"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer: send the recording itself"),
        ("Grüße aus Köln".encode(), "plain text"),
        ("Grüße aus Köln".encode("utf-16"), "plain text"),
        (b"x", "plain text"),
    ],
)
def test_usual_wrong_files_are_named(head: bytes, words: str) -> None:
    assert sniff.other_kind(head) == words


@pytest.mark.parametrize(
    "head",
    [
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"\xff\xfb\x90\x64\x00",
        b"\xff\xf1\x50\x80\x02",
        b"ID3\x04\x00\x00",
        b"\x00\x00\x00\x18ftypM4A ",
        b"OggS\x00\x02",
        bytes(100),
        b"",
    ],
)
def test_what_may_be_a_recording_is_left_to_ffmpeg(head: bytes) -> None:
    assert sniff.other_kind(head) is None


def test_text_cut_inside_a_character_is_text() -> None:
    head = ("a" * 4_095 + "€").encode()[: sniff.HEAD_BYTES]
    assert sniff.is_text(head)


def test_a_stringified_object_is_recognised_alone() -> None:
    assert sniff.stringified_object(b"[object FormData]") == "FormData"
    assert sniff.stringified_object(b" [object Blob]\r\n") == "Blob"
    assert sniff.stringified_object(b"[object FormData] and more") is None
    assert sniff.stringified_object(b"[object FormData]" + b" " * 100) is None


def test_media_files_are_named_by_their_beginning() -> None:
    assert sniff.media_kind(b"\x00\x00\x00\x20ftypisom") == sniff.MP4
    assert sniff.media_kind(b"fLaC\x00") == "a FLAC file"
    assert sniff.media_kind(b"\x00\x00\x00\x00") is None
