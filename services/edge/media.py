"""Decoding from the edge's side: a child process a file, its frames as they come, its end whatever happens.

The parent reads a frame only when it is asked for the next, and keeps no more than one plus the pipe's
buffer: the pipe fills, the child waits, and memory stays the same for a file of any length. What the child
says is not trusted: it has met hostile bytes (sizes are checked, JSON is validated).
"""

import asyncio
import json
import math
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from services.audio import pcm
from services.edge import decoder
from services.runtime.errors import Fault, MeshError
from services.runtime.logs import get_logger

log = get_logger()

_PROJECT = str(Path(decoder.__file__).parents[2])
# -I: neither the environment nor the working folder can slip a module in; -B: a child writes nothing.
_COMMAND: Final = (
    "-I",
    "-B",
    "-c",
    "import sys; sys.path.append(sys.argv[1]); from services.edge.decoder import main; main()",
    _PROJECT,
)
_ENVIRONMENT: Final = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "MALLOC_ARENA_MAX": "1"}

_PIPE_BUFFER_BYTES: Final = 64 * 1024
_MAX_TEXT: Final = 500
_CODES: Final = frozenset({"empty_file", "no_audio_track", "unreadable_media", "too_long"})


@dataclass(frozen=True)
class Probe:
    """What the file is, as far as it says."""

    duration: float | None
    """Seconds, None if unknown; an estimate for formats that do not say."""
    container: str
    """FFmpeg's name of the container, such as `mov`, `matroska`, `mp3`."""
    codec: str
    """FFmpeg's name of the audio coding, such as `aac`."""
    sample_rate: int
    """Samples a second in the file."""
    channels: int
    """Channels in the file."""
    has_video: bool
    """Whether there is a film beside the sound; a cover picture does not count."""


@dataclass(frozen=True)
class MediaWarning:
    """Something wrong with a file that was decoded all the same."""

    code: str
    """`truncated` or `damaged`."""
    message: str
    """One sentence for the user."""


@dataclass(frozen=True)
class DecodeLimits:
    """What one file may cost."""

    max_seconds: float = 6 * 3600.0
    """Most audio that may come out."""
    stall_seconds: float = 30.0
    """Longest time without a byte from a child that is asked for one."""
    memory_bytes: int = 2 * 1024**3
    """Address space of the child."""
    cpu_seconds: int | None = None
    """CPU time of the child; None for a minute and one second for every 10 s of `max_seconds`."""

    def job(self) -> decoder.Job:
        """Return the child's part of the limits."""
        cpu_seconds = 60 + math.ceil(self.max_seconds / 10) if self.cpu_seconds is None else self.cpu_seconds
        return decoder.Job(self.max_seconds, cpu_seconds, self.memory_bytes)


