from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_status import rpc_status

from services.runtime.errors import INTERNAL_MESSAGE, TABLE, Fault, MeshError
from services.runtime.grpc_errors import CallEnd, from_rpc_error, to_status
from speechmesh.asr.v1 import asr_pb2, asr_pb2_grpc
from tests.loopback import serving


def _received(error: MeshError) -> MeshError:
    rich = rpc_status.to_status(to_status(error))
    metadata = grpc.aio.Metadata(*rich.trailing_metadata)
    return from_rpc_error(grpc.aio.AioRpcError(rich.code, grpc.aio.Metadata(), metadata, rich.details), "asr")


@pytest.mark.parametrize("fault", Fault)
def test_an_error_survives_the_wire(fault: Fault) -> None:
    sent = MeshError(fault, "A sentence.", code="its_code", field="model", retry_after_seconds=2.5)

    received = _received(sent)

    assert (
        received.fault,
        received.message,
        received.code,
        received.field,
        received.retry_after_seconds,
    ) == (
        fault,
        "A sentence.",
        "its_code",
        "model",
        2.5,
    )


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (grpc.StatusCode.UNAVAILABLE, Fault.UNAVAILABLE),
        (grpc.StatusCode.CANCELLED, Fault.UNAVAILABLE),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Fault.TOO_SLOW),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Fault.INTERNAL),
        (grpc.StatusCode.UNKNOWN, Fault.INTERNAL),
        (grpc.StatusCode.INTERNAL, Fault.INTERNAL),
    ],
)
def test_the_transports_own_text_is_never_shown(code: grpc.StatusCode, fault: Fault) -> None:
    error = from_rpc_error(
        grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "secret host 10.0.0.1"), "asr"
    )

    assert error.fault is fault
    assert "secret" not in error.message
    assert TABLE[fault].retry == (error.retry_after_seconds is not None)


class _Refusing(asr_pb2_grpc.AsrServiceServicer):
    async def Recognize(self, request_iterator: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        raise MeshError(Fault.OVERLOADED, "Full.", code="queue_full")
        yield  # an async generator, as real servicers are

    async def ListModels(self, request: Any, context: Any) -> Any:
        raise RuntimeError("secret")


async def test_a_refusal_while_we_still_write_keeps_its_status() -> None:
    codes = set()
    async with (
        serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(_Refusing(), server)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        for _ in range(40):
            requests = [asr_pb2.RecognizeRequest(audio=bytes(100_000))] * 3
            call = asr_pb2_grpc.AsrServiceStub(channel).Recognize(iter(requests))
            end = CallEnd(call)
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call.read()
            codes.add(end.explain(failed.value, "asr").code)

    assert codes == {"queue_full"}


async def test_an_unexpected_error_leaves_without_its_text() -> None:
    async with (
        serving(lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(_Refusing(), server)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await asr_pb2_grpc.AsrServiceStub(channel).ListModels(asr_pb2.ListModelsRequest())

    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.INTERNAL, INTERNAL_MESSAGE)
