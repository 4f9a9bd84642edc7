from collections.abc import AsyncIterator

import numpy as np
import pytest

from services.runtime.errors import Fault, MeshError
from services.runtime.recording import Recording, receive_audio
from speechmesh.diarize.v1 import diarize_pb2


def test_samples_are_the_chunks_in_order_in_minus_one_to_one() -> None:
    recording = Recording()
    recording.append(np.array([0, 16384], "<i2").tobytes())
    recording.append(np.array([-32768, 32767], "<i2").tobytes())

    samples = recording.samples()

    assert samples.dtype == np.float32
    assert samples.tolist() == [0.0, 0.5, -1.0, 32767 / 32768]
    assert recording.seconds == 4 / 16_000


def test_an_empty_recording_has_no_samples() -> None:
    assert Recording().samples().shape == (0,)


async def _sent(*chunks: bytes) -> AsyncIterator[diarize_pb2.DiarizeRequest]:
    for chunk in chunks:
        yield diarize_pb2.DiarizeRequest(audio=chunk)


async def test_audio_is_given_on_as_it_comes() -> None:
    chunks = [chunk async for chunk in receive_audio(_sent(b"ab", b"", b"cdef"), max_seconds=1)]

    assert chunks == [b"ab", b"", b"cdef"]


@pytest.mark.parametrize(
    ("chunk", "fault"),
    [(b"abc", Fault.INVALID), (bytes(1024 * 1024 + 2), Fault.INVALID), (bytes(64_002), Fault.TOO_LARGE)],
)
async def test_what_cannot_be_taken_is_refused(chunk: bytes, fault: Fault) -> None:
    audio = receive_audio(_sent(b"ab", chunk), max_seconds=2)

    assert await anext(audio) == b"ab"
    with pytest.raises(MeshError) as refused:
        await anext(audio)

    assert refused.value.fault is fault


async def test_a_second_config_is_refused() -> None:
    async def requests() -> AsyncIterator[diarize_pb2.DiarizeRequest]:
        yield diarize_pb2.DiarizeRequest(config=diarize_pb2.DiarizationConfig())

    with pytest.raises(MeshError) as refused:
        await anext(receive_audio(requests(), max_seconds=2))

    assert refused.value.field == "audio"
