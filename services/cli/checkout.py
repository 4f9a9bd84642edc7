"""Where this checkout lies, and how its development tools are run."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder of the checkout."""


def tool_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which the tools installed beside this interpreter are found first.

    Some of them start others (protoc its plugins, import-linter our packages) by name.
    """
    tools = str(Path(sys.executable).parent)
    path = environ.get("PATH", os.defpath)
    return {
        **environ,
        "PATH": f"{tools}{os.pathsep}{path}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'protos'}",
    }


def require_checkout() -> None:
    """Stop with a readable sentence when there is no checkout around this code.

    Raises:
        SystemExit: the package was installed without its sources.
    """
    if not (ROOT / "pyproject.toml").is_file():
        raise SystemExit("This command works on a checkout of Speechmesh, and this is an installed package.")
