"""Hashing what lies in a model's folder against what should."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.models.catalogue import Model, expected_files
from services.models.manifest import MANIFEST_NAME, FileRecord, sha256_of


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a model's folder."""

    path: str
    """The file, relative to the folder."""
    text: str
    """What is wrong with it."""


def verify(model: Model, folder: Path, on_bytes: Callable[[int], None] | None = None) -> list[Problem]:
    """Hash every file of the folder; an empty list means that all is right.

    The publisher's files are held to the catalogue's hashes, prepared files to those in the manifest.
    `on_bytes` hears of each block's size.
    """
    expected = expected_files(folder, model)
    if expected is None:
        return [Problem(MANIFEST_NAME, "is missing or of another model or version")]
    problems = [problem for record in expected if (problem := _check(folder, record, on_bytes))]
    known = {record.path for record in expected} | {MANIFEST_NAME}
    found = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
    return problems + [Problem(path, "does not belong there") for path in found if path not in known]


def _check(folder: Path, record: FileRecord, on_bytes: Callable[[int], None] | None) -> Problem | None:
    path = folder / record.path
    if not path.is_file():
        return Problem(record.path, "is missing")
    size = path.stat().st_size
    if size != record.bytes:
        return Problem(record.path, f"has {size} bytes, not {record.bytes}")
    found = sha256_of(path, on_bytes)
    if found != record.sha256:
        return Problem(record.path, f"has SHA-256 {found}, not {record.sha256}")
    return None
