"""What holds in a real decoder is in test_media.py; here, in what order things are given up."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

CONFINED = """
import json, os, resource, sys
sys.path.append(sys.argv[1])
from services.edge.confinement import begin_confinement, confine
from services.edge.decoder_protocol import Job

def can_open():
    try:
        os.close(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        return False
    return True

begin_confinement()
told = [resource.getrlimit(kind) for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE)] + [can_open()]
confine(Job(60, 7, 1 << 31), 3)
told += [can_open(), len(bytes(1 << 20))]
print(json.dumps(told), flush=True)
os._exit(0)
"""


def test_the_server_writes_no_file_and_a_decoder_opens_none_either() -> None:
    done = subprocess.run([sys.executable, "-c", CONFINED, str(ROOT)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[0, 0], [0, 0], True, False, 1 << 20]
