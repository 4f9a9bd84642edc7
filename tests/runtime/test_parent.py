import os
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from services.runtime import parent

ROOT = Path(__file__).parents[2]

CHILD = """
import os, sys, time
from services.runtime import parent
if sys.argv[1] == "poll":
    parent.ask_kernel = lambda: False
    parent.POLL_SECONDS = 0.05
parent.die_with_parent(int(sys.argv[2]) if len(sys.argv) > 2 else None)
print("alive", os.environ.get(parent.PARENT_PID), flush=True)
time.sleep(60)
"""

PARENT = f"""
import os, subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, "-c", {CHILD!r}, sys.argv[1]],
    env={{**os.environ, "SPEECHMESH_PARENT_PID": str(os.getpid())}},
)
print(child.pid, flush=True)
time.sleep(60)
"""


def start(code: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("way", ["kernel", "poll"])
def test_a_process_ends_with_a_parent_that_is_killed(way: str) -> None:
    with start(PARENT, way) as mother:
        assert mother.stdout is not None
        child = psutil.Process(int(mother.stdout.readline()))
        assert mother.stdout.readline() == "alive None\n"
        mother.kill()
        assert not psutil.wait_procs([child], timeout=5)[1]


def test_a_process_whose_parent_is_already_gone_ends_at_once() -> None:
    with start(CHILD, "kernel", "1") as child:
        assert child.wait(timeout=5) == -9


def test_without_a_parent_named_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(parent.PARENT_PID, raising=False)
    parent.die_with_parent()
    assert os.getpid() > 0


def test_a_parent_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(parent.PARENT_PID, "mother")
    with pytest.raises(ValueError, match="mother"):
        parent.die_with_parent()
