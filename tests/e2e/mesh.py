"""A whole mesh with real models for the tests beside this file."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mesh:
    """A running mesh."""

    supervisor: psutil.Process
    url: str
    key: str
    data: Path

    def transcribe(self, file: bytes, **fields: str) -> requests.Response:
        """Send a recording."""
        return requests.post(
            f"{self.url}/v1/transcribe",
            headers={"Authorization": f"Bearer {self.key}"},
            files={"file": ("recording.wav", file)},
            data=fields,
            timeout=240,
        )

    def service(self, name: str) -> psutil.Process:
        """Return the process of a service."""
        (found,) = [child for child in self.supervisor.children() if f"services.{name}" in child.cmdline()]
        return found

    def wait_until_whole(self) -> None:
        """Wait until every tier serves."""
        for _ in range(600):
            try:
                if requests.get(f"{self.url}/health", timeout=5).json()["status"] == "ok":
                    return
            except requests.ConnectionError:
                pass
            time.sleep(0.1)
        raise AssertionError("the mesh did not recover")


def start(data: Path, models_dir: Path) -> tuple[subprocess.Popen[bytes], str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SPEECHMESH_")}
    environ |= {"PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}", "SPEECHMESH_MODELS_DIR": str(models_dir)}
    command = [sys.executable, "-P", "-m", "services.cli", "up", "--port", "0", "--data", str(data)]
    log = data / "log"
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environ, stdout=output, stderr=subprocess.STDOUT)
    for _ in range(1200):
        text = log.read_text()
        if "Speechmesh is ready at " in text:
            return process, text
        assert process.poll() is None, text
        time.sleep(0.1)
    raise AssertionError(log.read_text())
