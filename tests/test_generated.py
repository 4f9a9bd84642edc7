"""The generated code is what the protos say."""

from pathlib import Path

from services.cli.protos import generate

ROOT = Path(__file__).resolve().parent.parent


def test_generating_again_changes_nothing(tmp_path: Path) -> None:
    generate(ROOT / "protos", tmp_path)

    fresh = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*_pb2*")}
    kept = {path.relative_to(ROOT / "protos"): path.read_bytes() for path in (ROOT / "protos").rglob("*_pb2*.py*")}
    kept = {path: text for path, text in kept.items() if path.suffix in {".py", ".pyi"}}
    assert len(fresh) > 10
    assert fresh == kept
