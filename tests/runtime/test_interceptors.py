from typing import Any

import grpc
import pytest

from services.runtime.request_id import METADATA_KEY
from speechmesh.asr.v1 import asr_pb2, asr_pb2_grpc
from tests.loopback import serving


class _Listing(asr_pb2_grpc.AsrServiceServicer):
    async def ListModels(self, request: Any, context: Any) -> Any:
        return asr_pb2.ListModelsResponse()


@pytest.mark.parametrize(("offered", "kept"), [("job-17", True), ("not harmless!", False)])
async def test_the_request_id_is_echoed_or_made(offered: str, kept: bool) -> None:
    async with (
        serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(_Listing(), server)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        call = asr_pb2_grpc.AsrServiceStub(channel).ListModels(
            asr_pb2.ListModelsRequest(), metadata=((METADATA_KEY, offered),)
        )
        await call
        echoed = dict(await call.initial_metadata())[METADATA_KEY]

    assert (echoed == offered) == kept
    assert len(echoed) == (len(offered) if kept else 32)
