import threading
from pathlib import Path

import pytest

from services.models.manifest import FileRecord
from services.models.staging import exclusive, require_space, staging_for
from services.runtime.errors import MeshError


def test_the_second_holder_of_a_lock_waits_for_the_first(tmp_path: Path) -> None:
    waiting, order = threading.Event(), []

    def second() -> None:
        with exclusive(tmp_path, "tiny", waiting.set):
            order.append("second")

    with exclusive(tmp_path, "tiny", lambda: order.append("waited")):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(5)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_locks_of_different_models_do_not_meet(tmp_path: Path) -> None:
    waited: list[str] = []
    with (
        exclusive(tmp_path, "a", lambda: waited.append("a")),
        exclusive(tmp_path, "b", lambda: waited.append("b")),
    ):
        assert waited == []


def test_opening_clears_cut_off_downloads_and_keeps_finished_ones(tmp_path: Path) -> None:
    staging = staging_for(tmp_path, "tiny")
    staging.open()
    (staging.root / "new-1").mkdir()
    (staging.wheels / "a.whl").write_bytes(b"whole")
    staging.open()
    assert not (staging.root / "new-1").exists()
    assert (staging.wheels / "a.whl").exists()


def test_files_that_the_catalogue_no_longer_knows_are_removed(tmp_path: Path) -> None:
    staging = staging_for(tmp_path, "tiny")
    staging.open()
    (staging.files / "kept").write_bytes(b"1")
    (staging.files / "old").write_bytes(b"2")
    staging.keep_only([FileRecord("kept", 1, "")])
    assert [path.name for path in staging.files.iterdir()] == ["kept"]


def test_publishing_takes_the_place_of_an_older_folder(tmp_path: Path) -> None:
    staging = staging_for(tmp_path, "tiny")
    staging.open()
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "old").write_bytes(b"1")
    (staging.files / "new").write_bytes(b"2")
    staging.publish(staging.files, tmp_path / "tiny")
    assert [path.name for path in (tmp_path / "tiny").iterdir()] == ["new"]
    assert not staging.root.exists()


def test_a_pull_that_would_fill_the_disk_is_refused_with_both_sizes(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match=r"needs 1000000\.00 GB more .* GB are free") as caught:
        require_space(tmp_path, "tiny", 10**15)
    assert caught.value.code == "disk_full"
