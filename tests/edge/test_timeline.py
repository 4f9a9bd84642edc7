import pytest

from services.edge.timeline import Timeline


def test_ignores_jitter_and_pads_pauses() -> None:
    timeline = Timeline(1.0, 60.0, broadcast=False)
    assert not timeline.place(1.05, 1.0)
    assert not timeline.place(None, 1.0)
    assert timeline.place(5.0, 1.0)
    assert timeline.position == pytest.approx(5.0)
    assert not timeline.place(5.5, 1.0), "an overlap keeps its audio"
    assert not timeline.place(500.0, 1.0), "beyond the announced end it is another clock"
    assert not timeline.place(501.02, 1.0)
    assert timeline.position == pytest.approx(8.0)


def test_takes_a_clock_that_starts_again() -> None:
    timeline = Timeline(0.0, None, broadcast=False)
    timeline.place(0.0, 10.0)
    assert not timeline.place(0.0, 10.0)
    assert not timeline.place(10.0, 10.0)
    assert timeline.place(25.0, 10.0)
    assert timeline.position == pytest.approx(45.0)


def test_does_not_believe_a_pause_without_end() -> None:
    timeline = Timeline(0.0, None, broadcast=False)
    assert not timeline.place(1e9, 1.0)
    assert timeline.position == 1.0
