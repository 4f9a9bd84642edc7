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


def test_on_the_cpu_a_worker_for_every_core_computes_with_one_thread() -> None:
    settings = DiarizeSettings(threads=6)

    assert (settings.workers, settings.threads_of_one_computation) == (6, 1)


def test_a_gpu_has_one_worker() -> None:
    settings = DiarizeSettings(device="cuda", threads=6)

    assert (settings.workers, settings.threads_of_one_computation) == (1, 6)


def test_a_buffer_shorter_than_a_few_blocks_is_refused() -> None:
    with pytest.raises(ValidationError, match="buffer_seconds"):
        DiarizeSettings(buffer_seconds=10)
