from dataclasses import replace
from pathlib import Path

import pytest

from services.models.catalogue import Model, Preparation
from services.models.preparation import prepare
from services.models.progress import ignore_progress
from services.models.staging import Staging
from services.runtime.errors import MeshError
from tests.models.tiny_model import World


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    made = Staging(tmp_path / "partial")
    made.open()
    (made.files / "model.bin").write_bytes(b"abc")
    return made


def test_a_model_without_preparation_is_published_as_downloaded(world: World, staging: Staging) -> None:
    assert prepare(world.model, staging, ignore_progress) == staging.files


def test_the_module_turns_one_folder_into_another(prepared_model: Model, staging: Staging) -> None:
    staging.prepared.mkdir()
    (staging.prepared / "half").write_bytes(b"of an interrupted preparation")
    folder = prepare(prepared_model, staging, ignore_progress)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"reversed.bin": b"cba"}


def test_a_failing_module_is_an_error_with_its_last_words(
    prepared_model: Model, staging: Staging, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("raise SystemExit('no memory left')")
    model = replace(prepared_model, preparation=Preparation("broken", 1, 1))
    with pytest.raises(MeshError, match="with broken failed: no memory left"):
        prepare(model, staging, ignore_progress)
    assert (staging.files / "model.bin").exists()


def test_a_module_that_writes_nothing_is_an_error(prepared_model: Model, staging: Staging, tmp_path: Path) -> None:
    (tmp_path / "idle.py").write_text("")
    with pytest.raises(MeshError):
        prepare(replace(prepared_model, preparation=Preparation("idle", 1, 1)), staging, ignore_progress)


def test_folders_in_the_users_own_place_shadow_nothing(
    prepared_model: Model, staging: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoy = tmp_path / "decoy" / "services"
    decoy.mkdir(parents=True)
    (decoy / "__init__.py").write_text("raise SystemExit('shadowed')\n")
    stand_in = tmp_path / "stand_in.py"
    stand_in.write_text(f"import services.models\n{stand_in.read_text()}")
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    monkeypatch.chdir(decoy.parent)
    assert (prepare(prepared_model, staging, ignore_progress) / "reversed.bin").read_bytes() == b"cba"
