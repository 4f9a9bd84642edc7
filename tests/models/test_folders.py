from pathlib import Path

import pytest

from services.models.folders import default_data_dir, default_models_dir
from services.runtime.errors import Fault, MeshError


def test_the_data_folder_is_under_the_home_folder_unless_configured() -> None:
    assert default_data_dir({"HOME": "/home/ann"}) == Path("/home/ann/.local/share/speechmesh")


def test_the_xdg_data_home_moves_the_data_folder() -> None:
    assert default_data_dir({"HOME": "/home/ann", "XDG_DATA_HOME": "/data"}) == Path("/data/speechmesh")


def test_an_empty_or_relative_xdg_data_home_is_ignored_as_its_specification_says() -> None:
    for value in ("", "relative/path"):
        folder = default_data_dir({"HOME": "/home/ann", "XDG_DATA_HOME": value})
        assert folder == Path("/home/ann/.local/share/speechmesh")


def test_the_models_folder_is_in_the_data_folder_unless_configured() -> None:
    env = {"HOME": "/home/ann", "SPEECHMESH_DATA": "/srv/mesh"}
    assert default_models_dir(env) == Path("/srv/mesh/models")
    assert default_models_dir({**env, "SPEECHMESH_MODELS_DIR": "/models"}) == Path("/models")


def test_without_a_home_folder_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    # A user id without a passwd entry, as containers have them.
    monkeypatch.setattr(Path, "home", classmethod(nobody))
    with pytest.raises(MeshError, match=r"^HOME is not set; set SPEECHMESH_DATA\.$") as caught:
        default_data_dir({})
    assert caught.value.fault is Fault.INVALID
    assert default_data_dir({"SPEECHMESH_DATA": "/srv/mesh"}) == Path("/srv/mesh")
