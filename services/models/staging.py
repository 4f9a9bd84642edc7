"""Where a model is put together before it appears: `.partial` beside the model folders.

    .partial/ID.lock         held by the one process that is pulling the model
    .partial/ID/wheels/      finished wheels
    .partial/ID/hub/         the hub client's download folder, with its own half files
    .partial/ID/files/       finished, verified files
    .partial/ID/prepared/    what the preparation writes
    .partial/ID/new-*/       one download under way; never read again after an interruption

Everything that is finished is moved into its place in one step, so whatever an interrupted pull left behind
can be used by the next. The finished folder is renamed, which makes it visible whole or not at all.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.models.manifest import FileRecord, sha256_of
from services.runtime.errors import Fault, MeshError

PARTIAL_DIR = ".partial"


@dataclass(frozen=True)
class Staging:
    """The partial folder of one model."""

    root: Path

    @property
    def wheels(self) -> Path:
        """Finished wheels."""
        return self.root / "wheels"

    @property
    def hub(self) -> Path:
        """The hub client's download folder."""
        return self.root / "hub"

    @property
    def files(self) -> Path:
        """Verified files, laid out as in the model's folder."""
        return self.root / "files"

    @property
    def prepared(self) -> Path:
        """What the preparation writes."""
        return self.root / "prepared"

    def open(self) -> None:
        """Make the folders, and clear away downloads that were cut off."""
        for folder in (self.wheels, self.hub, self.files):
            folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.root.glob("new-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Lend a new empty folder, removed afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="new-", dir=self.root))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def holds(self, record: FileRecord) -> bool:
        """Tell whether the file is already there, whole and right."""
        path = self.files / record.path
        return path.is_file() and path.stat().st_size == record.bytes and sha256_of(path) == record.sha256

    def keep_only(self, records: Sequence[FileRecord]) -> None:
        """Remove files that an older catalogue left behind."""
        known = {self.files / record.path for record in records}
        for path in self.files.rglob("*"):
            if path.is_file() and path not in known:
                path.unlink()

    def publish(self, built: Path, folder: Path) -> None:
        """Make `built` (with its manifest) visible as `folder`, in place of an older one, and clear up."""
        replaced = self.root / "replaced"
        shutil.rmtree(replaced, ignore_errors=True)
        if folder.exists():
            folder.rename(replaced)
        built.rename(folder)
        _sync(folder.parent)
        shutil.rmtree(self.root, ignore_errors=True)


def staging_for(models_dir: Path, model_id: str) -> Staging:
    """Return the partial folder of a model."""
    return Staging(models_dir / PARTIAL_DIR / model_id)


@contextmanager
def exclusive(models_dir: Path, model_id: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the model's lock while the body runs; `on_wait` is called once if another process has it.

    The system releases the lock when its holder dies, however that happens.
    """
    path = models_dir / PARTIAL_DIR / f"{model_id}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def require_space(models_dir: Path, model_id: str, needed_bytes: int) -> None:
    """Refuse a pull that would fill the disk.

    Raises:
        MeshError: UNAVAILABLE, with both sizes.
    """
    free = shutil.disk_usage(models_dir).free
    if needed_bytes > free:
        raise MeshError(
            Fault.UNAVAILABLE,
            f"The model {model_id} needs {needed_bytes / 1e9:.2f} GB more in {models_dir}, "
            f"where {free / 1e9:.2f} GB are free.",
            code="disk_full",
        )


def wrong_hash(model_id: str, record: FileRecord, found: str, origin: str) -> MeshError:
    """Return the error for a file whose bytes are not the publisher's."""
    return MeshError(
        Fault.INVALID,
        f"{record.path} of the model {model_id} from {origin} is not the file the catalogue names "
        f"(SHA-256 {found}, expected {record.sha256}); it was deleted.",
        code="wrong_hash",
    )


def sync_files(folder: Path) -> None:
    """Have every file under `folder`, and the folders themselves, written through to the disk."""
    for path in (*folder.rglob("*"), folder):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
