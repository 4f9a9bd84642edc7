import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.cli.data_folder import ensure_key, locked, read_key
from services.runtime.errors import MeshError


def test_the_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    data = tmp_path / "some" / "data"
    with locked(data):
        assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_a_second_user_of_the_folder_is_told_who_has_it(tmp_path: Path) -> None:
    holding = "import sys; from pathlib import Path; from services.cli.data_folder import locked\n"
    holding += f"with locked(Path({str(tmp_path)!r})):\n    print(flush=True)\n    sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(MeshError, match=rf"process {other.pid}\).*--data"), locked(tmp_path):
            pass
        other.kill()
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_a_readable_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MeshError, match="cannot be used"), locked(tmp_path / "file" / "data"):
        pass


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "api-key"
    key, made = ensure_key(path)
    assert made
    assert key.startswith("sk-")
    assert len(key) >= 35
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == f"{key}\n"
    assert ensure_key(path) == (key, False)
    assert read_key(path) == key
    assert [entry.name for entry in tmp_path.iterdir()] == ["api-key"]


def test_many_at_once_make_one_key(tmp_path: Path) -> None:
    path = tmp_path / "api-key"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(ensure_key, [path] * 32))
    assert {key for key, _ in keys} == {read_key(path)}
    assert sum(made for _, made in keys) == 1


def test_an_empty_key_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "api-key"
    path.write_text("\n")
    with pytest.raises(MeshError, match="is empty"):
        ensure_key(path)
    assert read_key(path) is None


def test_a_key_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "api-key"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(MeshError, match="it is not UTF-8"):
        ensure_key(path)
    assert read_key(path) is None


def test_no_key_is_read_where_there_is_none(tmp_path: Path) -> None:
    assert read_key(tmp_path / "api-key") is None
