import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from services.models.child import last_lines, run_child


def test_output_goes_to_the_log_and_the_status_comes_back(tmp_path: Path) -> None:
    code = "import os, sys; print(os.environ['WORD']); sys.stderr.write('b\\n'); sys.exit(3)"
    assert run_child([sys.executable, "-c", code], tmp_path / "log", WORD="a") == 3
    assert sorted((tmp_path / "log").read_text().split()) == ["a", "b"]


def test_the_last_lines_of_a_log_make_one_line(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("1\n2\n\n  3\n4\n")
    assert last_lines(tmp_path / "log") == "2 | 3 | 4"


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_dies_with_its_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    child = f"import os, time; open({str(tmp_path / 'pid.new')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    child = child.replace("; time", f"; os.rename({str(tmp_path / 'pid.new')!r}, {str(tmp_path / 'pid')!r}); time")
    parent = (
        "import pathlib, sys; from services.models.child import run_child; "
        f"run_child([sys.executable, '-c', {child!r}], pathlib.Path({str(tmp_path / 'log')!r}))"
    )
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen([sys.executable, "-c", parent], env={**os.environ, "PYTHONPATH": root})
    deadline = time.monotonic() + 10
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    pid = int((tmp_path / "pid").read_text())
    assert is_running(pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(pid)
