import subprocess
import sys
from pathlib import Path

import pytest

from services.runtime.threads import calm_threads

_ROOT = Path(__file__).resolve().parents[2]


def test_threads_are_bounded_and_wait_asleep() -> None:
    environ: dict[str, str] = {}

    calm_threads(2, environ)

    assert environ["OMP_NUM_THREADS"] == "2"
    assert environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environ["OPENBLAS_NUM_THREADS"] == "1"


def test_what_the_operator_set_stays() -> None:
    environ = {"OMP_NUM_THREADS": "7"}

    calm_threads(2, environ)

    assert environ["OMP_NUM_THREADS"] == "7"


@pytest.mark.parametrize("service", ["asr", "diarize", "summarize", "edge"])
def test_nothing_that_computes_is_imported_before_its_threads_are_told(service: str) -> None:
    script = (
        "import sys; sys.path[:0] = ['.', 'protos']\n"
        f"import services.{service}.__main__\n"
        "sys.exit(str(sorted({'numpy', 'torch', 'ctranslate2', 'onnxruntime'} & set(sys.modules))))"
    )

    ended = subprocess.run([sys.executable, "-c", script], cwd=_ROOT, capture_output=True, text=True, check=False)

    assert ended.stderr.strip() == "[]"
