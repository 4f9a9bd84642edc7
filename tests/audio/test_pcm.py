from hypothesis import given
from hypothesis import strategies as st

from services.audio.pcm import MAX_CHUNK_BYTES, SAMPLE_BYTES, byte_count, seconds


def test_a_second_is_32000_bytes() -> None:
    assert seconds(32_000) == 1.0
    assert byte_count(1.0) == 32_000


@given(st.floats(0, 1e5))
def test_bytes_are_whole_samples_and_never_more_than_asked(duration: float) -> None:
    count = byte_count(duration)

    assert count % SAMPLE_BYTES == 0
    assert duration - 1 / 16_000 - 1e-9 <= seconds(count) <= duration + 1e-9


def test_the_largest_chunk_holds_whole_samples() -> None:
    assert MAX_CHUNK_BYTES % SAMPLE_BYTES == 0
