from pathlib import Path

import pytest

from services.models.catalogue import Model
from services.models.pull import pull
from services.models.staging import staging_for
from services.models.verify import Problem, verify
from tests.models.tiny_model import World


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    """The folder of the pulled model."""
    world.keep_wheels(staging_for(tmp_path / "models", "tiny"))
    return pull(world.model, tmp_path / "models")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_sound_folder_has_no_problems_and_every_byte_is_read(world: World, folder: Path) -> None:
    read: list[int] = []
    assert verify(world.model, folder, read.append) == []
    assert sum(read) == world.model.bytes


def test_a_flipped_byte_is_found(world: World, folder: Path) -> None:
    flip(folder / "tokens" / "list.txt")
    (problem,) = verify(world.model, folder)
    assert problem.path == "tokens/list.txt"
    assert "has SHA-256" in problem.text


def test_a_missing_a_short_and_a_strange_file_are_named(world: World, folder: Path) -> None:
    (folder / "tokens" / "list.txt").unlink()
    (folder / "model.bin").write_bytes(b"short")
    (folder / "extra.pkl").write_bytes(b"")
    assert verify(world.model, folder) == [
        Problem("model.bin", "has 5 bytes, not 262144"),
        Problem("tokens/list.txt", "is missing"),
        Problem("extra.pkl", "does not belong there"),
    ]


def test_a_manifest_that_was_changed_to_fit_does_not_help(world: World, folder: Path) -> None:
    flip(folder / "model.bin")
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace(world.model.files[0].sha256, "0" * 64))
    assert verify(world.model, folder) == [Problem("manifest.json", "is missing or of another model or version")]


def test_a_flipped_byte_of_a_prepared_file_is_found(world: World, prepared_model: Model, tmp_path: Path) -> None:
    world.keep_wheels(staging_for(tmp_path / "models", "tiny"))
    folder = pull(prepared_model, tmp_path / "models")
    assert verify(prepared_model, folder) == []
    flip(folder / "reversed.bin")
    assert [problem.path for problem in verify(prepared_model, folder)] == ["reversed.bin"]
