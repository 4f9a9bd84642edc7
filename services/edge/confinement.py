"""What a decoder gives up before it reads the first byte of a hostile file."""

import ctypes
import resource
from typing import Final

from services.edge import seccomp
from services.edge.decoder_protocol import Job
from services.runtime.parent import die_with_parent

_PR_SET_NO_NEW_PRIVS: Final = 38

_LIBRARIES_BYTES: Final = 512 * 1024**2
"""Address space that holds no memory of its own: libraries, and what the server shares."""


def confine(job: Job, descriptors: int, parent_pid: int) -> bool:
    """Set what the job may cost, and close the door: no process starts and no file or socket opens any more.

    Args:
        job: what it may cost.
        descriptors: how many are open; no number is left for another one.
        parent_pid: who is the parent; this process ends with it, at once where it has ended already.

    Returns:
        Whether the system also let system calls be filtered.
    """
    die_with_parent(parent_pid)
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CPU, job.cpu_seconds),
        (resource.RLIMIT_DATA, job.memory_bytes),
        (resource.RLIMIT_AS, job.memory_bytes + _LIBRARIES_BYTES),
        (resource.RLIMIT_NOFILE, descriptors),
    ):
        _limit(kind, most)
    return seccomp.install()


def _limit(kind: int, most: int) -> None:
    """Lower a limit; one that is lower already, by whoever started us, stays."""
    for before in resource.getrlimit(kind):
        if before != resource.RLIM_INFINITY:
            most = min(most, before)
    resource.setrlimit(kind, (most, most))
