"""`check`: every check that needs no model, at once; what a change has to pass."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from services.cli.checkout import ROOT, tool_environment


@dataclass(frozen=True)
class Check:
    """One tool's verdict on the whole checkout."""

    name: str
    argv: tuple[str, ...]
    """Command and arguments, run in the root of the checkout."""


@dataclass(frozen=True)
class Verdict:
    """What became of one check."""

    check: Check
    passed: bool
    seconds: float
    output: str


def _tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


CHECKS = (
    Check("format", (_tool("ruff"), "format", "--check", ".")),
    Check("lint", (_tool("ruff"), "check", ".")),
    Check("types", (_tool("mypy"),)),
    Check("layers", (_tool("lint-imports"),)),
    Check("protos", (_tool("buf"), "lint", "protos")),
    Check("generated code", (sys.executable, "-P", "-m", "services.cli", "protos", "--check")),
)
"""In the order in which they are reported."""


def run(checks: Sequence[Check] = CHECKS) -> int:
    """Run all checks, report each; return 1 if any failed, else 0."""
    width = max(len(check.name) for check in checks)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        verdicts = [_show(verdict, width) for verdict in pool.map(_judge, checks)]
    failed = [verdict.check.name for verdict in verdicts if not verdict.passed]
    print(f"Failed: {', '.join(failed)}." if failed else "All checks passed.")
    return 1 if failed else 0


def _judge(check: Check) -> Verdict:
    began = time.monotonic()
    try:
        done = subprocess.run(
            check.argv,
            cwd=ROOT,
            env=tool_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        return Verdict(check, False, time.monotonic() - began, f"cannot run {check.argv[0]}: {error}\n")
    return Verdict(check, done.returncode == 0, time.monotonic() - began, done.stdout)


def _show(verdict: Verdict, width: int) -> Verdict:
    word = "ok" if verdict.passed else "FAILED"
    print(f"{verdict.check.name:<{width}}  {word:<6}  {verdict.seconds:5.1f} s", flush=True)
    if not verdict.passed:
        for line in verdict.output.rstrip().splitlines():
            print(f"    {line}")
    return verdict
