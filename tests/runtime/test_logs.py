import json
import logging

import pytest
import structlog

from services.runtime.logs import configure_logs, get_logger


@pytest.fixture(autouse=True)
def _restore() -> object:
    yield
    structlog.reset_defaults()
    logging.basicConfig(handlers=[], force=True)


def test_json_lines_carry_service_request_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("asr", log_format="json")

    with structlog.contextvars.bound_contextvars(request_id="job-17"):
        get_logger().info("rpc", seconds=1.5)
    logging.getLogger("some.package").warning("careful")

    ours, theirs = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (ours["service"], ours["request_id"], ours["event"], ours["seconds"]) == (
        "asr",
        "job-17",
        "rpc",
        1.5,
    )
    assert (theirs["event"], theirs["level"]) == ("careful", "warning")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_traceback_never_shows_local_variables(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    configure_logs("asr", log_format=log_format)  # type: ignore[arg-type]

    def fail(transcript: str) -> None:
        raise ValueError("broken")

    try:
        fail(" ".join(["what the patient", "said"]))
    except ValueError:
        get_logger().exception("failed")

    logged = capsys.readouterr().err
    assert "ValueError: broken" in logged
    assert "patient said" not in logged


def test_what_is_below_the_level_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("asr", level="warning")

    get_logger().info("quiet")

    assert capsys.readouterr().err == ""
