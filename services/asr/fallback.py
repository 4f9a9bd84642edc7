"""When a decoded window is not good enough, and what is tried next. Pure.

The thresholds and the temperatures are those of the Whisper paper (Radford et al. 2022, section 4.5). Three steps
are ours. A window that was encoded short is first encoded at the full 30 s that the model was trained on: most of
what fails, fails for that reason. A text that repeats a few words over and over is caught at once, however
little it compresses. And speech for which there is no word is decoded again: without timestamps the model hears
one utterance better, but of several it leaves some out.

Only the window that failed goes round again, on its own, with the encoding that it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from services.asr.engine import LONGEST_WINDOW_SECONDS, Hypothesis

COMPRESSION_LIMIT = 2.4
"""A text that compresses better repeats itself."""

LOG_PROBABILITY_LIMIT = -1.0
"""Below it, the decoder was guessing."""

NO_SPEECH_LIMIT = 0.6
"""Above it, a text that was guessed counts as silence."""

TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Tried one after another once the best text at temperature 0 has failed."""

_LONGEST_CYCLE_WORDS = 4
_CYCLES_OF_A_LOOP = 5


@dataclass(frozen=True)
class Attempt:
    """One way of recognizing a window."""

    seconds: int
    """Length that it is encoded to."""
    timestamps: bool
    """Whether the decoder writes timestamps."""
    temperature: float = 0.0


class Next(Enum):
    """What to do when there is no further attempt to make."""

    TAKE = "take"
    """Take the best hypothesis."""
    SPLIT = "split"
    """The window holds more text than the model can write at once: recognize each half."""


@dataclass(frozen=True)
class Trial:
    """An attempt and what came of it."""

    attempt: Attempt
    hypothesis: Hypothesis


def is_silence(hypothesis: Hypothesis) -> bool:
    """Return whether model doubts that there is speech and was guessing besides: two signs, never one."""
    return (
        hypothesis.no_speech_probability > NO_SPEECH_LIMIT
        and hypothesis.average_log_probability < LOG_PROBABILITY_LIMIT
    )


def repeats(hypothesis: Hypothesis) -> bool:
    """Return whether the text repeats itself."""
    return hypothesis.compression_ratio > COMPRESSION_LIMIT or loops(hypothesis.text)


def loops(text: str) -> bool:
    """Return whether up to four words stand there at least five times in a row."""
    words = [word.strip(".,!?").casefold() for word in text.split()]
    for length in range(1, _LONGEST_CYCLE_WORDS + 1):
        alike = 0
        for place in range(length, len(words)):
            alike = alike + 1 if words[place] == words[place - length] else 0
            if alike >= length * (_CYCLES_OF_A_LOOP - 1):
                return True
    return False


def is_good(hypothesis: Hypothesis) -> bool:
    """Return whether a hypothesis passes every check."""
    guessed = hypothesis.average_log_probability < LOG_PROBABILITY_LIMIT
    return hypothesis.complete and not repeats(hypothesis) and not guessed


def next_step(trials: Sequence[Trial]) -> Attempt | Next:
    """Return what to do after `trials`, which were made in this order and are not empty."""
    last = trials[-1]
    if is_good(last.hypothesis) or is_silence(last.hypothesis):
        return Next.TAKE
    if not last.hypothesis.complete and not repeats(last.hypothesis):
        return Next.SPLIT
    if last.attempt.seconds < LONGEST_WINDOW_SECONDS:
        return replace(last.attempt, seconds=LONGEST_WINDOW_SECONDS)
    hotter = [temperature for temperature in TEMPERATURES if temperature > last.attempt.temperature]
    return replace(last.attempt, temperature=hotter[0]) if hotter else Next.TAKE


def after_holes(trials: Sequence[Trial]) -> Attempt | Next:
    """Return what to do when the text of the last trial leaves speech out."""
    last = trials[-1].attempt
    return Next.SPLIT if last.timestamps or last.temperature else replace(last, timestamps=True)


def best(trials: Sequence[Trial]) -> Trial:
    """Return the trial to take: the last if it is good, else the likeliest, one that repeats itself only if all do."""
    if is_good(trials[-1].hypothesis):
        return trials[-1]
    sound = [trial for trial in trials if not repeats(trial.hypothesis)]
    return max(sound or trials, key=lambda trial: trial.hypothesis.average_log_probability)
