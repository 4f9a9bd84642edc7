import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.cli.ports import free_ports

# Fixtures of conftest.py, whose classes cannot be imported from here.
Supervise = Callable[..., Any]
Gone = Callable[[list[psutil.Process]], bool]


def mesh(notes: Path) -> list[tuple[str, list[str], int]]:
    first, second, front = free_ports(3)
    return [
        ("asr", ["serve", str(first), str(notes), "asr"], first),
        ("diarize", ["serve", str(second), str(notes), "diarize"], second),
        ("edge", ["front", str(front), str(notes), "edge"], front),
    ]


def test_a_killed_program_is_started_again_and_ready_is_said_once(supervise: Supervise, tmp_path: Path) -> None:
    supervisor = supervise(mesh(tmp_path / "notes"))
    supervisor.wait_for("READY")
    assert all(f"{name} serves after" in supervisor.output for name in ("asr", "diarize", "edge"))
    first = supervisor.child("asr")
    first.kill()
    supervisor.wait_for(r"asr ended \(SIGKILL\); starting it again in 0.05 s")
    supervisor.wait_for("asr serves after", since=supervisor.output.index("SIGKILL"))
    assert supervisor.child("asr").pid != first.pid
    supervisor.process.terminate()
    assert supervisor.exit_code() == 0
    assert supervisor.output.count("READY") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_front_first_and_leaves_nothing(
    supervise: Supervise, gone: Gone, tmp_path: Path, number: signal.Signals
) -> None:
    notes = tmp_path / "notes"
    supervisor = supervise(mesh(notes))
    supervisor.wait_for("READY")
    children = supervisor.children()
    assert len(children) == 3
    supervisor.process.send_signal(number)
    assert supervisor.exit_code() == 0
    assert gone(children)
    stopped = notes.read_text().split()
    assert stopped[0] == "edge"
    assert sorted(stopped[1:]) == ["asr", "diarize"]


def test_a_signal_before_anything_serves_is_a_clean_stop(supervise: Supervise, tmp_path: Path) -> None:
    supervisor = supervise([("asr", ["crash", "1"], free_ports(1)[0])])
    supervisor.wait_for("starting it again")
    supervisor.process.send_signal(signal.SIGINT)
    assert supervisor.exit_code() == 0


def test_what_a_killed_program_had_started_is_killed_too(supervise: Supervise, gone: Gone, port: int) -> None:
    supervisor = supervise([("asr", ["family", str(port)], port)])
    grandchild = psutil.Process(int(supervisor.wait_for(r"grandchild (\d+)")[1]))
    supervisor.wait_for("READY")
    supervisor.child("family").kill()
    assert gone([grandchild])


def test_a_program_that_never_comes_up_is_given_up_with_its_last_lines(
    supervise: Supervise, gone: Gone, tmp_path: Path
) -> None:
    programs = mesh(tmp_path / "notes")
    programs[0] = ("asr", ["crash", "1"], programs[0][2])
    supervisor = supervise(programs)
    assert supervisor.exit_code() == 1
    assert supervisor.output.count("asr ended (exit code 1)") == 2
    told = supervisor.output[supervisor.output.index("asr does not start") :]
    assert "the reason why" in told
    assert gone(started_with(str(tmp_path)))


def started_with(word: str) -> list[psutil.Process]:
    everybody = psutil.process_iter(["cmdline"])
    return [process for process in everybody if any(word in part for part in process.info["cmdline"] or [])]


def test_wrong_settings_are_given_up_at_once(supervise: Supervise, port: int) -> None:
    supervisor = supervise([("asr", ["crash", "2"], port)])
    assert supervisor.exit_code() == 1
    assert "starting it again" not in supervisor.output


def test_a_command_that_does_not_exist_is_given_up(supervise: Supervise, port: int) -> None:
    supervisor = supervise([("asr", ["/nonexistent/program"], port)])
    assert supervisor.exit_code() == 1
    assert "asr|cannot start /nonexistent/program: " in supervisor.output


def test_a_program_that_ignores_sigterm_is_killed_after_the_grace(supervise: Supervise, gone: Gone, port: int) -> None:
    supervisor = supervise([("asr", ["stubborn", str(port)], port)], GRACE="0.3")
    supervisor.wait_for("READY")
    children = supervisor.children()
    supervisor.process.terminate()
    assert supervisor.exit_code() == 0
    assert "asr did not stop within 0.3 s; killing it" in supervisor.output
    assert gone(children)


def test_the_second_signal_kills_at_once(supervise: Supervise, gone: Gone, port: int) -> None:
    supervisor = supervise([("asr", ["stubborn", str(port)], port)], GRACE="60")
    supervisor.wait_for("READY")
    children = supervisor.children()
    supervisor.process.send_signal(signal.SIGINT)
    supervisor.wait_for("SIGINT: stopping")
    supervisor.process.send_signal(signal.SIGINT)
    assert supervisor.exit_code() == 1
    assert gone(children)


def test_garbage_in_the_output_does_no_harm(supervise: Supervise, port: int) -> None:
    supervisor = supervise([("asr", ["garbage", str(port)], port)])
    supervisor.wait_for("READY")
    assert "asr|\\xff\\xfe\\x1b[31m\n" in supervisor.output
    assert "\x1b" not in supervisor.output
    assert max(len(line) for line in supervisor.output.splitlines()) < 20_000
    supervisor.process.terminate()
    assert supervisor.exit_code() == 0
    assert "asr|no end" in supervisor.output


def test_no_program_outlives_a_killed_supervisor(supervise: Supervise, gone: Gone, tmp_path: Path) -> None:
    supervisor = supervise(mesh(tmp_path / "notes"))
    supervisor.wait_for("READY")
    children = supervisor.children()
    assert len(children) == 3
    supervisor.process.kill()
    assert gone(children)


def test_a_supervisor_killed_while_its_programs_start_leaves_none(
    supervise: Supervise, gone: Gone, tmp_path: Path
) -> None:
    supervisor = supervise(mesh(tmp_path / "notes"))
    end = time.monotonic() + 5
    while len(children := supervisor.children()) < 3 and time.monotonic() < end:
        time.sleep(0.005)
    supervisor.process.kill()
    assert len(children) == 3
    assert gone(children)
