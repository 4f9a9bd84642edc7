import asyncio

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from services.edge.tiers import Tier
from services.runtime.errors import Fault, MeshError
from tests.loopback import serving


async def _until(tier: Tier, serving_now: bool) -> None:
    for _ in range(1000):
        if tier.serving == serving_now:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"serving is still {tier.serving}")


async def test_a_tier_follows_what_its_service_says() -> None:
    health = HealthServicer()
    async with serving(lambda server: health_pb2_grpc.add_HealthServicer_to_server(health, server)) as address:
        tier = Tier("asr", address)
        watching = asyncio.ensure_future(tier.watch())
        await tier.wait_serving(10)
        await health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        await _until(tier, False)
        await health.set("", health_pb2.HealthCheckResponse.SERVING)
        await _until(tier, True)
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching
        await tier.close()


async def test_who_waits_too_long_for_a_tier_is_told_which() -> None:
    tier = Tier("diarize", "127.0.0.1:1")

    with pytest.raises(MeshError) as refused:
        await tier.wait_serving(0.05)
    await tier.close()

    assert (refused.value.fault, refused.value.code) == (Fault.UNAVAILABLE, "diarize_unavailable")
