"""What holds in a real decoder is in test_decoders.py; here, what is given up."""

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


LOWERED = """
import json, os, resource, sys
sys.path.append(sys.argv[1])
from services.edge import confinement, seccomp
from services.edge.decoder_protocol import Job

seccomp.install = lambda: False  # it could not be asked any more
resource.setrlimit(resource.RLIMIT_CPU, (3, 4))
resource.setrlimit(resource.RLIMIT_DATA, (1 << 29, resource.RLIM_INFINITY))
confinement.confine(Job(60, 7, 1 << 31), 3, os.getppid())
print(json.dumps([resource.getrlimit(resource.RLIMIT_CPU), resource.getrlimit(resource.RLIMIT_DATA)]), flush=True)
os._exit(0)
"""


def test_a_limit_that_is_lower_already_stays() -> None:
    assert json.loads(confined(LOWERED).stdout) == [[3, 3], [1 << 29, 1 << 29]]


def test_who_has_lost_its_parent_meanwhile_ends() -> None:
    done = confined(CONFINED.replace("os.getppid()", "1 << 22"))
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "")
