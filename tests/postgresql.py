"""A PostgreSQL of our own for tests: a throw-away cluster on a free port of loopback."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from services.cli.ports import free_ports

_DEBIAN = Path("/usr/lib/postgresql")
_SHARED_MEMORY = Path("/dev/shm")
_CLUSTER_BYTES = 1 << 30


def server_programs() -> Path | None:
    """Return the folder that has `initdb` and `pg_ctl`, None where PostgreSQL's server is not installed."""
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3].split(".")[0]))
    if versions:
        return versions[-1].parent
    found = shutil.which("initdb")
    return Path(found).parent if found else None


def _memory() -> Path | None:
    """Return a folder in memory, if there is room: a database is 300 files, for which a disk takes its time."""
    has_room = _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).free > _CLUSTER_BYTES
    return _SHARED_MEMORY if has_room else None


@contextlib.contextmanager
def running(programs: Path) -> Iterator[str]:
    """Run a new, empty cluster; yield the URL of its database without its name, so that each test adds its own."""
    # Not in pytest's own folder: the server, as another user, has to come in.
    folder = Path(tempfile.mkdtemp(prefix="speechmesh-postgresql-", dir=_memory()))
    (port,) = free_ports(1, taken=set())
    # The server refuses to be root; Debian's package brings a user for it.
    user = "postgres" if os.getuid() == 0 else None
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)

    def run(*argv: str) -> None:
        subprocess.run(argv, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=60)

    try:
        run(str(programs / "initdb"), "-D", str(folder / "data"), "-U", "speechmesh", "-A", "trust", "--no-sync")
        # Nothing of it has to outlive the machine, so it never waits for the disk.
        options = (
            f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c max_connections=200 "
            "-c fsync=off -c full_page_writes=off"
        )
        control = (str(programs / "pg_ctl"), "-D", str(folder / "data"), "-w", "-l", str(folder / "log"))
        run(*control, "-o", options, "start")
        try:
            yield f"postgresql://speechmesh@127.0.0.1:{port}"
        finally:
            run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
