"""Decoding from the edge's side: a process a file, its frames as they come, its end whatever happens.

The edge reads a frame only when it is asked for the next, and keeps no more than one plus the pipe's
buffer: the pipe fills, the decoder waits, and memory stays the same for a file of any length. What the decoder
says is not trusted: it has met hostile bytes (sizes are checked, JSON is validated).
"""

import asyncio
import fcntl
import json
import math
import os
import socket
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from services.audio import pcm
from services.edge import decoder_protocol as protocol
from services.edge import seccomp
from services.runtime.errors import Fault, MeshError
from services.runtime.logs import get_logger

log = get_logger()

_PROJECT = str(Path(protocol.__file__).parents[2])
# -I: neither the environment nor the working folder can slip a module in; -B: a child writes nothing.
COMMAND: Final = (
    sys.executable,
    "-I",
    "-B",
    "-c",
    "import sys; sys.path.append(sys.argv[1]); from services.edge.decoder_server import main; main()",
    _PROJECT,
)
"""Starts the process that decoders come from."""

_ENVIRONMENT: Final = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "MALLOC_ARENA_MAX": "1"}

_PIPE_BUFFER_BYTES: Final = 64 * 1024
_MAX_TEXT: Final = 500
_START_SECONDS: Final = 30.0
_LONG_SECONDS: Final = 120.0
_LONG_NICENESS: Final = 10
_FIELDS: Final = {
    "empty_file": "file",
    "no_audio_track": "file",
    "unreadable_media": "file",
    "too_long": "file",
    "one_channel": "channels",
    "too_many_channels": "channels",
}
"""The codes of refusals, and which field of the form is wrong."""


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
    """`truncated`, `damaged` or `channels_alike`."""
    message: str
    """One sentence for the user."""


@dataclass(frozen=True)
class Chunk:
    """A piece of what was decoded."""

    channel: int
    """From 0; always 0 where the channels are mixed."""
    pcm: bytes
    """16 kHz mono s16, at most 256 KiB."""


