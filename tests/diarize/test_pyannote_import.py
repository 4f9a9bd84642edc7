import subprocess
import sys

import pytest

PROGRAM = """
import os, sys, warnings
os.environ["PYANNOTE_METRICS_ENABLED"] = "1"
warnings.simplefilter("error")
import services.diarize.campplus
from pyannote.audio.telemetry.metrics import is_metrics_enabled
print(is_metrics_enabled())
"""


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_telemetry_is_off_whatever_the_environment_says() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=200)

    assert done.stdout == "False\n", done.stderr
