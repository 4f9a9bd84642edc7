"""What holds in a real decoder is in test_media.py; here, what is given up."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from services.edge import seccomp

ROOT = Path(__file__).parents[2]

CONFINED = """
import json, os, resource, sys
sys.path.append(sys.argv[1])
from services.edge.confinement import confine
from services.edge.decoder_protocol import Job

def can_open():
    try:
        os.close(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        return False
    return True

told = [can_open()]
told += [confine(Job(60, 7, 1 << 31), 3, os.getppid())]
told += [can_open(), len(bytes(1 << 20))]
print(json.dumps(told), flush=True)
os._exit(0)
"""


def confined(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script, str(ROOT)], capture_output=True, text=True, check=False)


def test_a_decoder_opens_no_file_any_more_and_still_has_memory() -> None:
    filtered = seccomp.is_supported()
    assert json.loads(confined(CONFINED).stdout) == [True, filtered, False, 1 << 20]


def test_a_limit_that_is_lower_already_stays() -> None:
    lowered = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (3, 3))\n"
    assert json.loads(confined(lowered + CONFINED).stdout)[2:] == [False, 1 << 20]


def test_who_has_lost_its_parent_meanwhile_ends() -> None:
    done = confined(CONFINED.replace("os.getppid()", "1 << 22"))
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "")