@dataclass(frozen=True)
class DecodeLimits:
    """What one file may cost."""

    max_seconds: float = 24 * 3600.0
    """Most audio that may come out."""
    stall_seconds: float = 30.0
    """Longest time without a byte from a decoder that is asked for one; in all it may take this long and half as
    long as what it has decoded lasts."""
    memory_bytes: int = 160 * 1024**2
    """Memory of the decoder's own, beside that for the index of a large file."""
    most_index_bytes: int = 256 * 1024**2
    """The most that goes with the size of a file, half as much again: the index of a day of AAC in 170 MB takes 230 MB
    for a moment. A small file that claims to need one does not get it."""
    cpu_seconds: int | None = None
    """CPU time of the decoder; None for a minute and one second for every 10 s of `max_seconds`."""

    def job(self, file_bytes: int, *, separate: bool = False) -> protocol.Job:
        """Return the decoder's part of the limits, for a file of this size."""
        cpu_seconds = 60 + math.ceil(self.max_seconds / 10) if self.cpu_seconds is None else self.cpu_seconds
        memory_bytes = self.memory_bytes + min(file_bytes * 3 // 2, self.most_index_bytes)
        return protocol.Job(self.max_seconds, cpu_seconds, memory_bytes, separate)


class Life:
    """The life of one decoder, as its server tells of it.

    Args:
        line: our end of its life line, non-blocking; this object owns it from now on.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    async def begun(self) -> int | None:
        """Return its process id, when it has one; None when it was not begun."""
        return await self._number()

    async def ended(self) -> int | None:
        """Wait until it has ended, and return its exit status; None when nobody can tell any more."""
        return await self._number()

    async def end(self) -> None:
        """Have it killed if it lives, and wait until it is gone."""
        try:
            self._line.shutdown(socket.SHUT_WR)
            while await self._number() is not None:
                pass
        except OSError:
            pass  # its server is gone, and all decoders with it
        finally:
            self._line.close()

    async def _number(self) -> int | None:
        told = b""
        while len(told) < protocol.LIFE.size:
            try:
                piece = await asyncio.get_running_loop().sock_recv(self._line, protocol.LIFE.size - len(told))
            except ConnectionError:
                return None
            if not piece:
                return None
            told += piece
        return int(protocol.LIFE.unpack(told)[0])


class Decoding:
    """One file being decoded. Made by `Decoders`; ask `probe` first, then iterate over `chunks` once.

    Args:
        frames: what the decoder writes.
        life: its life.
        pid: its process id.
        limits: what it may cost.
        separate: whether it was told to keep the channels apart.
    """

    def __init__(
        self, frames: asyncio.StreamReader, life: Life, pid: int, limits: DecodeLimits, *, separate: bool = False
    ) -> None:
        self.pid = pid
        self._separate = separate
        self._frames = frames
        self._life = life
        self._limits = limits
        self._probe: Probe | None = None
        self._waited = 0.0
        self._yields = False
        self._streamed = 0
        self.decoded_seconds = 0.0
        """Seconds given out so far of the first channel; the whole recording once `chunks` has ended."""
        self.warnings: tuple[MediaWarning, ...] = ()
        """Known once `chunks` has ended."""

    async def probe(self) -> Probe:
        """Return what the file is, once its first audio has decoded.

        Raises:
            MeshError: INVALID when it cannot be decoded, TOO_LARGE when it says that it is too long.
        """
        if self._probe is None:
            kind, _, payload = await self._frame()
            if kind != protocol.KIND_PROBE:
                raise self._broken("no probe first")
            try:
                self._probe = _parse_probe(json.loads(payload))
            except (ValueError, TypeError, KeyError) as error:
                raise self._broken("malformed probe") from error
            if self._separate and not 1 < self._probe.channels <= protocol.MAX_CHANNELS:
                raise self._broken("wrong number of channels")
        return self._probe

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """Yield the audio; the decoder waits between two chunks. Channels take turns, the first one first.

        Raises:
            MeshError: as `probe`; TOO_LARGE also late, when more audio came out than the file announced.
        """
        probe = await self.probe()
        channels = probe.channels if self._separate else 1
        while True:
            kind, channel, payload = await self._frame()
            if kind == protocol.KIND_AUDIO:
                if channel >= channels:
                    raise self._broken("unknown channel")
                if channel == 0:
                    self._streamed += len(payload)
                    self.decoded_seconds = pcm.seconds(self._streamed)
                    self._let_others_go_first()
                yield Chunk(channel, payload)
            elif kind == protocol.KIND_DONE:
                try:
                    self.warnings = _parse_warnings(json.loads(payload))
                except (ValueError, TypeError, KeyError) as error:
                    raise self._broken("malformed end") from error
                return
            else:
                raise self._broken("unexpected frame")

    def _let_others_go_first(self) -> None:
        """Lower the priority of a decoder of a long recording: it is ahead of the services anyway."""
        if self._yields or self.decoded_seconds < _LONG_SECONDS:
            return
        self._yields = True
        with suppress(OSError):  # it may have ended
            os.setpriority(os.PRIO_PROCESS, self.pid, _LONG_NICENESS)

    async def _frame(self) -> tuple[bytes, int, bytes]:
        """Return the next frame; an error frame, a dead decoder and a silent one are raised."""
        asked = time.monotonic()
        patience = self._limits.stall_seconds + self.decoded_seconds / 2 - self._waited
        try:
            async with asyncio.timeout(min(patience, self._limits.stall_seconds)):
                header = await self._frames.readexactly(protocol.FRAME_HEADER.size)
                kind, channel, size = protocol.FRAME_HEADER.unpack(header)
                if size > protocol.MAX_PAYLOAD_BYTES or (kind == protocol.KIND_AUDIO and size % pcm.SAMPLE_BYTES):
                    raise self._broken("malformed frame")
                payload = await self._frames.readexactly(size)
        except TimeoutError:
            raise self._broken("stalled") from None
        except asyncio.IncompleteReadError:
            raise await self._ended() from None
        self._waited += time.monotonic() - asked
        if kind == protocol.KIND_ERROR:
            raise self._refused(payload)
        return kind, channel, payload

    def _refused(self, payload: bytes) -> MeshError:
        try:
            refusal = json.loads(payload)
            code, message, detail = refusal["code"], refusal["message"], refusal.get("detail")
        except (ValueError, TypeError, KeyError):
            return self._broken("malformed refusal")
        if code not in _FIELDS or not isinstance(message, str):
            return self._broken("unknown refusal")
        if detail is not None:
            log.warning("decoder_failed", detail=str(detail)[:_MAX_TEXT])
        fault = Fault.TOO_LARGE if code == "too_long" else Fault.INVALID
        return MeshError(fault, message[:_MAX_TEXT], code=code, field=_FIELDS[code])

    async def _ended(self) -> Exception:
        """Return the error for a decoder that ended in the middle of its work."""
        status = await self._life.ended()
        if status is None:
            return _unavailable()
        if status < 0 or status == protocol.EXIT_DECODING_FAILED:
            return self._broken(f"exit status {status}")
        # Another exit is not the file's doing: the decoder could not begin.
        return RuntimeError(f"the decoder ended with status {status} before its work was done")

    def _broken(self, reason: str) -> MeshError:
        log.warning("decoder_broken", reason=reason)
        return MeshError(
            Fault.INVALID,
            "The file could not be decoded; it may be damaged.",
            code="unreadable_media",
            field="file",
        )


class Decoders:
    """Decodes files, each in a process of its own. Use as a context manager, or call `start` and `close`.

    Args:
        command: starts the process that decoders come from.
    """

    def __init__(self, command: tuple[str, ...] = COMMAND) -> None:
        self._command = command
        self._server: _Server | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Start the process that decoders come from, so that the first file does not wait for it.

        To be called from the main thread: the kernel ends that process with the thread that started it.
        """
        if not seccomp.is_supported():
            log.warning("decoders_without_seccomp")
        await self._running()

    async def close(self) -> None:
        """End it, and with it the decoders that are at work."""
        server, self._server = self._server, None
        if server is not None:
            await server.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @asynccontextmanager
    async def decode(
        self, descriptor: int, limits: DecodeLimits | None = None, *, separate: bool = False
    ) -> AsyncIterator[Decoding]:
        """Decode the file behind `descriptor` in a process that is gone when the context is left.

        Args:
            descriptor: a regular file, complete; read from its beginning, its offset is left alone. It may be
                closed as soon as the context is entered.
            limits: what the file may cost.
            separate: whether its channels come out apart from each other, instead of mixed into one.

        Raises:
            MeshError: UNAVAILABLE when no decoder can be begun.
        """
        limits = limits or DecodeLimits()
        reading, writing = os.pipe()
        with suppress(OSError):  # where the system's limit is lower, the decoder only waits more often
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, protocol.MAX_PAYLOAD_BYTES)
        # The pipe's reading end is a file object, so that it is closed whatever happens here.
        with os.fdopen(reading, "rb", 0) as pipe:
            try:
                job = limits.job(os.fstat(descriptor).st_size, separate=separate)
                life, pid = await self._begin(descriptor, writing, job)
            finally:
                os.close(writing)
            try:
                frames = asyncio.StreamReader(_PIPE_BUFFER_BYTES)
                transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                    lambda: asyncio.StreamReaderProtocol(frames), pipe
                )
                try:
                    yield Decoding(frames, life, pid, limits, separate=separate)
                finally:
                    transport.close()
            finally:
                await life.end()

    async def _begin(self, descriptor: int, frames: int, job: protocol.Job) -> tuple[Life, int]:
        # Twice: the server may have died since the last job, or while it took this one.
        for _ in range(2):
            server = await self._running()
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            life = Life(ours)
            pid: int | None = None
            try:
                with theirs:
                    protocol.send_job(server.channel, job, file=descriptor, frames=frames, life_line=theirs.fileno())
                async with asyncio.timeout(_START_SECONDS):
                    pid = await life.begun()
            except (ConnectionError, BlockingIOError):
                pass
            except TimeoutError:
                server.kill()
            finally:
                if pid is None:
                    await life.end()
            if pid is not None:
                return life, pid
            await server.may_end()
        raise _unavailable()

    async def _running(self) -> "_Server":
        async with self._starting:
            if self._server is None or self._server.has_ended:
                if self._server is not None:
                    log.error("decoder_server_lost", status=self._server.status)
                    await self._server.close()
                self._server = await _start_server(self._command)
            return self._server


class _Server:
    """The process that decoders come from."""

    def __init__(self, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        self._process = process
        self.channel = channel

    @property
    def status(self) -> int | None:
        return self._process.returncode

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    async def may_end(self) -> None:
        """Wait until it has ended, if it is about to: one that only could not fork lives on."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._process.wait()

    def kill(self) -> None:
        if not self.has_ended:
            self._process.kill()

    async def close(self) -> None:
        """Let it end: it kills its decoders first."""
        self.channel.close()
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._process.wait()
        finally:
            self.kill()


async def _start_server(command: tuple[str, ...]) -> _Server:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    try:
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=theirs.fileno(), stdout=asyncio.subprocess.DEVNULL, env=_ENVIRONMENT, cwd="/"
            )
    except BaseException:
        ours.close()
        raise
    return _Server(process, ours)


def _unavailable() -> MeshError:
    return MeshError(Fault.UNAVAILABLE, "The recording cannot be decoded at this moment.", code="decoder_unavailable")


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
