"""What tests of several parts share: where recordings and models are."""

import importlib.util
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from services.accounts.store import sqlite_url
from services.models.catalogue import model_folder
from services.models.folders import default_models_dir
from tests.databases import drop_postgresql, make_postgresql, new_postgresql, new_sqlite, with_schema
from tests.leaks import secrets_in
from tests.postgresql import running, server_programs

# No test asserts a time: a busy machine must not fail a property.
settings.register_profile("speechmesh", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("speechmesh")

ROOT = Path(__file__).resolve().parent.parent
DEV_DATA = ROOT.parent / "shared" / "data" / "dev"


@pytest.fixture(scope="session")
def two_speakers() -> Path:
    """The real two-speaker recording in pyannote.audio's wheel: 30 s, with .rttm and .stm beside it."""
    # find_spec of the top package imports nothing: the package itself takes seconds and warns.
    spec = importlib.util.find_spec("pyannote")
    assert spec is not None
    for folder in spec.submodule_search_locations or []:
        sample = Path(folder) / "audio" / "sample" / "sample.wav"
        if sample.exists():
            return sample
    raise AssertionError("pyannote.audio carries no sample")


@pytest.fixture(scope="session")
def dev_data() -> Path:
    """The development recordings beside the checkout."""
    if not DEV_DATA.is_dir():
        pytest.skip(f"no development recordings at {DEV_DATA}")
    return DEV_DATA


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder of pulled models."""
    return default_models_dir(os.environ)


@pytest.fixture(scope="session")
def tiny_en(models_dir: Path) -> Path:
    """The folder of Whisper tiny.en."""
    return model_folder(models_dir, "tiny.en")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an SQLite file with the newest schema and nothing in it."""
    path = tmp_path_factory.mktemp("template") / "accounts.db"
    with_schema(sqlite_url(path))
    return path


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Yield the URL of a PostgreSQL server of our own, or skip where none is installed."""
    programs = server_programs()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: apt install postgresql)")
    with running(programs) as url:
        make_postgresql(url, "template")
        with_schema(f"{url}/template")
        yield url


@pytest.fixture
def sqlite_database(sqlite_template: Path, tmp_path: Path) -> str:
    """Return the URL of a new SQLite database with the newest schema."""
    return new_sqlite(sqlite_template, tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the URL of a new database with the newest schema, of each kind in turn."""
    if request.param == "sqlite":
        yield str(request.getfixturevalue("sqlite_database"))
        return
    server = request.getfixturevalue("postgresql")
    url = new_postgresql(server, "template")
    yield url
    drop_postgresql(server, url)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test in which a key or a token was printed, by the code under test or by a process that it started."""
    report = yield
    found = [secret for _, text in report.sections for secret in secrets_in(text)]
    if found and report.passed:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} printed what must never be in a log: {sorted({s[:6] for s in found})}…"
    return report
