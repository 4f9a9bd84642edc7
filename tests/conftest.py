"""What tests of several parts share: where recordings and models are."""

import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from services.models.catalogue import model_folder
from services.models.folders import default_models_dir

# No test asserts a time: a busy machine must not fail a property.
settings.register_profile("speechmesh", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("speechmesh")

ROOT = Path(__file__).resolve().parent.parent
DEV_DATA = ROOT.parent / "shared" / "data" / "dev"


@pytest.fixture(scope="session")
def two_speakers() -> Path:
    """The real two-speaker recording in pyannote.audio's wheel: 30 s, with .rttm and .stm beside it."""
    # find_spec of the top package imports nothing: the package itself takes seconds and warns.
    spec = importlib.util.find_spec("pyannote")
    assert spec is not None
    for folder in spec.submodule_search_locations or []:
        sample = Path(folder) / "audio" / "sample" / "sample.wav"
        if sample.exists():
            return sample
    raise AssertionError("pyannote.audio carries no sample")


@pytest.fixture(scope="session")
def dev_data() -> Path:
    """The development recordings beside the checkout."""
    if not DEV_DATA.is_dir():
        pytest.skip(f"no development recordings at {DEV_DATA}")
    return DEV_DATA


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder of pulled models."""
    return default_models_dir(os.environ)


@pytest.fixture(scope="session")
def tiny_en(models_dir: Path) -> Path:
    """The folder of Whisper tiny.en."""
    return model_folder(models_dir, "tiny.en")
