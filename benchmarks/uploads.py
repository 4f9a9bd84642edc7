"""Uploads of recordings that are generated as they are sent, through a bare socket: fast, or slow on purpose.

Times are those of `time.monotonic`, which all processes of a machine share.
"""

import asyncio
import json
import secrets
import socket
import struct
import time
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import numpy as np

DRIP_SECONDS = 0.1
"""Pause between two pieces of a slow upload."""

_BLOCK_BYTES = 1024 * 1024
_WAV_HEAD = struct.Struct("<4sI4s4sIHHIIHH4sI")


@dataclass(frozen=True)
class Upload:
    """A WAV file, generated as it is sent, and how it is sent."""

    url: str
    """Of the edge."""
    key: str
    size: int
    """Bytes of the file."""
    chunked: bool = False
    """`Transfer-Encoding: chunked`; else `Content-Length`."""
    raw: bool = False
    """The file is the body, options are in the query; else a form."""
    sample_rate: int = 48_000
    channels: int = 2

    @property
    def audio_seconds(self) -> float:
        """How long the recording lasts."""
        return (self.size - _WAV_HEAD.size) / (2 * self.channels * self.sample_rate)

    def pieces(self) -> Iterator[tuple[bytes, int]]:
        """Yield what goes over the wire, with how many bytes of the file are in it."""
        before, after, content_type = (b"", b"", "audio/wav") if self.raw else form_around({"diarize": "false"})
        length = len(before) + self.size + len(after)
        framing = "Transfer-Encoding: chunked" if self.chunked else f"Content-Length: {length}"
        place = urlsplit(self.url)
        head = (
            f"POST /v1/transcribe{'?diarize=false' if self.raw else ''} HTTP/1.1",
            f"Host: {place.netloc}",
            f"Authorization: Bearer {self.key}",
            f"Content-Type: {content_type}",
            framing,
        )
        yield "\r\n".join([*head, "", ""]).encode(), 0
        if before:
            yield self._framed(before), 0
        header = self._wav_head()
        yield self._framed(header), len(header)
        block = _block()
        framed = self._framed(block)
        whole, rest = divmod(self.size - len(header), len(block))
        for _ in range(whole):
            yield framed, len(block)
        if rest:
            yield self._framed(block[:rest]), rest
        if after:
            yield self._framed(after), 0
        if self.chunked:
            yield b"0\r\n\r\n", 0

    def _wav_head(self) -> bytes:
        frame, data_bytes = 2 * self.channels, self.size - _WAV_HEAD.size
        form = (b"fmt ", 16, 1, self.channels, self.sample_rate, self.sample_rate * frame, frame, 16)
        return _WAV_HEAD.pack(b"RIFF", _WAV_HEAD.size - 8 + data_bytes, b"WAVE", *form, b"data", data_bytes)

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data


def form_around(fields: dict[str, str]) -> tuple[bytes, bytes, str]:
    """Return what stands before and after a WAV file in a form with these fields, and the form's content type."""
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    file = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
        "Content-Type: audio/wav\r\n\r\n"
    )
    return (
        "".join([*parts, file]).encode(),
        f"\r\n--{boundary}--\r\n".encode(),
        f"multipart/form-data; boundary={boundary}",
    )


@cache
def _block() -> bytes:
    samples = np.random.default_rng(8).normal(0, 3000, _BLOCK_BYTES // 2)
    return bytes(samples.clip(-32_768, 32_767).astype("<i2").tobytes())


@dataclass(frozen=True)
class Sent:
    """How an upload went."""

    began: float
    sent: float
    """When the last byte that was sent was taken by the kernel."""
    answered: float
    """When the whole answer was there."""
    file_bytes: int
    """That were sent."""
    status: int | None
    """None where the connection broke before an answer."""
    code: str
    """Of the error; empty where there was none."""

    @property
    def rate(self) -> float:
        """Bytes of the file in a second."""
        return self.file_bytes / (self.sent - self.began)


class Connection:
    """One upload on its way. When it is answered before its end, no more is sent."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self.file_bytes = 0

    async def connect(self) -> None:
        """Reach the edge; nothing is sent yet."""
        place = urlsplit(self._upload.url)
        await self._loop.sock_connect(self._socket, (place.hostname, place.port))

    async def send(self) -> Sent:
        """Send it as fast as it is taken."""
        return await self._sent(self._write())

    async def drip(self, bytes_a_second: float) -> Sent:
        """Send so many bytes in a second."""
        return await self._sent(self._write_slowly(bytes_a_second))

    async def _sent(self, writing: Coroutine[Any, Any, None]) -> Sent:
        began = time.monotonic()
        tasks = asyncio.create_task(writing), asyncio.create_task(self._answer())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            sent = time.monotonic()
            status, code = await tasks[1]
            return Sent(began, sent, time.monotonic(), self.file_bytes, status, code)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._socket.close()

    async def _write(self) -> None:
        with suppress(ConnectionError):  # an answer may have come before
            for piece, file_bytes in self._upload.pieces():
                await self._loop.sock_sendall(self._socket, piece)
                self.file_bytes += file_bytes

    async def _write_slowly(self, bytes_a_second: float) -> None:
        step = max(1, round(bytes_a_second * DRIP_SECONDS))
        due = time.monotonic()
        with suppress(ConnectionError):
            for piece, file_bytes in self._upload.pieces():
                for start in range(0, len(piece), step):
                    part = piece[start : start + step]
                    await self._loop.sock_sendall(self._socket, part)
                    self.file_bytes += len(part) if file_bytes else 0
                    due += len(part) / bytes_a_second
                    await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _answer(self) -> tuple[int | None, str]:
        received = bytearray()
        wanted: int | None = None
        while wanted is None or len(received) < wanted:
            try:
                data = await self._loop.sock_recv(self._socket, 1024 * 1024)
            except OSError:
                data = b""
            if not data:
                return None, "connection closed"
            received += data
            if wanted is None and b"\r\n\r\n" in received:
                wanted = _length_of(bytes(received))
        status = int(received.split(b" ", 2)[1])
        body = json.loads(received[received.index(b"\r\n\r\n") + 4 :])
        return status, str(body.get("code", ""))


def _length_of(answer: bytes) -> int:
    """Return how long an answer is of which the head is there."""
    head, _, _ = answer.partition(b"\r\n\r\n")
    (length,) = (line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return len(head) + 4 + int(length)
