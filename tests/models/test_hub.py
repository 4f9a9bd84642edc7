import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from services.models.hub import fetch_from_hub
from services.models.progress import ignore_progress
from services.models.staging import Staging
from services.runtime.errors import Fault, MeshError
from tests.models.tiny_model import REVISION, Site, World

WEIGHTS_URL = f"/someone/tiny/resolve/{REVISION}/model.bin"


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    made = Staging(tmp_path / "partial")
    made.open()
    return made


@pytest.fixture
def fetch(world: World, staging: Staging) -> Callable[[], None]:
    return lambda: fetch_from_hub(world.model, world.model.files, staging, ignore_progress, world.site.url)


def test_files_come_from_the_pinned_revision(world: World, staging: Staging, fetch: Callable[[], None]) -> None:
    fetch()
    for path, data in world.contents.items():
        assert (staging.files / path).read_bytes() == data
    assert world.site.gets[WEIGHTS_URL] == 1


def test_a_half_file_is_continued(
    world: World, staging: Staging, fetch: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The client keeps whole blocks, which are larger than this file.
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 65_536)
    world.site.cut_after[WEIGHTS_URL] = 100_000
    with pytest.raises(MeshError, match=r"did not give model\.bin") as caught:
        fetch()
    assert caught.value.fault is Fault.UNAVAILABLE
    world.site.recover()
    world.site.ranges.clear()
    fetch()
    assert (staging.files / "model.bin").read_bytes() == world.contents["model.bin"]
    assert world.site.ranges == ["bytes=65536-"]


def test_a_file_that_grew_too_long_is_fetched_anew(world: World, staging: Staging, fetch: Callable[[], None]) -> None:
    (staging.hub / world.model.files[0].sha256).write_bytes(b"x" * (world.model.files[0].bytes + 1))
    fetch()
    assert (staging.files / "model.bin").read_bytes() == world.contents["model.bin"]


def test_a_full_disk_is_not_the_hubs_fault(world: World, staging: Staging, fetch: Callable[[], None]) -> None:
    # Every write to this device fails as it does on a full disk.
    (staging.hub / world.model.files[0].sha256).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        fetch()
    assert caught.value.errno == errno.ENOSPC


def test_wrong_bytes_are_refused_and_deleted(world: World, staging: Staging, fetch: Callable[[], None]) -> None:
    forged = bytearray(world.contents["model.bin"])
    forged[7] ^= 1
    world.site.pages[WEIGHTS_URL] = bytes(forged)
    with pytest.raises(MeshError, match=f"someone/tiny@{REVISION}") as caught:
        fetch()
    assert caught.value.code == "wrong_hash"
    assert [path.read_bytes() for path in staging.hub.iterdir()] == [world.contents["tokens/list.txt"]]


def test_a_gated_repository_is_answered_with_what_to_do(world: World, fetch: Callable[[], None]) -> None:
    world.site.statuses[WEIGHTS_URL] = 403
    with pytest.raises(MeshError, match="set HF_TOKEN") as caught:
        fetch()
    assert caught.value.fault is Fault.UNAUTHENTICATED


def test_a_file_that_the_hub_does_not_have_is_named(world: World, fetch: Callable[[], None]) -> None:
    world.site.pages.pop(WEIGHTS_URL)
    with pytest.raises(MeshError, match=r"did not give model\.bin of someone/tiny"):
        fetch()


def test_the_token_is_sent_to_the_hub_and_not_to_where_the_file_lies(
    world: World,
    serve: Callable[[Site], Site],
    fetch: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    storage = serve(Site({"/blob": world.contents["model.bin"]}))
    world.site.redirects[WEIGHTS_URL] = f"{storage.url}/blob"
    fetch()
    assert storage.gets["/blob"] == 1
    assert storage.tokens == {""}
    assert world.site.tokens == {"Bearer hf_secret"}
