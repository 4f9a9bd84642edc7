"""A process that must not outlive the one that started it.

A parent that is told to stop can stop its children; one that is killed with SIGKILL cannot. So the child
looks after itself: on Linux the kernel kills it when its parent ends, elsewhere a thread asks now and then.
Grandchildren are not covered: each process that starts others lets them make the same call.
"""

import ctypes
import os
import signal
import sys
import threading
import time

PARENT_PID = "SPEECHMESH_PARENT_PID"
"""Environment variable in which a parent hands on its process id."""

POLL_SECONDS = 0.5
"""How often the parent is looked for where the kernel does not tell."""

_PR_SET_PDEATHSIG = 1
# Loaded here: nothing may be imported or opened between fork and exec.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent_pid: int | None = None) -> None:
    """Make sure that this process ends, by SIGKILL, when its parent does; call it first thing.

    Args:
        parent_pid: who the parent is. Without it, `SPEECHMESH_PARENT_PID` is read and taken out of the
            environment (a grandchild has another parent); when that is not set, nothing happens.

    Raises:
        ValueError: `SPEECHMESH_PARENT_PID` is not a number.

    The kernel watches the *thread* that started this process: a parent starts it from its main thread.
    """
    if parent_pid is None:
        handed = os.environ.pop(PARENT_PID, "")
        if not handed:
            return
        parent_pid = int(handed)
    if not ask_kernel():
        _watch(parent_pid)
    # The parent may have ended before the kernel was asked; then nobody would tell us any more.
    if os.getppid() != parent_pid:
        _end()


def ask_kernel() -> bool:
    """Have the kernel kill this process when its parent ends; tell whether it will.

    May be called between fork and exec, for a program that cannot call `die_with_parent` itself.
    """
    return _LIBC is not None and int(_LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)) == 0


def _watch(parent_pid: int) -> None:
    def poll() -> None:
        while os.getppid() == parent_pid:
            time.sleep(POLL_SECONDS)
        _end()

    threading.Thread(target=poll, name="parent-watch", daemon=True).start()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
