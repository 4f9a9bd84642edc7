from pathlib import Path

import pytest

from services.accounts.register import Account
from services.cli.bookkeeping import Bookkeeping, run
from services.cli.database import file_url
from services.cli.owner import admit, upgrade
from services.runtime.errors import MeshError


async def accounts(books: Bookkeeping) -> list[Account]:
    return list(await books.register.accounts())


async def nothing(_: Bookkeeping) -> None:
    raise AssertionError("it must not get here")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPEECHMESH_DATABASE_URL", "SPEECHMESH_EDGE_PLANS_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_the_accounts_are_those_of_the_data_folder(tmp_path: Path) -> None:
    upgrade(file_url(tmp_path))
    admit(file_url(tmp_path), "sk-one")
    assert [account.id for account in run(tmp_path, accounts)] == ["acc_owner"]


def test_a_schema_that_is_not_the_newest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "accounts.db").touch()
    with pytest.raises(MeshError, match=r"has no tables yet\. Run: \./speechmesh db upgrade"):
        run(tmp_path, nothing)


def test_plans_of_ones_own_are_known(sqlite_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = tmp_path / "plans.toml"
    plans.write_text('[plans.team]\nfunding = "open"\nunit = "minutes"\nmax_file_bytes = 1\nat_once = 9\n')
    monkeypatch.setenv("SPEECHMESH_DATABASE_URL", sqlite_database)
    monkeypatch.setenv("SPEECHMESH_EDGE_PLANS_FILE", str(plans))

    async def make(books: Bookkeeping) -> dict[str, object]:
        return await books.account(await books.register.create_account("Anna", books.plans.choose("team").id, "acc_1"))

    async def tell(books: Bookkeeping) -> dict[str, object]:
        return await books.account(await books.register.account("acc_1"))

    assert run(None, make)["at_once"] == 9
    monkeypatch.delenv("SPEECHMESH_EDGE_PLANS_FILE")
    with pytest.raises(MeshError, match=r"'team', which there is no more.*accounts change acc_1 --plan free\|paid"):
        run(None, tell)


def test_plans_that_cannot_be_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEECHMESH_EDGE_PLANS_FILE", str(tmp_path / "plans.toml"))
    with pytest.raises(MeshError, match=r"plans\.toml cannot be used: No such file"):
        run(tmp_path, nothing)
