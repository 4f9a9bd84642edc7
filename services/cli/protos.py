"""`protos`: the generated code of the contract, written again or compared with what is checked in."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from services.cli.checkout import ROOT, tool_environment

_GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def run(*, check: bool) -> int:
    """Write the generated code, or with `check` only say what differs; return the exit code."""
    protos = ROOT / "protos"
    if not check:
        generate(protos, protos)
        print(f"Generated from {len(sources(protos))} files in {protos}.")
        return 0
    differing = drift(protos)
    for name in differing:
        print(f"{name}: not what the .proto files generate")
    if differing:
        print("Run `./speechmesh protos` and check the result in.")
    return 1 if differing else 0


def sources(protos: Path) -> list[str]:
    """Return all .proto files below `protos`, as paths relative to it."""
    return sorted(path.relative_to(protos).as_posix() for path in protos.rglob("*.proto"))


def generate(protos: Path, out: Path) -> None:
    """Write Python code and type stubs for all .proto files of `protos` into `out`.

    Raises:
        subprocess.CalledProcessError: protoc failed; it has told why on standard error.
    """
    flags = [f"--{plugin}_out={out}" for plugin in ("python", "grpc_python", "mypy", "mypy_grpc")]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I", str(protos), *flags, *sources(protos)],
        cwd=protos,
        env=tool_environment(os.environ),
        check=True,
        # The type plugins tell of every file that they write.
        stdout=subprocess.DEVNULL,
        stderr=None,
    )


def drift(protos: Path) -> list[str]:
    """Return the generated files, relative to `protos`, that are missing, stale or of no .proto any more."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(protos, fresh)
        names = generated_files(protos) | generated_files(fresh)
        return sorted(name for name in names if _content(protos / name) != _content(fresh / name))


def generated_files(folder: Path) -> set[str]:
    """Return the generated files below `folder`, as paths relative to it."""
    return {path.relative_to(folder).as_posix() for pattern in _GENERATED for path in folder.rglob(pattern)}


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
