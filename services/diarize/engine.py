"""The contract between the diarize service and whatever diarizes: value types and one protocol.

Nothing here knows a model library or the wire; `pyannote_engine` is the one that does the work.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.runtime.errors import invalid_field

MAX_SPEAKERS = 50
"""Most speakers that are told apart in one recording."""


@dataclass(frozen=True)
class Turn:
    """A stretch of one speaker."""

    start: float
    """Seconds from the first sample."""
    end: float
    """Seconds from the first sample; never before `start`, never after the last sample."""
    speaker: int
    """Number of the speaker, from 0 in the order in which they first speak."""


@dataclass(frozen=True)
class Diarization:
    """Who spoke when in one recording; both empty when nobody does."""

    turns: tuple[Turn, ...]
    """By start; turns of different speakers may overlap."""
    exclusive_turns: tuple[Turn, ...]
    """By start; at any time the strongest speaker alone. Speakers are numbered as in `turns`."""


@dataclass(frozen=True)
class SpeakerBounds:
    """How many speakers to find, 0 to `MAX_SPEAKERS`; a 0 says nothing.

    A recording that is too short for that many speakers gives fewer.

    Raises:
        MeshError: INVALID, `field` is the request field that is wrong.
    """

    exact: int = 0
    """This many; excludes the other two."""
    minimum: int = 0
    """At least this many."""
    maximum: int = 0
    """At most this many."""

    def __post_init__(self) -> None:
        bounds = {
            "speaker_count": self.exact,
            "min_speaker_count": self.minimum,
            "max_speaker_count": self.maximum,
        }
        for field, value in bounds.items():
            if not 0 <= value <= MAX_SPEAKERS:
                raise invalid_field(field, f"{field} is {value}; it must lie between 0 (unknown) and {MAX_SPEAKERS}.")
        if self.exact and (self.minimum or self.maximum):
            raise invalid_field(
                "speaker_count",
                "speaker_count excludes min_speaker_count and max_speaker_count; give it or them, not both.",
            )
        if self.maximum and self.minimum > self.maximum:
            raise invalid_field(
                "min_speaker_count",
                f"min_speaker_count ({self.minimum}) is larger than max_speaker_count ({self.maximum}).",
            )


class Diarizer(Protocol):
    """Something that tells who spoke when."""

    @property
    def model(self) -> str:
        """Id of the model that runs."""

    def diarize(
        self,
        samples: NDArray[np.float32],
        bounds: SpeakerBounds,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> Diarization:
        """Diarize a whole recording; blocks, one call at a time.

        Args:
            samples: shape (samples,), mono, 16 kHz, -1 to 1; any length, also none.
            bounds: how many speakers to find.
            progress: called with the share of the work that is done; rises from 0 to 1.
            cancelled: asked between batches, every second or so.

        Raises:
            Cancelled: `cancelled` said yes.
        """
