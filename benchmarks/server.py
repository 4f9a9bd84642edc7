"""The side under test: a running Speechmesh, reached as any caller reaches it, or started for the purpose."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests

from services.models.folders import default_models_dir

ATTEMPTS = 5
READY_SECONDS = 900.0
REQUEST_SECONDS = 3600.0
# More than the supervisor itself gives its services.
STOP_SECONDS = 90.0

_READY = re.compile(r"Speechmesh is ready at (\S+)")
_KEY = re.compile(r"API key \(kept in .*\): (\S+)")


class ServerError(Exception):
    """The server refused or could not be reached; the text says why."""


@dataclass(frozen=True)
class Server:
    """Where to send recordings."""

    url: str
    key: str | None = None
    model: str | None = None
    """Model to ask for; the server's default when None."""
    diarize_address: str | None = None
    """gRPC address of its diarize service, where known."""

    def transcribe(self, path: Path, *, diarize: bool, language: str | None) -> dict[str, Any]:
        """Return the verbose_json answer for one file; waits and asks again when the server is busy.

        Raises:
            ServerError: it answered with an error that does not pass, or not at all.
        """
        fields = {"response_format": "verbose_json", "diarize": str(diarize).lower()}
        if language:
            fields["language"] = language
        if self.model:
            fields["model"] = self.model
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        for attempt in range(1, ATTEMPTS + 1):
            response = self._post(path, fields, headers)
            if response.ok:
                return _json(path, response)
            if response.status_code not in (429, 503) or attempt == ATTEMPTS:
                break
            time.sleep(_pause_seconds(response))
        raise ServerError(f"{path.name}: HTTP {response.status_code}: {response.text[:500]}")

    def _post(self, path: Path, fields: dict[str, str], headers: dict[str, str]) -> requests.Response:
        try:
            with path.open("rb") as file:
                return requests.post(
                    f"{self.url.rstrip('/')}/v1/transcribe",
                    files={"file": (path.name, file)},
                    data=fields,
                    headers=headers,
                    timeout=REQUEST_SECONDS,
                )
        except requests.RequestException as error:
            raise ServerError(f"{path.name}: no answer from {self.url}: {error}") from error


def _json(path: Path, response: requests.Response) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = response.json()
    except requests.JSONDecodeError as error:
        raise ServerError(f"{path.name}: HTTP {response.status_code}, but no JSON: {error}") from error
    return answer


def _pause_seconds(response: requests.Response) -> float:
    told = response.headers.get("Retry-After", "")
    return min(float(told), 60.0) if told.isdecimal() else 5.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def started(model: str | None = None) -> Iterator[Server]:
    """Run `speechmesh up` on a free port with a data folder (and so a key) of its own; stop it in the end.

    The models are those of the usual models folder.

    Raises:
        ServerError: it ended, or was not ready in time; its last lines are in the text.
    """
    root = Path(__file__).resolve().parent.parent
    port, diarize_address = _free_port(), f"127.0.0.1:{_free_port()}"
    with tempfile.TemporaryDirectory(prefix="speechmesh-quality-") as data:
        environ = {
            **os.environ,
            "PYTHONPATH": f"{root}:{root / 'protos'}",
            "SPEECHMESH_MODELS_DIR": str(default_models_dir(os.environ).absolute()),
            "SPEECHMESH_DIARIZE_LISTEN": diarize_address,
        }
        command = [sys.executable, "-P", "-m", "services.cli", "up", "--port", str(port), "--data", data]
        process = subprocess.Popen(
            command, cwd=root, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            yield replace(_when_ready(process, model), diarize_address=diarize_address)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _when_ready(process: "subprocess.Popen[str]", model: str | None) -> Server:
    lines: list[str] = []
    ready = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        # Read to the end, or a full pipe would stop the server.
        with process.stdout as output:
            for line in output:
                if not ready.is_set():
                    lines.append(line)
                    if _READY.search(line):
                        ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    in_time = ready.wait(READY_SECONDS)
    output = "".join(lines)
    url = _READY.search(output)
    if not in_time or url is None:
        raise ServerError(f"`speechmesh up` did not become ready:\n{''.join(lines[-20:])}")
    key = _KEY.search(output)
    return Server(url[1], key[1] if key else None, model)
