"""`manifest.json`: what a pulled model folder holds, and where it came from.

It is written last, so a folder with a manifest is a complete one. For a model that was prepared on this
machine (see `services.models.preparation`) it is also the only record of the prepared files' hashes: those
depend on the machine's libraries and cannot be pinned in the catalogue.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MANIFEST_NAME = "manifest.json"
FORMAT = 1
_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class FileRecord:
    """One file: its path in the folder (with `/`), its size in bytes and its SHA-256 in lower-case hex."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What one pull left behind."""

    id: str
    """The model's public id."""
    source: str
    """`pypi` or `hub`."""
    origin: tuple[str, ...]
    """`name==version` of each package, or the one `repository@revision` of the hub."""
    prepared_by: str
    """The preparation and its version; empty if the files are used as they were downloaded."""
    downloaded: tuple[FileRecord, ...]
    """The publisher's files, as pinned in the catalogue; a prepared folder no longer holds them."""
    files: tuple[FileRecord, ...]
    """The files in the folder."""


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into `folder`, through to the disk."""
    text = json.dumps({"format": FORMAT, **asdict(manifest)}, indent=2) + "\n"
    temporary = folder / f".{MANIFEST_NAME}.new"
    with temporary.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(folder / MANIFEST_NAME)


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of `folder`, or None if there is none that this version can read."""
    try:
        data = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
        if data.pop("format") != FORMAT:
            return None
        return Manifest(
            id=data["id"],
            source=data["source"],
            origin=tuple(data["origin"]),
            prepared_by=data["prepared_by"],
            downloaded=_records(data["downloaded"]),
            files=_records(data["files"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _records(rows: list[dict[str, Any]]) -> tuple[FileRecord, ...]:
    return tuple(FileRecord(str(row["path"]), int(row["bytes"]), str(row["sha256"])) for row in rows)


def sha256_of(path: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """Return the SHA-256 of a file in lower-case hex; `on_bytes` hears of each block's size."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while block := source.read(_BLOCK_BYTES):
            digest.update(block)
            if on_bytes is not None:
                on_bytes(len(block))
    return digest.hexdigest()


def record_folder(folder: Path, on_bytes: Callable[[int], None] | None = None) -> tuple[FileRecord, ...]:
    """Return a record of every file under `folder`, the manifest left out, sorted by path."""
    own = folder / MANIFEST_NAME
    paths = (path for path in folder.rglob("*") if path.is_file() and path != own)
    return tuple(
        FileRecord(path.relative_to(folder).as_posix(), path.stat().st_size, sha256_of(path, on_bytes))
        for path in sorted(paths)
    )
