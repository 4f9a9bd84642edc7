import hashlib
from pathlib import Path

from services.models.manifest import FileRecord, Manifest, read_manifest, record_folder, write_manifest

MANIFEST = Manifest(
    id="tiny",
    source="pypi",
    origin=("a==1", "b==2"),
    prepared_by="some.module/1",
    downloaded=(FileRecord("a.bin", 3, "00"),),
    files=(FileRecord("sub/b.bin", 4, "11"),),
)


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    assert read_manifest(tmp_path) == MANIFEST
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_a_folder_without_a_readable_manifest_has_none(tmp_path: Path) -> None:
    assert read_manifest(tmp_path / "nowhere") is None
    for text in ("", "{", "[]", "{}", '{"format": 99}', '{"format": 1, "id": "tiny"}'):
        (tmp_path / "manifest.json").write_text(text)
        assert read_manifest(tmp_path) is None


def test_a_folder_is_recorded_with_all_files_but_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.bin").write_bytes(b"four")
    (tmp_path / "a.bin").write_bytes(b"")
    write_manifest(tmp_path, MANIFEST)
    counted: list[int] = []
    assert record_folder(tmp_path, counted.append) == (
        FileRecord("a.bin", 0, hashlib.sha256(b"").hexdigest()),
        FileRecord("sub/b.bin", 4, hashlib.sha256(b"four").hexdigest()),
    )
    assert sum(counted) == 4
