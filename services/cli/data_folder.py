"""The data folder of one deployment: made at the first start, held by one `up` at a time, home of the key
and, unless told otherwise, of the accounts."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from services.accounts.api_keys import new_key
from services.runtime.errors import Fault, MeshError


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Make the folder if need be and hold it alone.

    Raises:
        MeshError: INVALID when it cannot be made or written to; UNAVAILABLE when another process holds it.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise MeshError(Fault.INVALID, f"The data folder {data} cannot be used: {error.strerror}.") from error
    try:
        # The kernel gives the lock back however this process ends; the file itself stays.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise MeshError(
            Fault.UNAVAILABLE,
            f"Another Speechmesh (process {owner or 'unknown'}) runs on the data folder {data}; "
            "stop it, or choose another folder with --data.",
        ) from error
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def ensure_key(path: Path) -> tuple[str, bool]:
    """Make the API key, readable by its owner alone, unless there is one; return it, and whether it was made now.

    The file appears whole or not at all, and two at once make one key.

    Raises:
        MeshError: INVALID when the file is there and empty, or cannot be read or made.
    """
    try:
        made = not path.exists() and _create_whole(path, f"{new_key()}\n")
        key = _first_line(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise MeshError(Fault.INVALID, f"The key file {path} cannot be used: {reason}.") from error
    if key is None:
        raise MeshError(Fault.INVALID, f"The key file {path} is empty; remove it to get a new key.")
    return key, made


def read_key(path: Path) -> str | None:
    """Return the first key of a key file, None when it cannot be read or has none."""
    with suppress(OSError, UnicodeDecodeError):
        return _first_line(path.read_text(encoding="utf-8"))
    return None


def _first_line(text: str) -> str | None:
    return next((line.strip() for line in text.splitlines() if line.strip()), None)


def _create_whole(path: Path, text: str) -> bool:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True
