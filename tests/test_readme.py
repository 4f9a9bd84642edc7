"""What README.md says is so: every setting with its default, and examples that are what the code takes."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticUndefined

from services.asr.config import AsrSettings
from services.diarize.config import DiarizeSettings
from services.edge.config import EdgeSettings
from services.edge.form import FIELDS
from services.edge.render import FORMATS
from services.edge.summary import STYLES
from services.runtime.settings import ServiceSettings, variable
from services.summarize.config import SummarizeSettings

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
SETTINGS: tuple[type[ServiceSettings], ...] = (AsrSettings, DiarizeSettings, SummarizeSettings, EdgeSettings)

# Defaults that depend on the machine, in words.
_COMPUTED = {
    "threads": "all cores",
    "spool_dir": "`speechmesh-spool` in the temporary folder",
    "aliases": "none",
    "trusted_proxies": "none",
}


def rows() -> list[str]:
    """Return the table's rows; the ones that services share come once."""
    found: dict[str, str] = {}
    for settings in SETTINGS:
        for name, field in settings.model_fields.items():
            meaning = " ".join((field.description or "").split()).replace("|", "\\|")
            found[variable(settings, name)] = (
                f"| `{variable(settings, name)}` | {_default(name, field.default)} | {meaning} |"
            )
    return list(found.values())


def _default(name: str, value: Any) -> str:
    if name in _COMPUTED:
        return _COMPUTED[name]
    if value is PydanticUndefined:
        return "needed"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


@pytest.mark.parametrize("row", rows())
def test_a_setting_stands_in_the_table_as_the_code_has_it(row: str) -> None:
    assert row in README.splitlines()


def test_the_table_has_no_setting_that_the_code_has_not() -> None:
    table = README.split("<!-- settings -->")[1].split("<!-- /settings -->")[0]

    documented = set(re.findall(r"`(SPEECHMESH_\w+)`", table))
    assert documented == {row.split("`")[1] for row in rows()}


@pytest.mark.parametrize("word", [*FIELDS, *FORMATS, *STYLES])
def test_every_field_format_and_style_is_named(word: str) -> None:
    assert f"`{word}`" in README


def test_every_path_in_where_is_exists() -> None:
    root = Path(__file__).resolve().parent.parent
    table = README.split("## Where is…")[1].split("## Licence")[0]

    paths = [path for path in re.findall(r"`([\w/.]+)`", table) if "/" in path]
    assert len(paths) > 10
    assert [path for path in paths if not (root / path).exists()] == []


def test_every_variable_that_the_project_reads_is_documented() -> None:
    root = Path(__file__).resolve().parent.parent
    sources = [root / "speechmesh", *(root / "services").rglob("*.py")]

    names = {name for path in sources for name in re.findall(r"\bSPEECHMESH_[A-Z_]*[A-Z]\b", path.read_text())}
    assert {name for name in names if f"`{name}`" not in README and not name.endswith("_")} == set()
