import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = ("up", "transcribe", "listen", "models", "accounts", "keys", "ledger", "db", "test", "check", "protos")


def speechmesh(*arguments: str, flags: tuple[str, ...] = (), **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", *flags, "-m", "services.cli", *arguments],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}", **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_help_lists_every_command() -> None:
    done = speechmesh("--help")
    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = speechmesh(command, "--help")
    assert done.returncode == 0
    assert f"speechmesh {command}" in done.stdout


def test_help_imports_nothing_heavy() -> None:
    done = speechmesh("--help", flags=("-X", "importtime"))
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & {"grpc", "aiohttp", "torch", "numpy", "pydantic", "sqlalchemy", "services.models"}


def test_an_unknown_command_is_a_usage_error() -> None:
    done = speechmesh("serve")
    assert done.returncode == 2
    assert "No such command 'serve'" in done.stderr


def test_options_may_come_from_the_environment_and_are_checked() -> None:
    done = speechmesh("up", SPEECHMESH_PORT="eighty")
    assert done.returncode == 2
    assert "SPEECHMESH_PORT" in done.stderr


def test_an_expected_failure_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = speechmesh("up", "--data", str(tmp_path / "file" / "data"))
    assert done.returncode == 1
    assert done.stderr == f"Error: The data folder {tmp_path}/file/data cannot be used: Not a directory.\n"


def test_an_expected_failure_of_models_is_told_in_the_same_way() -> None:
    done = speechmesh("models", "verify", "huge")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: There is no model 'huge'")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [("accounts", "list"), ("keys", "list", "acc_1"), ("ledger", "verify"), ("db", "status")]
)
def test_a_database_that_is_away_is_one_sentence_without_its_password(arguments: tuple[str, ...]) -> None:
    done = speechmesh(*arguments, SPEECHMESH_DATABASE_URL="postgresql://edge:hunter2@127.0.0.1:1/mesh")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: The database mesh at 127.0.0.1:1 cannot be used: ")
    assert done.stderr.count("\n") == 1
    assert "hunter" not in done.stderr


def test_credits_that_are_taken_back_come_through_as_they_are(sqlite_database: str) -> None:
    done = speechmesh("accounts", "credit", "acc_1", "-5", SPEECHMESH_DATABASE_URL=sqlite_database)
    assert done.stderr == "Error: There is no account 'acc_1'.\n"


def test_arguments_for_pytest_come_through_as_they_are() -> None:
    done = speechmesh("test", "-m", "not model", "--no-such-option", "-x")
    assert done.returncode == 4
    assert "unrecognized arguments: --no-such-option" in done.stderr


def test_transcribe_needs_a_file_that_is_there() -> None:
    done = speechmesh("transcribe", "/nonexistent.wav")
    assert done.returncode == 2
    assert "does not exist" in done.stderr
