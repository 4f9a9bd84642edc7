import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from services.models.catalogue import LICENCES_DIR, Kind, Model, Speed, load_catalogue, model_folder
from services.models.manifest import Manifest, write_manifest
from services.runtime.errors import Fault, MeshError

CATALOGUE = load_catalogue()


@pytest.fixture(params=CATALOGUE.models, ids=lambda model: model.id)
def model(request: pytest.FixtureRequest) -> Model:
    found: Model = request.param
    return found


def test_ids_are_unique_and_fit_a_folder_name() -> None:
    ids = [model.id for model in CATALOGUE.models]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*", each) for each in ids)


def test_every_id_of_a_profile_exists() -> None:
    assert {"cpu", "gpu", "test"} <= set(CATALOGUE.profiles)
    for name, ids in CATALOGUE.profiles.items():
        assert [model.id for model in CATALOGUE.profile(name)] == list(ids)


def test_the_public_asr_models_have_the_contracts_speeds() -> None:
    speeds = {model.id: model.speed for model in CATALOGUE.models if model.kind is Kind.ASR}
    assert speeds == {
        "large-v3-turbo": Speed.FAST,
        "large-v3": Speed.STANDARD,
        "medium": Speed.FAST,
        "small": Speed.VERY_FAST,
        "base": Speed.VERY_FAST,
        "tiny.en": Speed.VERY_FAST,
    }


def test_every_file_is_pinned_by_size_and_hash(model: Model) -> None:
    assert model.files
    for file in model.files:
        assert file.bytes > 0
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)


def test_no_file_leaves_its_folder(model: Model) -> None:
    for file in model.files:
        path = PurePosixPath(file.path)
        assert not path.is_absolute()
        assert ".." not in path.parts
    assert len({file.path for file in model.files}) == len(model.files)


def test_every_model_has_a_licence_and_its_text(model: Model) -> None:
    assert model.licence
    assert model.licence_files
    assert all((LICENCES_DIR / name).is_file() for name in model.licence_files)


def test_every_model_has_a_source_and_hub_revisions_are_full_commits(model: Model) -> None:
    assert model.hub or model.wheels
    if model.hub:
        assert re.fullmatch(r"[0-9a-f]{40}", model.hub.revision)


def test_packages_carry_all_files_of_a_model_or_none(model: Model) -> None:
    packages = {wheel.name for wheel in model.wheels}
    used = {member.package for file in model.files for member in file.members}
    assert used == packages
    assert all(bool(file.members) == bool(packages) for file in model.files)
    assert all(wheel.bytes > 0 and re.fullmatch(r"[0-9.]+", wheel.version) for wheel in model.wheels)


def test_the_catalogue_is_read_once() -> None:
    assert load_catalogue() is load_catalogue()


def test_an_unknown_model_or_profile_is_answered_with_those_that_exist() -> None:
    with pytest.raises(MeshError, match="large-v3-turbo") as unknown_model:
        CATALOGUE.get("huge")
    with pytest.raises(MeshError, match="cpu, gpu") as unknown_profile:
        CATALOGUE.profile("tpu")
    assert unknown_model.value.fault is unknown_profile.value.fault is Fault.NOT_FOUND


def test_a_model_that_is_not_there_is_answered_with_the_command_that_gets_it(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match=r"\./speechmesh models pull base") as caught:
        model_folder(tmp_path, "base")
    assert caught.value.fault is Fault.UNAVAILABLE


def lay_out(folder: Path, model: Model) -> None:
    """Write files of the right sizes, and the manifest."""
    for file in model.files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out:
            out.truncate(file.bytes)
    records = tuple(file.record for file in model.files)
    write_manifest(folder, Manifest(model.id, "hub", (), model.prepared_by, records, records))


def test_a_complete_folder_is_found(tmp_path: Path) -> None:
    lay_out(tmp_path / "base", CATALOGUE.get("base"))
    assert model_folder(tmp_path, "base") == tmp_path / "base"


def test_a_folder_with_a_short_file_or_without_manifest_is_not_served(tmp_path: Path) -> None:
    lay_out(tmp_path / "base", CATALOGUE.get("base"))
    (tmp_path / "base" / "config.json").write_bytes(b"{}")
    with pytest.raises(MeshError):
        model_folder(tmp_path, "base")
    lay_out(tmp_path / "base", CATALOGUE.get("base"))
    (tmp_path / "base" / "manifest.json").unlink()
    with pytest.raises(MeshError):
        model_folder(tmp_path, "base")


def test_a_folder_of_an_older_catalogue_is_not_served(tmp_path: Path) -> None:
    model = CATALOGUE.get("base")
    older = replace(model, files=(replace(model.files[0], sha256="0" * 64), *model.files[1:]))
    lay_out(tmp_path / "base", older)
    with pytest.raises(MeshError):
        model_folder(tmp_path, "base")
