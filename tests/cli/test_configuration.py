import subprocess
import sys
from pathlib import Path

import pytest

from services.cli.configuration import configured_ports, grace_seconds, require_keys_file, require_valid
from services.runtime.errors import MeshError

ROOT = Path(__file__).parents[2]
SOUND = {"SPEECHMESH_MODELS_DIR": "/models", "SPEECHMESH_PORT": "80", "HOME": "/root"}


def test_every_wrong_variable_is_named_once() -> None:
    wrong = {**SOUND, "SPEECHMESH_LOG_LEVEL": "loud", "SPEECHMESH_PROT": "1", "SPEECHMESH_EDGE_METRICS_LISTEN": "x"}
    with pytest.raises(MeshError) as caught:
        require_valid(wrong)
    for name in ("SPEECHMESH_LOG_LEVEL", "SPEECHMESH_PROT", "SPEECHMESH_EDGE_METRICS_LISTEN"):
        assert caught.value.message.count(f"{name}: ") == 1


def test_the_grace_is_longer_than_the_longest_drain() -> None:
    assert grace_seconds(require_valid(SOUND)) == 25
    assert grace_seconds(require_valid({**SOUND, "SPEECHMESH_EDGE_DRAIN_SECONDS": "120"})) == 125


def test_ports_that_services_were_told_are_known() -> None:
    told = {"SPEECHMESH_ASR_LISTEN": "0.0.0.0:7001", "SPEECHMESH_EDGE_METRICS_LISTEN": "[::1]:9000"}
    assert configured_ports({**told, "SPEECHMESH_DIARIZE_LISTEN": "127.0.0.1:0"}) == {7001, 9000}
    with pytest.raises(MeshError, match="SPEECHMESH_DIARIZE_LISTEN: 'nine'"):
        configured_ports({"SPEECHMESH_DIARIZE_LISTEN": "nine"})


def test_a_file_of_keys_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"\xff\xfe")
    with pytest.raises(MeshError, match="it is not UTF-8"):
        require_keys_file(tmp_path / "keys")


def test_no_model_library_is_imported_to_look_at_settings() -> None:
    code = "import services.cli.configuration, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "ctranslate2", "transformers", "numpy"} & set(done.stdout.split())
