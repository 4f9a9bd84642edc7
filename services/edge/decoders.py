"""Where decoders come from: one server process, which forks one of them for each file, and what happens to it."""

import asyncio
import fcntl
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from services.edge import decoder_protocol as protocol
from services.edge.life_line import LifeLine
from services.edge.media import DecodeLimits, Decoding, decoder_unavailable
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
_END_SECONDS: Final = 5.0


class Decoders:
    """Decodes files, each in a process of its own. Use as a context manager, or call `start` and `close`.

    Args:
        command: starts the process that decoders come from.
        patience_seconds: how long a decoder may take to begin, and to end.
    """

    def __init__(self, command: tuple[str, ...] = COMMAND, patience_seconds: float = 30.0) -> None:
        self._command = command
        self._patience_seconds = patience_seconds
        self._server: _Server | None = None
        self._starting = asyncio.Lock()
        self._is_closed = False

    async def start(self) -> None:
        """Start the process that decoders come from, so that the first file does not wait for it.

        To be called from the main thread: the kernel ends that process with the thread that started it.
        """
        await self._running()

    async def close(self) -> None:
        """End it, and with it the decoders that are at work; no file is decoded any more."""
        self._is_closed = True
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
                with _read_only(descriptor) as file:
                    job = limits.job(os.fstat(file).st_size, separate=separate)
                    line, pid = await self._begin(file, writing, job)
            finally:
                os.close(writing)
            try:
                frames = asyncio.StreamReader(_PIPE_BUFFER_BYTES)
                transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                    lambda: asyncio.StreamReaderProtocol(frames), pipe
                )
                try:
                    yield Decoding(frames, line, pid, limits, separate=separate)
                finally:
                    transport.close()
            finally:
                await self._end(line)

    async def _end(self, line: LifeLine) -> None:
        try:
            await line.end(self._patience_seconds)
        except TimeoutError:
            # It waits for a disk, or its server hangs, which the next file finds out.
            log.error("decoder_does_not_end")

    async def _begin(self, file: int, frames: int, job: protocol.Job) -> tuple[LifeLine, int]:
        # Twice: the server may have died since the last job, or while it took this one.
        for _ in range(2):
            server = await self._running()
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            line = LifeLine(ours)
            pid: int | None = None
            try:
                with theirs:
                    protocol.send_job(server.channel, job, file=file, frames=frames, life_line=theirs.fileno())
                async with asyncio.timeout(self._patience_seconds):
                    pid = await line.begun()
            except TimeoutError:
                server.kill()
            except OSError as error:
                log.warning("decoder_not_begun", reason=type(error).__name__)
            finally:
                if pid is None:
                    await self._end(line)
            if pid is not None:
                return line, pid
            await server.may_end()
        raise decoder_unavailable()

    async def _running(self) -> "_Server":
        async with self._starting:
            if self._is_closed:
                raise decoder_unavailable()
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
        """Let it end: it kills its decoders first; where it does not, they end with it."""
        self.channel.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()


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


@contextmanager
def _read_only(descriptor: int) -> Iterator[int]:
    """Give a descriptor of the same file that cannot write to it, whatever becomes of who gets it."""
    try:
        file = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # no /proc here
        file = os.dup(descriptor)
    try:
        yield file
    finally:
        os.close(file)
