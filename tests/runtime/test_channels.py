import grpc
import pytest

from services.runtime.channels import open_channel
from speechmesh.asr.v1 import asr_pb2, asr_pb2_grpc


async def test_a_target_where_nobody_listens_fails_at_once() -> None:
    async with open_channel("127.0.0.1:1") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await asr_pb2_grpc.AsrServiceStub(channel).ListModels(asr_pb2.ListModelsRequest(), timeout=10)

    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
