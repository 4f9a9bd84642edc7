"""Real servers on loopback for tests of every part."""

import contextlib
from collections.abc import AsyncIterator, Callable

import grpc

from services.runtime.interceptors import CallInterceptor
from services.runtime.lifecycle import SERVER_OPTIONS


@contextlib.asynccontextmanager
async def serving(*register: Callable[[grpc.aio.Server], object]) -> AsyncIterator[str]:
    """Serve gRPC on a free loopback port, framed and held back as every service is; yield its address."""
    server = grpc.aio.server(interceptors=[CallInterceptor()], options=SERVER_OPTIONS)
    for add in register:
        add(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
