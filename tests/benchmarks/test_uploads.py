import io
import wave

import pytest

from benchmarks.uploads import Upload


def sent(upload: Upload) -> tuple[str, bytes]:
    """Return head and body as they go over the wire."""
    head, _, body = b"".join(piece for piece, _ in upload.pieces()).partition(b"\r\n\r\n")
    return head.decode(), body


@pytest.mark.parametrize("size", [44, 45, 1_000_000, 2_500_001])
def test_an_upload_is_a_wav_file_to_the_byte(size: int) -> None:
    upload = Upload("http://127.0.0.1:1", "key", size, raw=True)
    head, body = sent(upload)
    assert f"Content-Length: {size}" in head
    assert len(body) == size == sum(file_bytes for _, file_bytes in upload.pieces())
    with wave.open(io.BytesIO(body)) as file:
        assert (file.getframerate(), file.getnchannels()) == (48_000, 2)


def test_a_form_announces_all_of_itself() -> None:
    head, body = sent(Upload("http://127.0.0.1:1", "key", 5_000))
    assert f"Content-Length: {len(body)}" in head
    assert b'name="file"' in body


def test_chunks_say_how_long_they_are() -> None:
    head, body = sent(Upload("http://127.0.0.1:1", "key", 1_500_000, chunked=True, raw=True))
    assert "Content-Length" not in head
    content = b""
    while body:
        length, _, body = body.partition(b"\r\n")
        content, body = content + body[: int(length, 16)], body[int(length, 16) + 2 :]
    assert len(content) == 1_500_000
