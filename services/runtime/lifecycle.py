"""The life of a gRPC process: listen, load, warm up, serve, drain.

The server listens before the model is loaded, so that health checks get an honest NOT_SERVING instead of a
refused connection. SERVING follows only on a warm-up inference. SIGTERM and SIGINT drain: health says
NOT_SERVING, running calls get `drain_seconds` to finish, new ones are refused.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from services.runtime import metrics
from services.runtime.errors import Fault, MeshError
from services.runtime.interceptors import CallInterceptor
from services.runtime.logs import get_logger

Engine = TypeVar("Engine")

_THREADS = 128
"""More than any setting lets run at once."""

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

SERVER_OPTIONS = (
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    # Left on, two minutes of PCM sit in buffers before the sender feels that we do not read.
    ("grpc.http2.bdp_probe", 0),
    # Two processes on one port would share its calls silently.
    ("grpc.so_reuseport", 0),
    # DNS clients look for new replicas only when a connection ends.
    ("grpc.max_connection_age_ms", 300_000),
)
"""What every gRPC server of ours is told."""


class Loading(Generic[Engine]):
    """An engine that is there only after a while.

    Servicers are built before the engine and ask for it at each call.
    """

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def set(self, engine: Engine) -> None:
        """Make the engine available."""
        self._engine = engine

    def get(self) -> Engine:
        """Return the engine; raises MeshError (UNAVAILABLE) while it is loading."""
        if self._engine is None:
            raise MeshError(Fault.UNAVAILABLE, "The model is still loading.", code="loading")
        return self._engine


async def serve_grpc(
    *,
    listen: str,
    metrics_listen: str,
    drain_seconds: float,
    service_name: str,
    register: Callable[[grpc.aio.Server], None],
    load: Callable[[], None],
    drain: Callable[[], None] = lambda: None,
) -> int:
    """Run one gRPC process until it is told to stop; return its exit code.

    Args:
        listen: `host:port` of the gRPC server.
        metrics_listen: `host:port` of the metrics.
        drain_seconds: how long running calls may take to finish.
        service_name: full protobuf name of the service.
        register: adds the servicer to the server.
        load: blocking; loads the engine and runs one real inference. When it raises, the process ends.
        drain: called when it is told to stop, for calls that do not end by themselves.
    """
    # Requests hold a thread each while they run; the default pool would make some wait behind their slot.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
    stop = asyncio.Event()
    with _stop_on_signals(stop):
        server = grpc.aio.server(interceptors=[CallInterceptor()], options=SERVER_OPTIONS)
        health = await _add_health(server, service_name)
        register(server)
        _add_reflection(server, service_name)
        server.add_insecure_port(listen)
        metrics_port, _ = metrics.serve_metrics(metrics_listen)
        await server.start()
        get_logger().info("listening", address=listen, metrics_port=metrics_port)
        loaded = await _load(load, stop)
        if loaded:
            await _set_health(health, service_name, _SERVING)
            metrics.READY.set(1)
            get_logger().info("serving", address=listen)
            await stop.wait()
        drain()
        await _drain(server, health, drain_seconds)
    return 0 if loaded or stop.is_set() else 1


def _add_reflection(server: grpc.aio.Server, service_name: str) -> None:
    health = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
    reflection.enable_server_reflection((service_name, health, reflection.SERVICE_NAME), server)


async def _load(load: Callable[[], None], stop: asyncio.Event) -> bool:
    loading = asyncio.ensure_future(asyncio.to_thread(load))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not loading.done():
        return False
    error = loading.exception()
    if isinstance(error, MeshError):
        get_logger().error("load_failed", reason=error.message)
    elif error is not None:
        get_logger().error("load_failed", exc_info=error)
    return error is None


async def _add_health(server: grpc.aio.Server, service_name: str) -> HealthServicer:
    health = HealthServicer()
    await _set_health(health, service_name, _NOT_SERVING)
    # Alive from the start: a process is not restarted because its model takes long to load.
    await health.set("liveness", _SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    return health


async def _set_health(health: HealthServicer, service_name: str, status: int) -> None:
    for name in ("", service_name, "readiness"):
        await health.set(name, status)


async def _drain(server: grpc.aio.Server, health: HealthServicer, seconds: float) -> None:
    get_logger().info("draining", seconds=seconds)
    metrics.READY.set(0)
    await health.enter_graceful_shutdown()
    await server.stop(seconds)
    get_logger().info("stopped")


@contextlib.contextmanager
def _stop_on_signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
