import pytest
from pydantic import ValidationError

from services.diarize.config import DiarizeSettings


@pytest.fixture(autouse=True)
def _models_dir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEECHMESH_MODELS_DIR", "/models")


def test_the_cpu_takes_longer_steps_than_a_gpu() -> None:
    assert DiarizeSettings().step == 0.2
    assert DiarizeSettings(device="cuda").step == 0.1


def test_a_configured_step_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEECHMESH_DIARIZE_SEGMENTATION_STEP", "0.5")

    assert DiarizeSettings().step == 0.5


@pytest.mark.parametrize("step", ["0", "1.5", "-0.1", "often"])
def test_a_step_outside_the_window_is_refused(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    monkeypatch.setenv("SPEECHMESH_DIARIZE_SEGMENTATION_STEP", step)

    with pytest.raises(ValidationError, match="segmentation_step"):
        DiarizeSettings()
