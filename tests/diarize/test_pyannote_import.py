import subprocess
import sys

import pytest

PROGRAM = """
import os, sys, warnings
os.environ["PYANNOTE_METRICS_ENABLED"] = "1"
warnings.simplefilter("error")
{first}
from pyannote.audio.telemetry.metrics import is_metrics_enabled
print(is_metrics_enabled())
"""


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("module", ["pyannote_engine", "campplus"])
def test_telemetry_is_off_whatever_the_environment_says(module: str) -> None:
    program = PROGRAM.format(first=f"import services.diarize.{module}")

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=200)

    assert done.stdout == "False\n", done.stderr
