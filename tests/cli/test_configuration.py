import subprocess
import sys
from pathlib import Path

import pytest

from services.cli.configuration import configured_ports, grace_seconds, require_valid
from services.runtime.errors import MeshError

ROOT = Path(__file__).parents[2]
SOUND = {
    "SPEECHMESH_MODELS_DIR": "/models",
    "SPEECHMESH_DATABASE_URL": "postgresql://edge:secret@db/accounts",
    "SPEECHMESH_PORT": "80",
    "HOME": "/root",
}


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


def test_the_database_has_to_be_named() -> None:
    settings = {name: value for name, value in SOUND.items() if name != "SPEECHMESH_DATABASE_URL"}
    with pytest.raises(MeshError, match="SPEECHMESH_DATABASE_URL: Field required"):
        require_valid(settings)


@pytest.mark.parametrize("url", ["mysql://edge:hunter2@db/accounts", "postgresql://edge:hunter2@db:port/accounts"])
def test_the_password_of_a_wrong_database_is_not_repeated(url: str) -> None:
    with pytest.raises(MeshError, match="SPEECHMESH_DATABASE_URL: it must read ") as caught:
        require_valid({**SOUND, "SPEECHMESH_DATABASE_URL": url})
    assert "hunter2" not in caught.value.message


def test_the_settings_do_not_show_the_password() -> None:
    assert "secret" not in repr(require_valid(SOUND))


def test_no_model_library_is_imported_to_look_at_settings() -> None:
    code = "import services.cli.configuration, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "ctranslate2", "transformers", "numpy"} & set(done.stdout.split())
