"""An engine without a model: it hears a word for each half second of sound, in the language of the sound's pitch.

It obeys the contract of `services.asr.engine.Engine`. Its audio is made by `tone`: loud stretches are speech, the
sign of a stretch's first sample tells the language.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.asr.engine import AlignedWord, Encoding, Hypothesis, Prompt, Task
from services.asr.vad import VoiceActivity, VoiceState
from services.audio.pcm import SAMPLE_RATE

_WORD_SECONDS = 0.5
_LOUD = 1000
_CONTEXT_TOKENS = 223


def tone(*stretches: tuple[float, float]) -> NDArray[np.int16]:
    """Return audio of stretches (seconds, level): level 0 is silence, a negative one is heard as German."""
    parts = [np.full(round(seconds * SAMPLE_RATE), level, np.int16) for seconds, level in stretches]
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


@dataclass(frozen=True)
class FakeEncoding:
    """The audio itself, and how long it was made."""

    audio: NDArray[np.int16]
    seconds: int


class FakeEngine:
    """Obeys the contract of `Engine` without a model.

    Args:
        model: id that it answers under.
        languages: codes that it claims to know.
        hold: when given, every encoding waits for this event.
        hypothesis: changes what was heard, given the prompt and the temperature.
        seconds_a_window: how long every stage takes for a window.
        sure: probability of the language that it hears.
    """

    longest_context = _CONTEXT_TOKENS

    def __init__(
        self,
        model: str = "fake",
        languages: tuple[str, ...] = ("en", "de"),
        hold: threading.Event | None = None,
        hypothesis: Callable[[Hypothesis, Prompt, float], Hypothesis] | None = None,
        seconds_a_window: float = 0.0,
        sure: float = 0.97,
    ) -> None:
        self.model = model
        self.languages = languages
        self.can_translate = len(languages) > 1
        self.running = threading.Event()
        self.encoded: list[int] = []
        """Length of every window that was encoded, in order."""
        self.batches: list[int] = []
        """Size of every batch that was decoded, in order."""
        self._hold = hold
        self._change = hypothesis or (lambda heard, prompt, temperature: heard)
        self._seconds_a_window = seconds_a_window
        self._sure = sure

    def context(self, text: str) -> tuple[int, ...]:
        return tuple(range(len(text.split())))

    def prompt(self, language: str, task: Task, context: Sequence[int], *, timestamps: bool) -> Prompt:
        return Prompt((*context, *range(3 if timestamps else 4)), language, task)

    def encode(self, audio: Sequence[NDArray[np.int16]], seconds: int) -> list[Encoding]:
        self.running.set()
        if self._hold is not None:
            assert self._hold.wait(10)
        self._take_time(len(audio))
        self.encoded += [len(samples) for samples in audio]
        return [FakeEncoding(samples, seconds) for samples in audio]

    def detect_language(self, encoding: Encoding, start: float, end: float) -> Mapping[str, float]:
        part = encoding.audio[max(0, round(start * SAMPLE_RATE)) : max(1, round(end * SAMPLE_RATE))]
        if len(self.languages) == 1:
            return {self.languages[0]: 1.0}
        german = np.count_nonzero(part < -_LOUD) > np.count_nonzero(part > _LOUD)
        heard, other = ("de", "en") if german else ("en", "de")
        return {heard: self._sure, other: 1 - self._sure}

    def decode(self, encodings: Sequence[Encoding], prompts: Sequence[Prompt], beam_size: int) -> list[Hypothesis]:
        assert len({encoding.seconds for encoding in encodings}) == 1
        assert len({len(prompt.tokens) for prompt in prompts}) == 1
        self._take_time(len(encodings))
        self.batches.append(len(encodings))
        return [
            self._change(_heard(encoding, prompt), prompt, 0.0)
            for encoding, prompt in zip(encodings, prompts, strict=True)
        ]

    def sample(self, encoding: Encoding, prompt: Prompt, temperature: float) -> Hypothesis:
        return self._change(_heard(encoding, prompt), prompt, temperature)

    def align(
        self, encoding: Encoding, seconds: float, prompt: Prompt, hypothesis: Hypothesis
    ) -> tuple[AlignedWord, ...]:
        moments = _moments(encoding.audio)[: len(hypothesis.text.split())]
        return tuple(
            AlignedWord(f" {text}", moment, moment + _WORD_SECONDS, 0.9)
            for text, moment in zip(hypothesis.text.split(), moments, strict=False)
        )

    def _take_time(self, windows: int) -> None:
        if self._seconds_a_window:
            time.sleep(self._seconds_a_window * windows)


class _Loudness:
    """What Silero's network is to `VoiceActivity`: sure of speech where it is loud."""

    def run(self, _: None, inputs: Mapping[str, NDArray[np.float32]]) -> tuple[NDArray[np.float32], ...]:
        loud = np.abs(inputs["input"]).mean(axis=1) > _LOUD / 32768
        return np.where(loud, 0.95, 0.02).astype(np.float32), inputs["h"], inputs["c"]


def listen(state: VoiceState | None = None, known: int = 0) -> VoiceActivity:
    """Return what takes loud stretches for speech."""
    return VoiceActivity(_Loudness(), state, known)


def saying(text: str, **evidence: float) -> Callable[[Hypothesis, Prompt, float], Hypothesis]:
    """Return what makes an engine hear `text` everywhere, with this evidence."""
    return lambda heard, prompt, temperature: replace(heard, text=text, **evidence)


def _moments(audio: NDArray[np.int16]) -> list[float]:
    """Return where in a window there is sound, every half second of it."""
    step = round(_WORD_SECONDS * SAMPLE_RATE)
    return [
        start / SAMPLE_RATE
        for start in range(0, len(audio) - step + 1, step)
        if np.abs(audio[start : start + step]).mean() > _LOUD / 2
    ]


def _heard(encoding: Encoding, prompt: Prompt) -> Hypothesis:
    word = "word" if prompt.language == "en" else "Wort"
    text = " ".join(f"{word}{number}" for number in range(len(_moments(encoding.audio))))
    return Hypothesis(tuple(range(len(text.split()))), text, -0.2, 0.01, 1.2 if text else 0.0, complete=True)
