"""What a recognizer is: the values it takes and gives, and the promises that every engine keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from services.runtime.errors import Fault, MeshError, invalid_field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Word:
    """One recognized word."""

    text: str
    """The word with its punctuation and the white space before it."""
    start: float
    """Seconds from the start of the recording."""
    end: float
    """Seconds; never before `start`."""
    probability: float
    """0 to 1."""


@dataclass(frozen=True)
class Segment:
    """One finished stretch of recognized speech."""

    start: float
    """Seconds from the start of the recording; where its first word starts."""
    end: float
    """Seconds; where its last word ends."""
    text: str
    """The text without white space around it; never empty."""
    words: tuple[Word, ...]
    """Its words in order; never empty."""
    confidence: float
    """Mean probability of its words, 0 to 1."""
    average_log_probability: float
    """Mean over its tokens, at most 0."""
    no_speech_probability: float
    """0 to 1."""
    compression_ratio: float
    """Length of the text over its zlib-compressed length."""
    language: str
    """ISO 639-1 code."""


@dataclass(frozen=True)
class Recognition:
    """What holds for a recording as a whole."""

    language: str
    """ISO 639-1 code."""
    language_probability: float
    """0 to 1; 1 when the language was given, 0 when there was no speech to tell it from."""
    speech_seconds: float
    """How much of the recording voice activity detection took for speech."""


@dataclass(frozen=True)
class Listener:
    """Where an engine reports to while it works; called from the engine's own thread."""

    segment: Callable[[Segment], None]
    """Takes the next finished segment, in order of time."""
    progress: Callable[[float], None]
    """Takes the seconds of the recording that are done with; never goes back."""
    cancelled: Callable[[], bool]
    """Says whether to stop; asked once voice activity is found and before every window (30 s of speech)."""


class Transcriber(Protocol):
    """A loaded model.

    Promises: segments come in order; word times never run backwards, have start <= end and lie inside the
    recording; silence and empty recordings give no segments and no error; one transcriber serves several
    threads at once.
    """

    @property
    def model(self) -> str:
        """Id of the model that really runs."""

    @property
    def languages(self) -> Sequence[str]:
        """Codes of the languages it knows."""

    def transcribe(self, samples: NDArray[np.float32], language: str | None, listener: Listener) -> Recognition:
        """Recognize `samples` (shape (n,), 16 kHz mono, in [-1, 1)).

        Args:
            samples: the recording.
            language: one of `languages`, or None to detect it.
            listener: where to report to.

        Raises:
            Cancelled: the listener said so.
        """


@dataclass(frozen=True)
class ServedModel:
    """One entry of the list that callers see."""

    id: str
    display_name: str
    runs: str
    """Id of the model behind an alias; the entry's own id otherwise."""
    languages: tuple[str, ...]


@dataclass(frozen=True)
class Models:
    """The loaded transcribers, under their ids and aliases."""

    transcribers: Mapping[str, Transcriber]
    """By model id; the first is the default."""
    aliases: Mapping[str, str]
    """Alias to model id; an alias never hides a loaded model."""
    display_names: Mapping[str, str]
    """Names for people, by id or alias."""

    def __post_init__(self) -> None:
        for alias, target in self.aliases.items():
            if target not in self.transcribers:
                raise MeshError(Fault.INVALID, f"The alias {alias} points to {target}, which is not loaded.")
            if alias in self.transcribers:
                raise MeshError(Fault.INVALID, f"The alias {alias} has the name of a loaded model.")

    def served(self) -> tuple[ServedModel, ...]:
        """Return every id that callers may ask for: models first, the default at their head."""
        runs = {**{name: name for name in self.transcribers}, **self.aliases}
        return tuple(
            ServedModel(name, self.display_names.get(name, name), target, tuple(self.transcribers[target].languages))
            for name, target in runs.items()
        )

    def find(self, name: str, language: str) -> Transcriber:
        """Return the transcriber for a request.

        Args:
            name: id or alias; empty for the default.
            language: language code; empty for detection.

        Raises:
            MeshError: NOT_FOUND for an unknown model, INVALID for a language that it does not know.
        """
        target = self.aliases.get(name, name) or next(iter(self.transcribers))
        transcriber = self.transcribers.get(target)
        if transcriber is None:
            known = ", ".join([*self.transcribers, *self.aliases])
            raise MeshError(
                Fault.NOT_FOUND,
                f"There is no model {name!r}; served are: {known}.",
                code="no_such_model",
                field="model",
            )
        if language and language not in transcriber.languages:
            known = ", ".join(transcriber.languages)
            raise invalid_field("language", f"The model {target} does not know {language!r}; it knows: {known}.")
        return transcriber
