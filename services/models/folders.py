"""Where Speechmesh keeps what it must not lose: the data folder, and the models inside it."""

from collections.abc import Mapping
from pathlib import Path

from services.runtime.errors import Fault, MeshError


def default_data_dir(env: Mapping[str, str]) -> Path:
    """Return the data folder: `SPEECHMESH_DATA`, else `speechmesh` under the XDG data home.

    Raises:
        MeshError: INVALID when neither says where, and there is no home folder.
    """
    configured = env.get("SPEECHMESH_DATA")
    if configured:
        return Path(configured).expanduser()
    # The XDG base directory specification: an unset, empty or relative value means the default.
    data_home = Path(env.get("XDG_DATA_HOME") or "")
    if not data_home.is_absolute():
        data_home = _home(env) / ".local" / "share"
    return data_home / "speechmesh"


def default_models_dir(env: Mapping[str, str]) -> Path:
    """Return the models folder: `SPEECHMESH_MODELS_DIR`, else `models` in the data folder."""
    configured = env.get("SPEECHMESH_MODELS_DIR")
    return Path(configured).expanduser() if configured else default_data_dir(env) / "models"


def _home(env: Mapping[str, str]) -> Path:
    if env.get("HOME"):
        return Path(env["HOME"])
    try:
        return Path.home()
    except RuntimeError as error:
        raise MeshError(Fault.INVALID, "HOME is not set; set SPEECHMESH_DATA.", field="data") from error
