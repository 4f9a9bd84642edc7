from pathlib import Path

from services.models.folders import default_data_dir, default_models_dir


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
