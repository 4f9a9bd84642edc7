"""What a decoder gives up before it reads the first byte of a hostile file."""

import ctypes
import resource
import signal
from typing import Final

from services.edge import seccomp
from services.edge.decoder_protocol import Job

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38

_LIBRARIES_BYTES: Final = 512 * 1024**2
"""Address space that holds no memory of its own: libraries, and what the server shares."""


def begin_confinement() -> None:
    """Give up writing files, core dumps and new privileges, and outliving the parent: what needs no job to be known.

    The kernel watches the thread that started this process: it must be the parent's main thread.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(kind, (0, 0))


def confine(job: Job, descriptors: int) -> None:
    """Set what the job may cost, and close the door: no process starts and no file or socket opens any more.

    Args:
        job: what it may cost.
        descriptors: how many are open; no number is left for another one.
    """
    begin_confinement()
    for kind, soft, hard in (
        (resource.RLIMIT_NPROC, 0, 0),
        (resource.RLIMIT_CPU, job.cpu_seconds, job.cpu_seconds + 1),
        (resource.RLIMIT_DATA, job.memory_bytes, job.memory_bytes),
        (resource.RLIMIT_AS, job.memory_bytes + _LIBRARIES_BYTES, job.memory_bytes + _LIBRARIES_BYTES),
        (resource.RLIMIT_NOFILE, descriptors, descriptors),
    ):
        resource.setrlimit(kind, (soft, hard))
    seccomp.install()
