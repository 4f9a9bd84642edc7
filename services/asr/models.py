"""The loaded models under the names that callers use. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.asr.engine import Engine
from services.runtime.errors import Fault, MeshError


@dataclass(frozen=True)
class ServedModel:
    """One entry of the list that callers see."""

    id: str
    display_name: str
    runs: str
    """Id of the model behind an alias; the entry's own id otherwise."""
    languages: tuple[str, ...]
    can_translate: bool


@dataclass(frozen=True)
class Models:
    """The loaded engines, under their ids and aliases."""

    engines: Mapping[str, Engine]
    """By model id; the first is the default."""
    aliases: Mapping[str, str]
    """Alias to model id; an alias never hides a loaded model."""
    display_names: Mapping[str, str]
    """Names for people, by id or alias."""

    def __post_init__(self) -> None:
        for alias, target in self.aliases.items():
            if target not in self.engines:
                raise MeshError(Fault.INVALID, f"The alias {alias} points to {target}, which is not loaded.")
            if alias in self.engines:
                raise MeshError(Fault.INVALID, f"The alias {alias} has the name of a loaded model.")

    def served(self) -> tuple[ServedModel, ...]:
        """Return every id that callers may ask for: models first, the default at their head."""
        runs = {**{name: name for name in self.engines}, **self.aliases}
        return tuple(
            ServedModel(
                name,
                self.display_names.get(name, name),
                target,
                tuple(self.engines[target].languages),
                self.engines[target].can_translate,
            )
            for name, target in runs.items()
        )

    def find(self, name: str) -> Engine:
        """Return the engine behind an id or alias; that of the default for an empty name.

        Raises:
            MeshError: NOT_FOUND for an unknown model.
        """
        target = self.aliases.get(name, name) or next(iter(self.engines))
        engine = self.engines.get(target)
        if engine is None:
            known = ", ".join([*self.engines, *self.aliases])
            raise MeshError(
                Fault.NOT_FOUND,
                f"There is no model {name[:64]!r}; served are: {known}.",
                code="no_such_model",
                field="model",
            )
        return engine
