"""The one form in which audio travels inside the mesh: 16 kHz mono signed 16-bit little-endian PCM."""

SAMPLE_RATE = 16_000
"""Samples a second."""

SAMPLE_BYTES = 2
"""Bytes a sample."""

MAX_CHUNK_BYTES = 1024 * 1024
"""Most audio that one message may carry."""


def seconds(byte_count: int) -> float:
    """Return how long `byte_count` bytes of PCM last."""
    return byte_count / (SAMPLE_RATE * SAMPLE_BYTES)


def byte_count(seconds: float) -> int:
    """Return how many bytes `seconds` of PCM take, a whole number of samples."""
    return int(seconds * SAMPLE_RATE) * SAMPLE_BYTES
