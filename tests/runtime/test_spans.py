import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.spans import to_duration, to_progress, to_seconds, to_span


@given(st.floats(0, 1e6))
def test_seconds_survive_to_the_microsecond(seconds: float) -> None:
    assert to_seconds(to_duration(seconds)) == pytest.approx(seconds, abs=1e-6)


@given(st.floats(0, 1e5), st.floats(0, 1e5))
def test_the_order_of_times_survives(one: float, other: float) -> None:
    start, end = sorted((one, other))

    span = to_span(start, end)

    assert to_seconds(span.start_offset) <= to_seconds(span.end_offset)


def test_progress_stays_between_0_and_1() -> None:
    assert to_progress(1, 1.5).completed_ratio == 1
    assert to_progress(1, -1).completed_ratio == 0
