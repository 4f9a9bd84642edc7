from services.runtime.threads import calm_threads


def test_threads_are_bounded_and_wait_asleep() -> None:
    environ: dict[str, str] = {}

    calm_threads(2, environ)

    assert environ["OMP_NUM_THREADS"] == "2"
    assert environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_what_the_operator_set_stays() -> None:
    environ = {"OMP_NUM_THREADS": "7"}

    calm_threads(2, environ)

    assert environ["OMP_NUM_THREADS"] == "7"
