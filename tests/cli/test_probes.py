from collections.abc import AsyncIterator

import grpc
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from services.cli.ports import free_ports
from services.cli.probes import GrpcHealth, HttpHealth


@pytest.fixture
async def grpc_server() -> AsyncIterator[tuple[str, HealthServicer]]:
    server = grpc.aio.server()
    servicer = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}", servicer
    await server.stop(None)


async def test_a_grpc_server_is_healthy_when_it_says_serving(grpc_server: tuple[str, HealthServicer]) -> None:
    target, servicer = grpc_server
    async with GrpcHealth(target).open() as is_serving:
        await servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        assert not await is_serving()
        await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        assert await is_serving()


async def test_where_nobody_listens_nothing_is_healthy() -> None:
    port = free_ports(1)[0]
    async with GrpcHealth(f"127.0.0.1:{port}").open() as is_serving:
        assert not await is_serving()
    async with HttpHealth(f"http://127.0.0.1:{port}/health").open() as is_serving:
        assert not await is_serving()


@pytest.mark.parametrize(
    ("status", "body", "healthy"),
    [
        (200, '{"status": "ok"}', True),
        (200, "{}", True),
        (200, '{"status": "degraded"}', False),
        (503, '{"status": "unavailable"}', False),
        (503, '{"status": "ok"}', False),
        (200, "<html>", False),
        (200, "[]", False),
    ],
)
async def test_an_http_server_is_healthy_when_it_answers_that_all_is_well(
    status: int, body: str, healthy: bool
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/health", answer)
    async with TestServer(app) as server, HttpHealth(str(server.make_url("/health"))).open() as is_serving:
        assert await is_serving() is healthy
