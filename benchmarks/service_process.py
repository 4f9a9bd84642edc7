"""One service alone, as a process of its own."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.cli.ports import free_ports
from services.models.folders import default_models_dir

_READY_SECONDS = 300.0
_STOP_SECONDS = 60.0
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class ServiceProcess:
    """A running service."""

    channel: Any
    process: int
    target: str
    """Its gRPC address."""
    metrics: str
    """Address of its metrics."""

    def resident_bytes(self) -> int:
        """Return how much memory the process holds."""
        pages = int(Path(f"/proc/{self.process}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def peak_bytes(self) -> int:
        """Return the most memory that the process has ever held."""
        lines = Path(f"/proc/{self.process}/status").read_text().splitlines()
        (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
        return int(peak) * 1024


@asynccontextmanager
async def running(name: str, **settings: str) -> AsyncIterator[ServiceProcess]:
    """Start `python -m services.NAME`, wait until it serves, and stop it afterwards.

    Args:
        name: of the service.
        settings: its settings in lower case, such as `models="base"`.

    Raises:
        RuntimeError: it ended instead; its log is in the message.
    """
    listen, metrics = (f"127.0.0.1:{port}" for port in free_ports(2))
    prefix = f"SPEECHMESH_{name.upper()}_"
    environ = {
        **os.environ,
        "PYTHONPATH": f"{_ROOT}:{_ROOT / 'protos'}",
        "SPEECHMESH_MODELS_DIR": str(default_models_dir(os.environ)),
        f"{prefix}LISTEN": listen,
        f"{prefix}METRICS_LISTEN": metrics,
        **{f"{prefix}{setting.upper()}": value for setting, value in settings.items()},
    }
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
            [sys.executable, "-m", f"services.{name}"], cwd=_ROOT, env=environ, stdout=log, stderr=log
        )
        try:
            async with grpc.aio.insecure_channel(
                listen, options=[("grpc.max_receive_message_length", 16 * 1024 * 1024)]
            ) as channel:
                await _wait_serving(name, channel, process, log)
                yield ServiceProcess(channel, process.pid, listen, metrics)
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, _STOP_SECONDS)


async def _wait_serving(name: str, channel: Any, process: subprocess.Popen[bytes], log: Any) -> None:
    health: Any = health_pb2_grpc.HealthStub(channel)
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            log.seek(0)
            raise RuntimeError(f"{name} ended with {process.returncode}:\n{log.read().decode()}")
        try:
            answer = await health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=5)
        except grpc.aio.AioRpcError:
            continue
        if answer.status == health_pb2.HealthCheckResponse.SERVING:
            return
        await asyncio.sleep(0.2)
    raise RuntimeError(f"{name} did not become ready")