class Decoding:
    """One file being decoded. Made by `decode`; ask `probe` first, then iterate over `pcm` once."""

    def __init__(self, process: asyncio.subprocess.Process, stall_seconds: float) -> None:
        assert process.stdout is not None
        self._process = process
        self._stdout = process.stdout
        self._stall_seconds = stall_seconds
        self._probe: Probe | None = None
        self._streamed = 0
        self.decoded_seconds = 0.0
        """Seconds given out so far; the whole recording once `pcm` has ended."""
        self.warnings: tuple[MediaWarning, ...] = ()
        """Known once `pcm` has ended."""

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    async def probe(self) -> Probe:
        """Return what the file is, once its first audio has decoded.

        Raises:
            MeshError: INVALID when it cannot be decoded, TOO_LARGE when it says that it is too long.
        """
        if self._probe is None:
            kind, payload = await self._frame()
            if kind != decoder.KIND_PROBE:
                raise self._broken("no probe first")
            try:
                self._probe = _parse_probe(json.loads(payload))
            except (ValueError, TypeError, KeyError) as error:
                raise self._broken("malformed probe") from error
        return self._probe

    async def pcm(self) -> AsyncGenerator[bytes, None]:
        """Yield the audio, 16 kHz mono s16, in chunks of at most 256 KiB; the child waits between two chunks.

        Raises:
            MeshError: as `probe`; TOO_LARGE also late, when more audio came out than the file announced.
        """
        await self.probe()
        while True:
            kind, payload = await self._frame()
            if kind == decoder.KIND_AUDIO:
                self._streamed += len(payload)
                self.decoded_seconds = pcm.seconds(self._streamed)
                yield payload
            elif kind == decoder.KIND_DONE:
                try:
                    self.warnings = _parse_warnings(json.loads(payload))
                except (ValueError, TypeError, KeyError) as error:
                    raise self._broken("malformed end") from error
                return
            else:
                raise self._broken("unexpected frame")

    async def _frame(self) -> tuple[bytes, bytes]:
        """Return the next frame; an error frame, a dead child and a silent one are raised."""
        try:
            async with asyncio.timeout(self._stall_seconds):
                header = await self._stdout.readexactly(decoder.FRAME_HEADER.size)
                kind, size = decoder.FRAME_HEADER.unpack(header)
                if size > decoder.MAX_PAYLOAD_BYTES or (kind == decoder.KIND_AUDIO and size % pcm.SAMPLE_BYTES):
                    raise self._broken("malformed frame")
                payload = await self._stdout.readexactly(size)
        except TimeoutError:
            raise self._broken("stalled") from None
        except asyncio.IncompleteReadError:
            raise await self._ended() from None
        if kind == decoder.KIND_ERROR:
            raise self._refused(payload)
        return kind, payload

    def _refused(self, payload: bytes) -> MeshError:
        try:
            refusal = json.loads(payload)
            code, message, detail = refusal["code"], refusal["message"], refusal.get("detail")
        except (ValueError, TypeError, KeyError):
            return self._broken("malformed refusal")
        if code not in _CODES or not isinstance(message, str):
            return self._broken("unknown refusal")
        if detail is not None:
            log.warning("decoder_failed", detail=str(detail)[:_MAX_TEXT])
        fault = Fault.TOO_LARGE if code == "too_long" else Fault.INVALID
        return MeshError(fault, message[:_MAX_TEXT], code=code, field="file")

    async def _ended(self) -> Exception:
        """Return the error for a child that ended in the middle of its work."""
        status = await self._process.wait()
        if status < 0 or status == decoder.EXIT_DECODING_FAILED:
            return self._broken(f"exit status {status}")
        # Another exit is not the file's doing: the child could not begin.
        return RuntimeError(f"the decoder ended with status {status} before its work was done")

    def _broken(self, reason: str) -> MeshError:
        log.warning("decoder_broken", reason=reason)
        return MeshError(
            Fault.INVALID,
            "The file could not be decoded; it may be damaged.",
            code="unreadable_media",
            field="file",
        )


@asynccontextmanager
async def decode(descriptor: int, limits: DecodeLimits | None = None) -> AsyncIterator[Decoding]:
    """Decode the file behind `descriptor` in a child process, which is gone when the context is left.

    Args:
        descriptor: a regular file, complete; read from its beginning, its offset is left alone. It may be
            closed as soon as the context is entered.
        limits: what the file may cost.
    """
    limits = limits or DecodeLimits()
    process = await _start(descriptor, limits.job())
    try:
        yield Decoding(process, limits.stall_seconds)
    finally:
        await _end(process)


async def _start(descriptor: int, job: decoder.Job) -> asyncio.subprocess.Process:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        # Sent first: it waits in the socket, and nothing is left to undo if the start fails or is cancelled.
        decoder.send_job(ours, job, descriptor)
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *_COMMAND,
            stdin=theirs.fileno(),
            stdout=asyncio.subprocess.PIPE,
            env=_ENVIRONMENT,
            cwd="/",
            limit=_PIPE_BUFFER_BYTES,
        )


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the child if it lives, and reap it; what it still had to say is thrown away."""
    if process.returncode is None:
        # Not process.kill(): it polls first, and may so reap the child before asyncio's watcher does.
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    assert process.stdout is not None
    # A paused pipe would keep its transport open: read it out, which after the kill is one buffer at most.
    while await process.stdout.read(_PIPE_BUFFER_BYTES):
        pass
    await process.wait()


def _parse_probe(value: dict[str, Any]) -> Probe:
    duration = value["duration"]
    if duration is not None and not 0 < float(duration) < math.inf:
        raise ValueError("duration")
    return Probe(
        duration=None if duration is None else float(duration),
        container=str(value["container"])[:_MAX_TEXT],
        codec=str(value["codec"])[:_MAX_TEXT],
        sample_rate=int(value["sample_rate"]),
        channels=int(value["channels"]),
        has_video=bool(value["has_video"]),
    )


def _parse_warnings(value: dict[str, Any]) -> tuple[MediaWarning, ...]:
    return tuple(
        MediaWarning(str(warning["code"])[:_MAX_TEXT], str(warning["message"])[:_MAX_TEXT])
        for warning in value["warnings"][:8]
    )
