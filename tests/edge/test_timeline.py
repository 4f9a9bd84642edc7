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


def test_a_jump_of_a_broadcasts_clock_is_a_pause_where_other_tracks_have_filled_it() -> None:
    timeline = Timeline(0.0, 1_000.0, broadcast=True)
    timeline.place(0.0, 5.0, 0.0)
    timeline.place(5.0, 5.0, 0.005)
    assert timeline.place(300.0, 10.0, 0.3)
    timeline.place(310.0, 10.0, 0.31)
    assert timeline.position == pytest.approx(320.0)
    assert not timeline.place(800.0, 10.0, 0.32), "nothing of the file lies between them"
    assert timeline.skipped == pytest.approx(480.0)
    assert timeline.place(860.0, 10.0, 0.33), "of up to a minute a receiver's clock is believed"
    assert timeline.position == pytest.approx(390.0)


def test_a_broadcast_without_end_has_short_pauses_only() -> None:
    timeline = Timeline(0.0, None, broadcast=True)
    timeline.place(0.0, 10.0, 0.0)
    assert timeline.place(40.0, 10.0, 0.1)
    assert not timeline.place(400.0, 10.0, 0.9)


def test_does_not_believe_a_pause_without_end() -> None:
    timeline = Timeline(0.0, None, broadcast=False)
    assert not timeline.place(1e9, 1.0)
    assert timeline.position == 1.0
