import asyncio
import stat
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from services.accounts.register import Register
from services.accounts.schema import newest, revision, upgrade
from services.cli.database import chosen_url, file_url, opened
from services.runtime.errors import Fault, MeshError


async def revision_of(url: str) -> str | None:
    async with opened(url) as store:
        return await revision(store)


def test_the_variable_goes_before_the_data_folder(tmp_path: Path) -> None:
    url = "postgresql://db/mesh"
    assert chosen_url(tmp_path, {"SPEECHMESH_DATABASE_URL": url}) == url
    assert chosen_url(tmp_path, {"SPEECHMESH_DATABASE_URL": ""}) == file_url(tmp_path)
    assert (
        chosen_url(None, {"SPEECHMESH_DATA": str(tmp_path)})
        == file_url(tmp_path)
        == f"sqlite:///{tmp_path}/accounts.db"
    )


async def test_what_sqlite_makes_is_its_owners_alone(tmp_path: Path) -> None:
    data = tmp_path / "some" / "data"
    async with opened(file_url(data), make=True) as store:
        await upgrade(store)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data.iterdir()}
    # Beside it lies what is not in it yet.
    assert modes == {"accounts.db": 0o600, "accounts.db-wal": 0o600, "accounts.db-shm": 0o600}
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


async def test_a_file_that_is_there_stays_as_it_is(sqlite_database: str) -> None:
    async with opened(sqlite_database, make=True) as store:
        assert await revision(store) == newest()


def test_looking_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match=f"There are no accounts at {tmp_path}/accounts.db yet") as caught:
        asyncio.run(revision_of(file_url(tmp_path)))
    assert caught.value.fault is Fault.NOT_FOUND
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_cannot_be_made_is_a_readable_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MeshError, match=r"accounts\.db cannot be used: Not a directory"):
        async with opened(file_url(tmp_path / "file" / "data"), make=True):
            pass


async def test_a_wrong_url_is_not_repeated() -> None:
    with pytest.raises(MeshError, match=r"^SPEECHMESH_DATABASE_URL: it must read ") as caught:
        await revision_of("mysql://edge:hunter2@db/mesh")
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (
            "postgresql://edge:hunter2@127.0.0.1:1/mesh",
            "The database mesh at 127.0.0.1:1 cannot be used: ",
        ),
        ("sqlite:////", "The database / cannot be used: unable to open database file."),
    ],
)
async def test_a_database_that_is_away_is_named_and_its_password_is_not(url: str, sentence: str) -> None:
    with pytest.raises(MeshError, match=sentence) as caught:
        await revision_of(url)
    assert caught.value.fault is Fault.UNAVAILABLE
    assert "hunter" not in caught.value.message


async def test_what_postgresql_says_no_to_is_told(postgresql: str) -> None:
    with pytest.raises(MeshError, match=r'The database nowhere at 127.0.0.1:\d+ cannot be used: .*"nowhere" does not'):
        await revision_of(f"{postgresql}/nowhere")


async def test_a_mistake_of_ours_is_not_taken_for_a_failure_of_the_database(sqlite_database: str) -> None:
    async def make_twice() -> None:
        async with opened(sqlite_database) as store:
            for _ in range(2):
                await Register(store).create_account("one", "free", "acc_1")

    with pytest.raises(IntegrityError):
        await make_twice()
