import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import typer
from typer.testing import CliRunner, Result

from services.cli.ports import free_ports

ROOT = Path(__file__).parents[2]


def source_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}"}


class Supervised:
    """A supervisor in a process of its own, over stub programs; its output can be waited for."""

    def __init__(self, programs: list[tuple[str, list[str], int]], **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("supervise_stubs.py")), json.dumps(programs)],
            stdout=subprocess.PIPE,
            env={**source_environment(), **environment},
        )
        self.output = ""

    def wait_for(self, pattern: str, seconds: float = 10.0, since: int = 0) -> re.Match[str]:
        """Return the first match in the output after `since` characters."""
        assert self.process.stdout is not None
        end = time.monotonic() + seconds
        while True:
            if found := re.compile(pattern).search(self.output, since):
                return found
            left = end - time.monotonic()
            readable, _, _ = select.select([self.process.stdout], [], [], max(0.0, left))
            chunk = os.read(self.process.stdout.fileno(), 65536) if readable else b""
            assert chunk, f"no {pattern!r} in:\n{self.output[-4000:]}"
            self.output += chunk.decode()

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, *words: str) -> psutil.Process:
        """Return the stub whose command line holds all `words`."""
        return next(child for child in self.children() if set(words) <= set(child.cmdline()))

    def exit_code(self, seconds: float = 10.0) -> int:
        """Read the output to its end and return the exit code."""
        self.output += self.process.communicate(timeout=seconds)[0].decode()
        return self.process.returncode


@pytest.fixture
def supervise() -> Iterator[Callable[..., Supervised]]:
    """Start supervisors; whatever they leave is ended after the test."""
    started: list[Supervised] = []
    seen: list[psutil.Process] = []

    def start(programs: list[tuple[str, list[str], int]], **environment: str) -> Supervised:
        started.append(Supervised(programs, **environment))
        return started[-1]

    yield start
    for supervised in started:
        if supervised.process.poll() is None:
            seen = supervised.children()
            supervised.process.send_signal(signal.SIGKILL)
            supervised.process.wait()
        if supervised.process.stdout:
            supervised.process.stdout.close()
        for process in seen:
            if process.is_running():
                process.kill()


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


def all_gone(processes: list[psutil.Process], seconds: float = 5.0) -> bool:
    """Tell whether all processes end within `seconds`; one that only waits to be reaped has ended."""
    end = time.monotonic() + seconds
    while left := [process for process in processes if not _has_ended(process)]:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return not left


def _has_ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def gone() -> Callable[..., bool]:
    return all_gone


@pytest.fixture
def invoke(sqlite_database: str) -> Callable[..., Result]:
    """Run a command of a group in this process, on a database of its own; what it raises is raised here."""

    def call(group: typer.Typer, *arguments: str, **environ: str) -> Result:
        told = {"SPEECHMESH_DATABASE_URL": sqlite_database, **environ}
        return CliRunner().invoke(group, arguments, env=told, catch_exceptions=False)

    return call
