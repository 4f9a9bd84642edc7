import pytest

from services.runtime.settings import WrongSettings, read_settings
from services.summarize.config import SummarizeSettings
from services.summarize.parts import SHORTEST_LIMIT


def settings(**told: str) -> SummarizeSettings:
    environ = {f"SPEECHMESH_SUMMARIZE_{name.upper()}": value for name, value in told.items()}
    return read_settings(SummarizeSettings, {"SPEECHMESH_MODELS_DIR": "/models", **environ})


@pytest.mark.parametrize(
    ("device", "told", "tokens"), [("cpu", "", 1024), ("cuda", "", 2048), ("cpu", "4000", 4000), ("cuda", "1024", 1024)]
)
def test_how_much_is_read_at_once_depends_on_the_device_unless_told(device: str, told: str, tokens: int) -> None:
    assert settings(device=device, part_tokens=told).tokens_of_part == tokens


@pytest.mark.parametrize("tokens", [SHORTEST_LIMIT - 1, 16_385])
def test_a_part_takes_the_longest_sentence_and_no_more_than_a_model_can_read(tokens: int) -> None:
    with pytest.raises(WrongSettings, match="PART_TOKENS"):
        settings(part_tokens=f"{tokens}")


@pytest.mark.parametrize("rows", ["0", "1", "257"])
def test_there_is_a_row_for_one_request_and_one_for_the_others(rows: str) -> None:
    with pytest.raises(WrongSettings, match="ROWS"):
        settings(rows=rows)


def test_a_setting_of_former_times_is_told() -> None:
    with pytest.raises(WrongSettings, match="MAX_INPUT_TOKENS: no such setting"):
        settings(max_input_tokens="2000")
