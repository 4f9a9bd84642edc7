import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import Result

from services.accounts.schema import newest
from services.cli.database import file_url
from services.cli.db import app
from services.runtime.errors import MeshError

Invoke = Callable[..., Result]


def test_an_upgrade_makes_what_is_not_there_and_does_it_once(invoke: Invoke, tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    first = invoke(app, "upgrade", *data, SPEECHMESH_DATABASE_URL="")
    assert first.stdout == f"The schema is at revision {newest()} now; there was none before.\n"
    second = invoke(app, "upgrade", *data, SPEECHMESH_DATABASE_URL="")
    assert second.stdout == f"The schema is at revision {newest()} already.\n"
    assert (tmp_path / "data" / "accounts.db").exists()


def test_an_upgrade_tells_scripts_what_it_did(invoke: Invoke, tmp_path: Path) -> None:
    url = file_url(tmp_path)
    told = [json.loads(invoke(app, "upgrade", "--json", SPEECHMESH_DATABASE_URL=url).stdout) for _ in range(2)]
    assert told == [{"before": None, "revision": newest()}, {"before": newest(), "revision": newest()}]


def test_the_newest_schema_needs_nothing(invoke: Invoke) -> None:
    told = invoke(app, "status")
    assert (told.exit_code, told.stdout) == (0, f"The schema is at revision {newest()}, the newest.\n")
    assert json.loads(invoke(app, "status", "--json").stdout) == {
        "revision": newest(),
        "newest": newest(),
        "advice": None,
    }


@pytest.mark.parametrize(
    ("revision", "advice"),
    [(None, "has no tables yet. Run: ./speechmesh db upgrade"), ("9999", "which this version does not know")],
)
def test_another_schema_is_told_with_what_to_do(
    invoke: Invoke, tmp_path: Path, revision: str | None, advice: str
) -> None:
    if revision is None:
        (tmp_path / "accounts.db").touch()
    else:
        invoke(app, "upgrade", SPEECHMESH_DATABASE_URL=file_url(tmp_path))
        with closing(sqlite3.connect(tmp_path / "accounts.db")) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    told = invoke(app, "status", SPEECHMESH_DATABASE_URL=file_url(tmp_path))
    assert told.exit_code == 1
    assert advice in told.stdout
    scripted = invoke(app, "status", "--json", SPEECHMESH_DATABASE_URL=file_url(tmp_path))
    assert scripted.exit_code == 1
    assert json.loads(scripted.stdout)["revision"] == revision


def test_a_newer_schema_is_not_touched(invoke: Invoke, tmp_path: Path) -> None:
    invoke(app, "upgrade", SPEECHMESH_DATABASE_URL=file_url(tmp_path))
    with closing(sqlite3.connect(tmp_path / "accounts.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(MeshError, match="a newer Speechmesh has changed it"):
        invoke(app, "upgrade", SPEECHMESH_DATABASE_URL=file_url(tmp_path))


def test_there_is_no_status_of_what_is_not_there(invoke: Invoke, tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="There are no accounts at"):
        invoke(app, "status", SPEECHMESH_DATABASE_URL=file_url(tmp_path))
