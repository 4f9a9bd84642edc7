"""The services behind the edge: a channel to each, and what is known of its health."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.channels import open_channel
from services.runtime.grpc_errors import CallEnd, unavailable
from services.runtime.logs import get_logger

_CHECK_SECONDS = 1.0
_CHECK_EAGERLY_SECONDS = 0.2


class Tier:
    """One service behind the edge.

    Health is asked once a second (a Watch stream would be simpler, but an open one holds up the other side's
    drain); a call that fails for want of a peer counts as an answer too.

    Args:
        name: `asr`, `diarize` or `summarize`; part of error codes.
        target: its gRPC target.
    """

    def __init__(self, name: str, target: str) -> None:
        self.name = name
        self.channel = open_channel(target)
        self._health = health_pb2_grpc.HealthStub(self.channel)
        self._serving = asyncio.Event()
        self._lost = asyncio.Event()

    @property
    def serving(self) -> bool:
        """Whether it said so when last asked."""
        return self._serving.is_set()

    async def wait_serving(self, seconds: float) -> None:
        """Wait until it serves; raises MeshError (UNAVAILABLE) after `seconds`."""
        if self.serving:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._serving.wait()
        except TimeoutError:
            raise unavailable(self.name) from None

    @contextlib.contextmanager
    def errors(self, call: Any) -> Iterator[None]:
        """Turn the failure of `call`, just made to this tier, into a MeshError."""
        end = CallEnd(call)
        try:
            yield
        except grpc.aio.AioRpcError as error:
            translated = end.explain(error, self.name)
            if translated.code == unavailable(self.name).code:
                self._note(serving=False)
            raise translated from error

    async def watch(self) -> None:
        """Ask for its health until cancelled."""
        while True:
            self._note(serving=await self._check())
            pause = _CHECK_SECONDS if self.serving else _CHECK_EAGERLY_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._lost.wait()
                    self._lost.clear()

    async def close(self) -> None:
        """Close the channel."""
        await self.channel.close()

    async def _check(self) -> bool:
        try:
            answer = await self._health.Check(health_pb2.HealthCheckRequest(service=""), timeout=2.0)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def _note(self, *, serving: bool) -> None:
        if serving == self.serving:
            return
        get_logger().info("tier", name=self.name, serving=serving)
        if serving:
            self._serving.set()
        else:
            self._serving.clear()
            self._lost.set()
