import pytest

from services.summarize.config import SummarizeSettings


@pytest.fixture(autouse=True)
def _models_dir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEECHMESH_MODELS_DIR", "/models")


@pytest.mark.parametrize(("device", "told", "limit"), [("cpu", "", 8192), ("cuda", "", 16_384), ("cpu", "2000", 2000)])
def test_the_longest_prompt_depends_on_the_device_unless_told(
    device: str, told: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPEECHMESH_SUMMARIZE_DEVICE", device)
    monkeypatch.setenv("SPEECHMESH_SUMMARIZE_MAX_INPUT_TOKENS", told)

    assert SummarizeSettings().token_limit == limit
