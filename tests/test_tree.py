"""Where things are: every module has its tests, and no file is named for nothing."""

from pathlib import Path

import pytest

import services

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ROOT / "services"

_SAYS_NOTHING = {"utils", "util", "common", "helpers", "misc", "core", "base", "const", "stuff"}

# Entry points and values without behaviour: the end-to-end tests run the first, types check the second.
_TESTED_ELSEWHERE = {
    "__init__",
    "__main__",
    "config",
    "languages",
    "offer",
    "pyannote_import",
    "stock_phrases",
    "transcript",
}

# What Alembic runs, by no name that could be imported: tests/accounts/test_schema.py and test_tables.py run all of it.
_MIGRATIONS = Path("accounts", "migrations")


def _modules() -> list[Path]:
    return sorted(path.relative_to(SERVICES) for path in SERVICES.rglob("*.py"))


def test_the_package_is_the_one_of_this_checkout() -> None:
    assert Path(services.__file__).parent == SERVICES


@pytest.mark.parametrize("module", _modules(), ids=str)
def test_a_module_has_its_own_tests_and_a_name_that_says_something(module: Path) -> None:
    assert module.stem not in _SAYS_NOTHING
    if module.stem not in _TESTED_ELSEWHERE and not module.is_relative_to(_MIGRATIONS):
        assert (ROOT / "tests" / module.parent / f"test_{module.name}").exists()


def test_no_file_of_the_project_names_a_folder_of_one_machine() -> None:
    texts = [path for folder in ("services", "tests", "benchmarks", "k8s") for path in (ROOT / folder).rglob("*.*")]
    prefix = "/wo" + "rk/"

    assert [path for path in texts if path.suffix in {".py", ".toml", ".yaml"} and prefix in path.read_text()] == []
