"""What a deployment offers: its models, their languages, and the GPU they run on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """A language that a model knows."""

    code: str
    name: str


@dataclass(frozen=True)
class ServedModel:
    """A model that callers may ask for."""

    id: str
    name: str
    runs: str
    """Id of the model that really runs."""
    languages: tuple[Language, ...]
    can_translate: bool
    """Whether it can write down in English what is said in other languages."""


@dataclass(frozen=True)
class Offer:
    """What asr serves, and on what."""

    models: tuple[ServedModel, ...]
    """The default first."""
    gpu_name: str | None
    """None on a machine without a GPU."""
    gpu_memory_mb: int | None
