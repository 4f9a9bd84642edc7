import asyncio
import os
import signal
import threading
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.cli.ports import free_ports
from services.runtime.errors import Fault, MeshError
from services.runtime.lifecycle import Loading, serve_grpc

_NAME = "speechmesh.asr.v1.AsrService"
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def _serve(port: int, load: Any) -> "asyncio.Task[int]":
    return asyncio.ensure_future(
        serve_grpc(
            listen=f"127.0.0.1:{port}",
            metrics_listen="127.0.0.1:0",
            drain_seconds=2,
            service_name=_NAME,
            register=lambda server: None,
            load=load,
        )
    )


async def _health(stub: Any, service: str = "") -> int:
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), wait_for_ready=True, timeout=10)
    return int(answer.status)


async def test_a_process_serves_only_after_its_load_and_stops_on_sigterm() -> None:
    (port,) = free_ports(1)
    may_load = threading.Event()
    process = _serve(port, lambda: may_load.wait(10))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        before = [await _health(stub, name) for name in ("", _NAME, "readiness", "liveness")]
        may_load.set()
        for _ in range(200):
            after = [await _health(stub, name) for name in ("", _NAME, "readiness", "liveness")]
            if after[0] == _SERVING:
                break
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

        assert await asyncio.wait_for(process, 10) == 0
    assert before == [_NOT_SERVING, _NOT_SERVING, _NOT_SERVING, _SERVING]
    assert after == [_SERVING] * 4


async def test_a_load_that_fails_ends_the_process_with_an_error() -> None:
    def load() -> None:
        raise MeshError(Fault.UNAVAILABLE, "no such model")

    assert await asyncio.wait_for(_serve(*free_ports(1), load), 10) == 1


def test_an_engine_that_is_not_there_yet_says_so() -> None:
    loading: Loading[int] = Loading()

    with pytest.raises(MeshError, match="still loading"):
        loading.get()
    loading.set(5)

    assert loading.get() == 5
