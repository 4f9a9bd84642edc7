"""The edge as a process of its own, to be killed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from services.cli.ports import free_ports
from tests.leaks import secrets_in

ROOT = Path(__file__).resolve().parents[2]


class EdgeProcess:
    """One edge, started and killed any number of times, always at the same address.

    Args:
        settings: of the edge, by the names of its fields.
        log: its file, which grows.
    """

    def __init__(self, settings: Mapping[str, object], log: Path) -> None:
        (port,) = free_ports(1, taken=set())
        self.url = f"http://127.0.0.1:{port}"
        self._settings = {**settings, "listen": f"127.0.0.1:{port}"}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        named = {f"SPEECHMESH_EDGE_{name.upper()}": str(value) for name, value in self._settings.items()}
        named["SPEECHMESH_DATABASE_URL"] = named.pop("SPEECHMESH_EDGE_DATABASE_URL")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SPEECHMESH_")}
        environ |= {"PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}", **named}
        with self._log.open("ab") as log:
            self._process = await asyncio.to_thread(
                subprocess.Popen, [sys.executable, "-P", "-m", "services.edge"], env=environ, stdout=log, stderr=log
            )
        async with aiohttp.ClientSession() as session:
            for _ in range(600):
                assert self._process.poll() is None, self._log.read_text()
                try:
                    async with session.get(f"{self.url}/v1/models") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    pass
                await asyncio.sleep(0.05)
        raise AssertionError(self._log.read_text())

    def kill(self) -> None:
        """End it as the kernel does when memory runs out: at once, and it learns nothing of it."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Tell it to end, and wait until it has."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None
            assert secrets_in(self._log.read_text()) == []
