"""Where an upload waits while it is decoded: anonymous files that vanish with the process that holds them.

A spool file has no name (O_TMPFILE), so the kernel frees it when its last descriptor closes, SIGKILL
included. On a file system without O_TMPFILE the file is made under a name of ours and unlinked at once; what
a kill in between leaves behind is removed at the next start.
"""

import asyncio
import errno
import os
import re
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from services.edge.spool_room import SpoolRoom, spool_full
from services.runtime.errors import Fault, MeshError
from services.runtime.logs import get_logger

BATCH_BYTES: Final = 1024 * 1024
"""Bytes gathered before one write. The page cache takes them at once, but the kernel stops a writer for up to
0.2 s when the disk cannot follow (dirty page throttling): so a thread writes, a batch at a time."""

_BATCH_PIECES: Final = 512  # one system call takes 1,024

_NAME_PREFIX: Final = "speechmesh-spool-"
_NAME = re.compile(re.escape(_NAME_PREFIX) + r"[0-9a-f]{32}")
_STALE_SECONDS: Final = 60.0


class SpoolFile:
    """One upload on disk, without a name. Use as a context manager, or call `close`.

    Args:
        descriptor: an open, empty, anonymous file; this object owns it from now on.
        limit_bytes: the most that may be written; None for no limit.
        room: what is written is taken of it, and given back in the end.
    """

    def __init__(self, descriptor: int, limit_bytes: int | None = None, room: SpoolRoom | None = None) -> None:
        self._descriptor = descriptor
        self._limit_bytes = limit_bytes
        self._room = room
        self._taken = 0
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._size = 0
        self._writing: asyncio.Future[None] | None = None
        self._closed = False

    @property
    def size(self) -> int:
        """Bytes taken so far, written or still gathered."""
        return self._size

    def fileno(self) -> int:
        """Return the file's descriptor; its content is complete after `flush` only."""
        return self._descriptor

    async def expect(self, size: int) -> None:
        """Wait until there is room for `size` bytes, which are said to come.

        Raises:
            MeshError: TOO_LARGE when that is more than the file may hold, UNAVAILABLE when there is no room for it.
        """
        if self._limit_bytes is not None and size > self._limit_bytes:
            raise too_large(self._limit_bytes)
        if self._room is not None:
            await self._room.wait_for(size)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append `data`.

        Raises:
            MeshError: TOO_LARGE when the file would pass its limit, UNAVAILABLE when there is no room for it.
        """
        self._size += len(data)
        if self._limit_bytes is not None and self._size > self._limit_bytes:
            raise too_large(self._limit_bytes)
        # Kept as it came, without a copy (bytes() of bytes is the same object).
        self._batch.append(bytes(data))
        self._batch_bytes += len(data)
        if self._batch_bytes >= BATCH_BYTES or len(self._batch) >= _BATCH_PIECES:
            await self.flush()

    async def flush(self) -> None:
        """Write what was gathered; from now on other readers of the descriptor see every byte."""
        if not self._batch:
            return
        batch, size = self._batch, self._batch_bytes
        self._batch, self._batch_bytes = [], 0
        if self._room is not None:
            await self._room.take(size)
            self._taken += size
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(None, _write_all, self._descriptor, batch)
        # Shielded: when the caller is cancelled, `close` must still know that the thread holds the file.
        await asyncio.shield(self._writing)

    def close(self) -> None:
        """Let the file go; its space is free when the last descriptor is closed. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._room is not None:
            self._room.give_back(self._taken)
        if self._writing is not None and not self._writing.done():
            self._writing.add_done_callback(self._close_after_write)
        else:
            os.close(self._descriptor)

    def _close_after_write(self, writing: asyncio.Future[None]) -> None:
        os.close(self._descriptor)
        if not writing.cancelled():
            writing.exception()  # nobody waits for it any more: mark it as seen

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Spool:
    """A folder for anonymous files.

    Args:
        folder: made with mode 0700 if missing; leftovers of ours in it are removed.
        max_bytes: the most that its files may hold together; None for no limit but the disk's.
        keep_free_bytes: what is to stay free on its disk.
        wait_seconds: how long a file waits for room.
    """

    def __init__(
        self,
        folder: Path,
        max_bytes: int | None = None,
        *,
        keep_free_bytes: int = 0,
        wait_seconds: float = 30.0,
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.removed = _remove_leftovers(folder)
        self.room = SpoolRoom(
            max_bytes, keep_free_bytes=keep_free_bytes, free=lambda: _free(folder), wait_seconds=wait_seconds
        )
        if _free(folder) < keep_free_bytes:
            get_logger().warning("spool_disk_full", folder=str(folder), free_bytes=_free(folder))

    def open(self, limit_bytes: int | None = None) -> SpoolFile:
        """Return a new empty file that takes at most `limit_bytes`, and no more than the whole spool may hold."""
        limits = [limit for limit in (limit_bytes, self.room.max_bytes) if limit is not None]
        return SpoolFile(_open_anonymous(self.folder), min(limits, default=None), self.room)


def discarding(limit_bytes: int | None = None) -> SpoolFile:
    """Return a file that counts what it takes, `limit_bytes` at most, and keeps nothing of it."""
    return SpoolFile(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), limit_bytes)


def too_large(limit_bytes: int) -> MeshError:
    """Return the error for an upload of more than `limit_bytes`."""
    return MeshError(
        Fault.TOO_LARGE,
        f"The file is larger than {_readable(limit_bytes)}, which is the most that you may send.",
        code="file_too_large",
        field="file",
    )


def _readable(byte_count: int) -> str:
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if byte_count >= unit:
            return f"{byte_count / unit:.4g} {name}"
    return f"{byte_count} bytes"


def _open_anonymous(folder: Path) -> int:
    try:
        # O_EXCL: the file can never get a name.
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
    path = folder / f"{_NAME_PREFIX}{secrets.token_hex(16)}"
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    path.unlink()
    return descriptor


def _write_all(descriptor: int, pieces: list[bytes]) -> None:
    try:
        written = os.writev(descriptor, pieces)
        if written < sum(map(len, pieces)):
            rest = memoryview(b"".join(pieces))[written:]
            while rest:
                rest = rest[os.write(descriptor, rest) :]
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise spool_full() from error


def _free(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def _remove_leftovers(folder: Path) -> int:
    """Remove files that a killed process left between making and unlinking; return how many."""
    removed = 0
    # Another edge may share the folder: a younger file may be one that it is just unlinking.
    oldest_kept = time.time() - _STALE_SECONDS
    for entry in os.scandir(folder):
        status = entry.stat(follow_symlinks=False)
        ours = _NAME.fullmatch(entry.name) and stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()
        if ours and status.st_mtime < oldest_kept:
            with suppress(FileNotFoundError):
                os.unlink(entry.path)
                removed += 1
    return removed
