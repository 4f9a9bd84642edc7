"""The contract between the diarize service and the models: value types and one protocol.

Nothing here knows a model library or the wire; `pyannote_engine` is the one that runs the networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.diarize.windows import Block, WindowRules
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
class Activity:
    """How surely each speaker speaks at any time: the soft evidence behind the turns."""

    step: float = 0.05
    """Seconds from one frame to the next; frame n covers n * step to (n + 1) * step."""
    probabilities: tuple[bytes, ...] = ()
    """One row a speaker, a byte a frame: 0 to 255 stand for 0 to 1. All rows are equally long."""


@dataclass(frozen=True)
class Diarization:
    """Who spoke when in one recording; all empty when nobody does."""

    turns: tuple[Turn, ...]
    """By start; turns of different speakers may overlap."""
    exclusive_turns: tuple[Turn, ...]
    """By start; at any time the strongest speaker alone. Speakers are numbered as in `turns`."""
    activity: Activity = Activity()
    """Its rows are the speakers, in the order of their numbers."""


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
        for name, value in bounds.items():
            if not 0 <= value <= MAX_SPEAKERS:
                raise invalid_field(name, f"{name} is {value}; it must lie between 0 (unknown) and {MAX_SPEAKERS}.")
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


@dataclass(frozen=True)
class Frames:
    """Where the frames of a window lie in time."""

    step: float
    """Seconds from one frame to the next."""
    middle: float
    """Seconds from the start of the window to the middle of its first frame."""


def _no_moments() -> NDArray[np.float32]:
    return np.empty((0, 0), np.float32)


@dataclass(frozen=True, eq=False)
class LocalSpeakers:
    """What the networks hear in one window. Its speakers are numbered in this window alone."""

    start: float
    """Seconds from the start of the recording to that of the window."""
    activity: NDArray[np.float16]
    """Probability that each speaks, shape (frames, speakers), 0 to 1."""
    embeddings: NDArray[np.float32]
    """How they sound, shape (speakers, dimension); NaN for those who do not speak."""
    first_moment: int = 0
    """Number of the first of `moments` in the recording; see `resegmentation.MOMENT_SECONDS`."""
    moments: NDArray[np.float32] = field(default_factory=_no_moments)
    """What is heard around successive moments, shape (moments, dimension); NaN where not one speaks alone.

    Where the windows' moments overlap, those of the later one count."""

    @property
    def voiced(self) -> bool:
        """Whether anybody speaks."""
        return not bool(np.isnan(self.embeddings).any(axis=1).all())


class Diarizer(Protocol):
    """The networks, and what groups the voices they hear."""

    @property
    def model(self) -> str:
        """Id of the model that runs."""

    @property
    def rules(self) -> WindowRules:
        """How to cut recordings for `listen`."""

    @property
    def frames(self) -> Frames:
        """Where the frames of a window lie."""

    @property
    def blocks_at_once(self) -> int:
        """How many blocks `listen` had best be given; none of its work can be cancelled."""

    def listen(self, blocks: Sequence[Block]) -> list[list[LocalSpeakers]]:
        """Return what is heard in each window of each block, of any recordings; blocks, one call at a time."""

    def voices(self, windows: Sequence[LocalSpeakers], bounds: SpeakerBounds) -> NDArray[np.float32]:
        """Return how each speaker of a recording sounds, shape (speakers, dimension); may run beside `listen`.

        Args:
            windows: what was heard in all its windows; at least one speaker is embedded.
            bounds: how many speakers there are.
        """
