"""The import contracts bite: breaking each on purpose is reported."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _lint(root: Path) -> tuple[int, str]:
    environ = {**os.environ, "PYTHONPATH": f"{root}:{root / 'protos'}"}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=root,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "services", tmp_path / "services", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "protos", tmp_path / "protos", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_are_kept_as_things_are(checkout: Path) -> None:
    code, report = _lint(checkout)

    assert code == 0, report


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("edge/merge.py", "import torch", "No model library"),
        ("runtime/spans.py", "import transformers", "No model library"),
        ("asr/server.py", "import ctranslate2", "No model library"),
        ("asr/engine.py", "import grpc", "know nothing of the wire"),
        ("diarize/campplus.py", "import aiohttp", "know nothing of the wire"),
        ("audio/pcm.py", "from speechmesh.asr.v1 import asr_pb2", "know nothing of the wire"),
        ("edge/clients.py", "import services.asr.engine", "Services know their runtime"),
        ("summarize/server.py", "import services.diarize.engine", "Services know their runtime"),
        ("runtime/errors.py", "import services.edge.form", "Services know their runtime"),
    ],
)
def test_a_contract_broken_on_purpose_is_reported(checkout: Path, module: str, line: str, broken: str) -> None:
    path = checkout / "services" / module
    path.write_text(f"{path.read_text()}\n{line}\n")

    code, report = _lint(checkout)

    assert code == 1
    assert any(broken in text and "BROKEN" in text for text in report.splitlines())
