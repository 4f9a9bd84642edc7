"""A recording that arrives in parts over a gRPC stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from services.audio.pcm import MAX_CHUNK_BYTES, SAMPLE_BYTES, seconds
from services.runtime.errors import Fault, MeshError, invalid_field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Recording:
    """PCM as it comes in, kept as a whole."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._byte_count = 0

    @property
    def seconds(self) -> float:
        """How much audio has come."""
        return seconds(self._byte_count)

    def append(self, chunk: bytes) -> None:
        """Add a chunk of whole samples."""
        self._pcm += chunk
        self._byte_count += len(chunk)

    def samples(self) -> NDArray[np.float32]:
        """Return the samples as float32 in [-1, 1), shape (n,), and let the PCM go: to be called once."""
        import numpy as np  # here, so that the edge can import the runtime without it

        pcm, self._pcm = self._pcm, bytearray()
        samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
        samples /= 32768.0
        return samples


async def receive_config(requests: AsyncIterator[Any]) -> Any:
    """Return the `config` of the first message.

    Args:
        requests: messages with a oneof `request` of `config` and `audio`.

    Raises:
        MeshError: INVALID when there is none.
    """
    async for request in requests:
        if request.WhichOneof("request") == "config":
            return request.config
        break
    raise invalid_field("config", "The first message must carry `config`.")


def check_chunk(audio: bytes) -> bytes:
    """Return one message's audio.

    Raises:
        MeshError: INVALID; it is longer than `MAX_CHUNK_BYTES`, or ends within a sample.
    """
    if len(audio) > MAX_CHUNK_BYTES:
        raise invalid_field("audio", f"A message carries at most {MAX_CHUNK_BYTES} bytes of audio.")
    if len(audio) % SAMPLE_BYTES:
        raise invalid_field("audio", "A message must carry whole 16-bit samples: an even number of bytes.")
    return audio


async def receive_audio(requests: AsyncIterator[Any], max_seconds: float) -> AsyncIterator[bytes]:
    """Yield the `audio` of every further message: whole samples, at most `MAX_CHUNK_BYTES`.

    Args:
        requests: messages with a oneof `request` of `config` and `audio`.
        max_seconds: most audio that is taken in all.

    Raises:
        MeshError: INVALID for a message that is malformed or out of order, TOO_LARGE for one too many.
    """
    byte_count = 0
    async for request in requests:
        if request.WhichOneof("request") != "audio":
            raise invalid_field("audio", "After the first message, every message carries `audio`.")
        chunk = check_chunk(request.audio)
        byte_count += len(chunk)
        if seconds(byte_count) > max_seconds:
            raise MeshError(
                Fault.TOO_LARGE,
                f"Recordings of up to {max_seconds:g} seconds are taken.",
                code="recording_too_long",
                field="audio",
            )
        yield chunk
