"""Child processes of a pull: their output goes to a file, and they end when the pull ends in any way."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from services.runtime.parent import ask_kernel

_TAIL_BYTES = 8192


def run_child(command: Sequence[str], log: Path, **env: str) -> int:
    """Run `command` with `env` on top of our own environment; return its exit status.

    Standard output and error go to `log`. When this call is interrupted the child is killed and reaped.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            preexec_fn=ask_kernel,
        )
        try:
            return process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def last_lines(log: Path, count: int = 3) -> str:
    """Return the end of a log as one line."""
    with log.open("rb") as source:
        source.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = source.read().decode("utf-8", "replace").splitlines()
    return " | ".join([line.strip() for line in lines if line.strip()][-count:])
