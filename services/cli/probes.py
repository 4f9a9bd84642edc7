"""Whether a program serves, asked the way its callers would."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.channels import open_channel

PROBE_SECONDS = 5.0
"""How long one question may take."""


Probe = Callable[[], Awaitable[bool]]
"""Tells whether a program serves now; never raises for one that does not answer."""


class Health(Protocol):
    """Where and how a program is asked for its health."""

    def open(self) -> AbstractAsyncContextManager[Probe]:
        """Return the context in which it can be asked; what that holds open is closed at its end."""


@dataclass(frozen=True)
class GrpcHealth:
    """Healthy when the standard health service (grpc.health.v1) says SERVING for the whole server."""

    target: str
    """`host:port`."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Probe]:
        """Return the probe over one channel."""
        async with open_channel(self.target) as channel:
            stub = health_pb2_grpc.HealthStub(channel)

            async def ask() -> bool:
                try:
                    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=PROBE_SECONDS)
                except grpc.aio.AioRpcError:
                    return False
                return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

            yield ask


@dataclass(frozen=True)
class HttpHealth:
    """Healthy when the URL answers 200, with `"status": "ok"` where the answer has a status."""

    url: str
    """What is fetched."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Probe]:
        """Return the probe over one client session."""
        timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:

            async def ask() -> bool:
                try:
                    async with session.get(self.url) as response:
                        answer = await response.json()
                        return response.status == 200 and answer.get("status", "ok") == "ok"
                except (TimeoutError, aiohttp.ClientError, ValueError, AttributeError):
                    return False

            yield ask
