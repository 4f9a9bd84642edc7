"""Recordings for the tests of diarize, and the whole way of one through a diarizer."""

import asyncio

import numpy as np
from numpy.typing import NDArray

from services.diarize.device import Device
from services.diarize.engine import Diarization, Diarizer, LocalSpeakers, SpeakerBounds
from services.diarize.windows import Block, WindowedAudio

RATE = 16_000


def said(*stretches: tuple[int, float]) -> NDArray[np.int16]:
    """Return a recording of the fake diarizer's voices, 1 to 31, each for some seconds; voice 0 is silence."""
    parts = [np.full(round(seconds * RATE), voice * 1_024, np.int16) for voice, seconds in stretches]
    return np.concatenate([np.zeros(0, np.int16), *parts])


def blocks_of(diarizer: Diarizer, samples: NDArray[np.int16]) -> list[Block]:
    audio = WindowedAudio(diarizer.rules)
    return [*audio.feed(samples), *audio.finish()]


def heard_in(diarizer: Diarizer, samples: NDArray[np.int16]) -> list[LocalSpeakers]:
    return [window for block in blocks_of(diarizer, samples) for window in diarizer.listen([block])[0]]


def diarized(diarizer: Diarizer, samples: NDArray[np.int16], bounds: SpeakerBounds | None = None) -> Diarization:
    """Return who spoke when in a recording; not from within an event loop."""
    concluding = Device(diarizer, workers=1).conclude(
        heard_in(diarizer, samples), len(samples) / RATE, bounds or SpeakerBounds()
    )
    return asyncio.run(concluding)


def speakers_of(diarization: Diarization) -> set[int]:
    return {turn.speaker for turn in diarization.turns}
