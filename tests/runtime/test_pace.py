import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.pace import Pace


def test_at_first_a_device_is_guessed_to_be_ten_times_faster_than_speech() -> None:
    assert Pace(4).real_time_factor == 0.1
    assert Pace(4).seconds_for(60.0) == pytest.approx(6.0)


def test_workers_share_the_work() -> None:
    pace = Pace(2)
    pace.observe(10.0, 4.0)

    assert pace.real_time_factor == pytest.approx(0.2)
    assert pace.seconds_for(100.0) == pytest.approx(20.0)


def test_work_on_audio_that_was_counted_before_makes_it_slower() -> None:
    pace = Pace(1)
    pace.observe(10.0, 1.0)
    pace.observe(0.0, 2.0)

    assert pace.real_time_factor == pytest.approx(0.3, rel=0.02)


def test_work_before_any_audio_is_done_leaves_the_guess() -> None:
    pace = Pace(1)
    pace.observe(0.0, 2.0)

    assert pace.real_time_factor == 0.1


def test_it_follows_what_the_device_did_lately() -> None:
    pace = Pace(1)
    for _ in range(500):
        pace.observe(10.0, 10.0)
    for _ in range(200):
        pace.observe(10.0, 1.0)

    assert pace.real_time_factor == pytest.approx(0.1, rel=0.2)


def test_one_slow_batch_is_no_trend() -> None:
    pace = Pace(1)
    for _ in range(100):
        pace.observe(10.0, 1.0)
    pace.observe(10.0, 10.0)

    assert pace.real_time_factor < 0.13


@given(st.lists(st.tuples(st.floats(0.1, 30.0), st.floats(0.01, 10.0)), min_size=1, max_size=200), st.integers(1, 16))
def test_it_lies_between_the_fastest_and_the_slowest_batch(batches: list[tuple[float, float]], workers: int) -> None:
    pace = Pace(workers)
    for audio, busy in batches:
        pace.observe(audio, busy)

    factors = [busy / audio / workers for audio, busy in batches]
    assert min(factors) * 0.999 <= pace.real_time_factor <= max(factors) * 1.001
