import json
from pathlib import Path

import pytest

from services.summarize.convert import convert, main
from tests.summarize.tiny_qwen import CHAT_TEMPLATE, WINDOW, write_tiny_gguf


def read(folder: Path, name: str) -> dict[str, object]:
    content: dict[str, object] = json.loads((folder / name).read_text())
    return content


def test_a_prepared_folder_loads_with_weights_tokenizer_and_chat_template(tiny_qwen: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_qwen, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(tiny_qwen, local_files_only=True)

    assert model.dtype is torch.bfloat16
    assert model.config.max_position_embeddings == tokenizer.model_max_length == WINDOW
    assert tokenizer.chat_template == CHAT_TEMPLATE
    text = "Grüße, 안녕 und مرحبا"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_two_copies_of_one_matrix_become_one(tiny_qwen: Path) -> None:
    from safetensors import safe_open

    with safe_open(tiny_qwen / "model.safetensors", framework="pt") as weights:
        names = set(weights.keys())

    assert "lm_head.weight" not in names
    assert "model.embed_tokens.weight" in names
    assert read(tiny_qwen, "config.json")["tie_word_embeddings"] is True


def test_it_stops_at_the_end_of_a_turn_and_at_the_end_of_the_text(tiny_qwen: Path) -> None:
    assert read(tiny_qwen, "generation_config.json")["eos_token_id"] == [258, 256]


def test_equal_input_gives_equal_bytes_that_everybody_may_read(tiny_qwen: Path, tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "tiny.gguf")
    convert(tmp_path, tmp_path / "again")

    first = {path.name: path.read_bytes() for path in tiny_qwen.iterdir()}
    again = {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert first == again
    assert {path.stat().st_mode & 0o777 for path in tiny_qwen.iterdir()} == {0o644}


def test_a_folder_without_a_gguf_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["convert", str(tmp_path), str(tmp_path / "target")])

    with pytest.raises(SystemExit) as left:
        main()

    assert left.value.code == 1
    assert "exactly one .gguf file; it has 0" in capsys.readouterr().err


def test_a_gguf_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "tiny.gguf", chat_template=None)

    with pytest.raises(ValueError, match="no chat template"):
        convert(tmp_path, tmp_path / "target")
