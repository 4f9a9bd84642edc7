from hypothesis import given
from hypothesis import strategies as st

from services.cli.restarts import WRONG_SETTINGS_EXIT_CODE, RestartLimits, RestartPolicy

LIMITS = RestartLimits(first_delay=0.5, longest_delay=30.0, healthy_for=60.0, attempts=5)


def test_the_pause_doubles_up_to_its_limit() -> None:
    policy = RestartPolicy(LIMITS)
    policy.healthy(0.0)
    pauses = [policy.exited(float(second), 1) for second in range(9)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_a_minute_of_health_makes_earlier_failures_forgotten() -> None:
    policy = RestartPolicy(LIMITS)
    policy.healthy(0.0)
    policy.exited(1.0, -9)
    policy.exited(2.0, -9)
    policy.healthy(10.0)
    assert policy.exited(70.0, -9) == 0.5


def test_a_short_health_keeps_the_count_of_failures() -> None:
    policy = RestartPolicy(LIMITS)
    policy.healthy(0.0)
    policy.exited(1.0, 1)
    policy.healthy(10.0)
    assert policy.exited(69.0, 1) == 1.0


def test_a_program_that_was_never_healthy_is_given_up_at_the_last_attempt() -> None:
    policy = RestartPolicy(LIMITS)
    assert [policy.exited(0.0, 1) for _ in range(5)] == [0.5, 1.0, 2.0, 4.0, None]


def test_wrong_settings_are_given_up_at_once() -> None:
    assert RestartPolicy(LIMITS).exited(0.0, WRONG_SETTINGS_EXIT_CODE) is None


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 500), st.integers(-15, 255)), max_size=1200),
)
def test_a_program_that_was_healthy_once_is_always_started_again(runs: list[tuple[bool, float, int]]) -> None:
    policy = RestartPolicy(LIMITS)
    policy.healthy(0.0)
    now = 0.0
    for becomes_healthy, lasts, exit_code in runs:
        if becomes_healthy:
            policy.healthy(now)
        now += lasts
        pause = policy.exited(now, exit_code)
        assert pause is not None
        assert LIMITS.first_delay <= pause <= LIMITS.longest_delay
        now += pause


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 59)), min_size=1, max_size=40))
def test_without_a_long_health_the_pause_never_shrinks(runs: list[tuple[bool, float]]) -> None:
    policy = RestartPolicy(LIMITS)
    policy.healthy(0.0)
    now, last = 0.0, 0.0
    for becomes_healthy, lasts in runs:
        now += lasts
        pause = policy.exited(now, 1)
        assert pause is not None
        assert pause >= last
        last = pause
        if becomes_healthy:
            policy.healthy(now)
