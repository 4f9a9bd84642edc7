"""What a speech model is to the rest: stages of computation on windows of audio, and their values.

A window goes through `encode`, then (where the language is not given) `detect_language`, `decode` and `align`.
Every stage blocks, computes on the calling thread's behalf and may be called from several threads at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Encoding = Any
"""What an engine makes of a window's audio; opaque to everybody else."""

LONGEST_WINDOW_SECONDS = 30
"""What Whisper was trained on; no window is longer."""


class Task(StrEnum):
    """What the words are to be in."""

    TRANSCRIBE = "transcribe"
    """The language that is spoken."""
    TRANSLATE = "translate"
    """English."""


@dataclass(frozen=True)
class Prompt:
    """What the decoder starts from."""

    tokens: tuple[int, ...]
    """All of it; only prompts of equal length may be decoded together."""
    language: str
    """Language code; decides how words are parted."""
    task: Task


@dataclass(frozen=True)
class Hypothesis:
    """What the decoder found in a window."""

    tokens: tuple[int, ...]
    text: str
    """Without white space around it; may be empty."""
    average_log_probability: float
    """Mean over its tokens and the end mark, at most 0."""
    no_speech_probability: float
    """0 to 1."""
    compression_ratio: float
    """Length of the text over its zlib-compressed length; 0 for no text."""
    complete: bool
    """Whether the decoder came to an end by itself; otherwise the text was cut off at the model's limit."""


@dataclass(frozen=True)
class AlignedWord:
    """One word of a hypothesis with its place in the window."""

    text: str
    """With its punctuation and the white space before it."""
    start: float
    """Seconds from the start of the window."""
    end: float
    """Seconds."""
    probability: float
    """0 to 1."""


class Engine(Protocol):
    """A loaded model.

    Promises: what a stage returns for a window does not depend on what else is in the call (to the bit on a
    CPU), nor on what was computed before.
    """

    @property
    def model(self) -> str:
        """Its id."""

    @property
    def languages(self) -> Sequence[str]:
        """Codes of the languages it knows."""

    @property
    def can_translate(self) -> bool:
        """Whether it knows the task `translate`."""

    @property
    def longest_context(self) -> int:
        """Most tokens of context that a prompt takes."""

    def context(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a text that precedes the recording."""

    def prompt(self, language: str, task: Task, context: Sequence[int], *, timestamps: bool) -> Prompt:
        """Return the prompt for a language, a task and a context of at most `longest_context` tokens.

        With `timestamps`, the decoder writes down where utterances begin and end, and so skips none.
        """

    def encode(self, audio: Sequence[NDArray[np.int16]], seconds: int) -> list[Encoding]:
        """Encode windows (each of shape (n,), 16 kHz mono), padded with silence to `seconds` (up to 30)."""

    def detect_language(self, encoding: Encoding, start: float, end: float) -> Mapping[str, float]:
        """Return the probability of every language that the model knows between two moments of a window, which
        are given in seconds; they sum up to 1.
        """

    def decode(self, encodings: Sequence[Encoding], prompts: Sequence[Prompt], beam_size: int) -> list[Hypothesis]:
        """Decode windows that were encoded to one length, with prompts of one length."""

    def sample(self, encoding: Encoding, prompt: Prompt, temperature: float) -> Hypothesis:
        """Return the likeliest of five texts of a window that are sampled at a temperature above 0."""

    def align(
        self, encoding: Encoding, seconds: float, prompt: Prompt, hypothesis: Hypothesis
    ) -> tuple[AlignedWord, ...]:
        """Return the words of a hypothesis in order, with times inside the first `seconds` of the window."""
