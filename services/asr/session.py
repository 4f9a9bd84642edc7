"""One recording's way from audio to segments. Pure: it says what is to be computed, and takes what was.

    audio -> windows -> ENCODE -> (language) -> DECODE -> ALIGN -> segments, in the order of time
                          ^  \\______________/     |
                          |                       | not good enough: again at 30 s, then hotter, or in halves
                          +-----------------------+

Nothing here knows of threads or clocks. Whoever computes calls the method of the stage that is done and gets the
windows that are ready for their next stage. Methods are not to be called by two threads at once, but for
`hear_language`, which computes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from services.asr import segments
from services.asr.engine import AlignedWord, Encoding, Engine, Hypothesis, Prompt, Task
from services.asr.fallback import Attempt, Next, Trial, after_holes, best, next_step
from services.asr.language import (
    HASTY_SPAN_SECONDS,
    SEARCH_SPAN_SECONDS,
    Decision,
    Heard,
    HeardWindow,
    LanguageState,
    LanguageTracker,
)
from services.asr.options import RecognitionOptions, check
from services.asr.scheduler import Stage
from services.asr.suppression import has_words, segment_signs, verdict, window_signs
from services.asr.transcript import Evidence, Reason, Recognition, Segment, Suppressed, Word
from services.asr.windows import (
    AT_THE_START,
    Frame,
    Window,
    Windower,
    WindowerState,
    WindowRules,
    cut_before,
    fitting_seconds,
    split,
    utterances,
)
from services.asr.word_times import Span, TimeOrder, clamp_to_speech, missed
from services.audio.pcm import SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNKNOWN_LANGUAGE = "en"
"""What a recording without speech is said to be in."""

# How often a window is parted again: into eighths at most.
_MOST_SPLITS = 3

# A pause after which the next utterance is probably somebody else's, or another sentence. Measured on clips of one
# speaker and on conversations: see benchmarks/README.md.
_UTTERANCES_PAUSE_SECONDS = 0.5

# What is heard of an utterance's surroundings when its language is detected.
_AROUND_SECONDS = 0.2


@dataclass(frozen=True)
class Alignment:
    """A text of a window with the times of its words."""

    hypothesis: Hypothesis
    words: tuple[AlignedWord, ...]
    missed_seconds: float
    """Speech that no word accounts for."""


@dataclass(eq=False)
class WindowWork:
    """A window on its way."""

    index: tuple[int, ...]
    """Its place in the recording; halves of a window have one number more."""
    window: Window
    audio: NDArray[np.int16]
    attempt: Attempt
    stage: Stage = Stage.ENCODE
    decision: Decision | None = None
    encoding: Encoding = None
    prompt: Prompt | None = None
    beam_size: int = 1
    """Hypotheses followed at once."""
    interim: bool = False
    """Whether its text is shown for a moment only, while the speech goes on."""
    started: bool = False
    """Whether a worker has taken it."""
    trials: list[Trial] = field(default_factory=list)
    alignments: list[Alignment] = field(default_factory=list)
    again: str | None = None
    """What is tried with it once more, in one word, until somebody has counted it."""
    done: bool = False
    pieces: list[Segment | Suppressed] = field(default_factory=list)
    """What it gave, once it is done."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.window.seconds

    @property
    def speech(self) -> list[Span]:
        """Its stretches of speech in seconds from its start."""
        return self._in_seconds(self.window.speech)

    @property
    def utterances(self) -> list[Span]:
        """Its utterances in seconds from its start."""
        return self._in_seconds(utterances(self.window))

    def _in_seconds(self, spans: Sequence[tuple[int, int]]) -> list[Span]:
        start = self.window.start
        return [((first - start) / SAMPLE_RATE, (last - start) / SAMPLE_RATE) for first, last in spans]

    @property
    def batch_key(self) -> tuple[object, ...]:
        """Return what another window of the same model and stage must have alike to share a batch."""
        if self.stage is Stage.ENCODE:
            return (self.attempt.seconds,)
        if self.stage is Stage.DECODE and not self.attempt.temperature:
            assert self.prompt is not None
            return (self.attempt.seconds, len(self.prompt.tokens), self.beam_size)
        return (id(self),)


@dataclass(frozen=True)
class Output:
    """What has become final."""

    segments: tuple[Segment, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.segments or self.suppressed)


@dataclass(frozen=True)
class Given:
    """What the windows that were given out leave behind."""

    windows: int = 0
    """How many there were."""
    now: float = 0.0
    """Where the last word began, in seconds."""
    language: LanguageState = field(default_factory=LanguageState)
    spoken: Mapping[str, float] = field(default_factory=dict)
    """Seconds that were spoken in each language."""
    certainty: Mapping[str, float] = field(default_factory=dict)
    """The same, each weighed with the probability of the language."""


@dataclass(frozen=True)
class SessionState:
    """A place in a recording, all windows before which were given out."""

    received: int = 0
    """Samples that had come; voice activity detection has heard them."""
    windower: WindowerState = AT_THE_START
    speech_seconds: float = 0.0
    given: Given = field(default_factory=Given)


class Session:
    """Recognizes one recording.

    Args:
        engine: the model.
        options: what the caller wants.
        rules: where windows are cut.
        live: whether every window is given out as soon as it can be; its language is then decided on by what was
            heard before.
        state: where another session on the same recording stood, to go on from there; only a live one can. The
            first sample to come is `needed_from` of its windower.

    Raises:
        MeshError: the model cannot do what the options ask for.
    """

    def __init__(
        self,
        engine: Engine,
        options: RecognitionOptions,
        rules: WindowRules,
        *,
        live: bool = False,
        state: SessionState | None = None,
    ) -> None:
        state = state or SessionState()
        self.engine = engine
        self.options = options
        self.context = check(options, engine)
        self.windower = Windower(rules, state.windower)
        self.tracker = LanguageTracker(hasty=live, state=state.given.language)
        self._live = live
        self._search_span = round((HASTY_SPAN_SECONDS if live else SEARCH_SPAN_SECONDS) * SAMPLE_RATE)
        # What came last, in pieces; windows to come begin at `needed_from` of the windower at the earliest.
        self._pcm: deque[NDArray[np.int16]] = deque()
        self._samples = self._pcm_start = self.windower.needed_from
        self._ended = False
        # All windows that have not been given out, in order; and those that wait for their language, by number.
        self._open: list[WindowWork] = []
        self._undecided: list[WindowWork] = []
        self.windows = state.given.windows
        # Where the first window starts, and how many start soon after it.
        self._first_speech: int | None = None
        self._early_windows = 0
        self._speech_seconds = state.speech_seconds
        self._spoken = dict(state.given.spoken)
        self._certainty = dict(state.given.certainty)
        self._order = TimeOrder(state.given.now)
        self._output: list[Segment | Suppressed] = []

    # What comes in

    def feed(self, pcm: NDArray[np.int16], frames: Sequence[Frame]) -> list[WindowWork]:
        """Take the next samples (shape (n,), 16 kHz mono) and the frames that voice activity detection made of
        the recording so far; return the windows that they complete.
        """
        self._pcm.append(pcm)
        self._samples += len(pcm)
        works = self._new(self.windower.feed(frames))
        return works + self._end_search()

    def flush(self) -> list[WindowWork]:
        """Take that what was said so far is complete; return the windows of it."""
        return self._new(self.windower.flush())

    def audio(self, window: Window) -> NDArray[np.int16]:
        """Return the samples of a window that the windower has now."""
        pcm = np.concatenate(self._pcm)
        return pcm[window.start - self._pcm_start : window.end - self._pcm_start].copy()

    def finish(self, frames: Sequence[Frame]) -> list[WindowWork]:
        """Take the last frames; return the windows that are ready for their next stage."""
        works = self._new(self.windower.feed(frames) + self.windower.finish(self._samples))
        self._ended = True
        self._pcm.clear()
        return works + self._decided(self.tracker.settle_by(self.windows))

    # What was computed

    def hear_language(self, work: WindowWork, encoding: Encoding) -> HeardWindow | None:
        """Return what the engine says of a window's language; None where it is known. Computes; changes nothing."""
        if work.decision is not None:
            return None

        def hear(start: float, end: float, seconds: float) -> Heard:
            return Heard(self.engine.detect_language(encoding, start, end), seconds)

        spans = work.utterances
        whole = None
        if len(spans) == 1 or self.tracker.language is None:
            whole = hear(0.0, work.attempt.seconds, work.window.speech_seconds)
        if whole is not None and len(spans) == 1:
            return HeardWindow(whole, [whole])
        return HeardWindow(
            whole, [hear(start - _AROUND_SECONDS, end + _AROUND_SECONDS, end - start) for start, end in spans]
        )

    def encoded(self, work: WindowWork, encoding: Encoding, heard: HeardWindow | None) -> list[WindowWork]:
        """Take a window's encoding and what was heard of its language."""
        work.encoding = encoding
        if work.decision is not None:
            return [self._to_decode(work)]
        assert heard is not None
        self._undecided.append(work)
        return self._decided(self.tracker.hear(work.index[0], heard))

    def decoded(self, work: WindowWork, hypothesis: Hypothesis) -> list[WindowWork]:
        """Take what the decoder found in a window."""
        work.trials.append(Trial(work.attempt, hypothesis))
        step = next_step(work.trials)
        if isinstance(step, Attempt):
            return [self._again(work, step)]
        halves = split(work.window) if step is Next.SPLIT and len(work.index) <= _MOST_SPLITS else None
        if halves is not None:
            return self._split(work, halves, [work.decision] * len(halves), "split")
        taken = best(work.trials).hypothesis
        if not has_words(taken.text):
            return self._without_words(work, taken)
        if (reason := self._window_verdict(work, taken)) is not None:
            return self._close(work, [self._held_back(work, taken.text, reason)])
        work.stage = Stage.ALIGN
        return [work]

    def _without_words(self, work: WindowWork, taken: Hypothesis) -> list[WindowWork]:
        """Try once more where somebody speaks; punctuation alone is what the model writes where it hears nothing."""
        again = after_holes(work.trials)
        if isinstance(again, Attempt) and missed((), work.utterances):
            return [self._again(work, again)]
        return self._close(work, [self._held_back(work, taken.text, Reason.NO_SPEECH)] if taken.text else [])

    def aligned(self, work: WindowWork, words: Sequence[AlignedWord]) -> list[WindowWork]:
        """Take the words of a window."""
        holes = missed(words, work.utterances)
        seconds = sum(end - start for start, end in holes)
        work.alignments.append(Alignment(best(work.trials).hypothesis, tuple(words), seconds))
        # A translation has its words where they stand in English, not where they are said.
        if holes and self.options.task is Task.TRANSCRIBE:
            step = after_holes(work.trials)
            if isinstance(step, Attempt):
                return [self._again(work, step)]
            near = work.window.start + round(holes[0][0] * SAMPLE_RATE)
            if len(work.index) <= _MOST_SPLITS and (parts := split(work.window, near)) is not None:
                return self._split(work, parts, [work.decision] * len(parts), "split")
        taken = min(work.alignments, key=lambda alignment: alignment.missed_seconds)
        return self._close(work, list(self._pieces(work, taken)))

    # What comes out

    @property
    def finished(self) -> bool:
        """Whether everything was given out."""
        return self._ended and not self._open

    @property
    def done_seconds(self) -> float:
        """How much of the recording is done with, from its start; never less than before."""
        if self._open:
            return self._open[0].window.start / SAMPLE_RATE
        return (self._samples if self._ended else self.windower.needed_from) / SAMPLE_RATE

    @property
    def total_seconds(self) -> float | None:
        """How long the recording is, once that is known."""
        return self.received_seconds if self._ended else None

    @property
    def received_seconds(self) -> float:
        """How much of the recording has come."""
        return self._samples / SAMPLE_RATE

    def drain(self) -> Output:
        """Return what has become final since the last call, in the order of time."""
        if self.finished:
            self._output += self._order.flush(self.received_seconds)
        given, self._output = self._output, []
        return Output(
            tuple(item for item in given if isinstance(item, Segment)),
            tuple(item for item in given if isinstance(item, Suppressed)),
        )

    @property
    def place(self) -> SessionState:
        """Where a live session has come to, but for what its windows leave behind."""
        return SessionState(self._samples, self.windower.state, self._speech_seconds)

    @property
    def given_windows(self) -> int:
        """How many windows are done with: they and all before them."""
        return self._open[0].index[0] if self._open else self.windows

    def given(self) -> Given:
        """Return what the windows of a live session that are done with leave behind; forgets what was before."""
        count = self.given_windows
        language = LanguageState() if self.options.language is not None else self.tracker.state_after(count)
        return Given(count, self._order.now, language, dict(self._spoken), dict(self._certainty))

    def summary(self) -> Recognition:
        """Return what holds for the recording as a whole, once it is finished."""
        if self.options.language is not None:
            return Recognition(self.options.language, 1.0, self._speech_seconds)
        if not self._spoken:
            return Recognition(self.tracker.language or UNKNOWN_LANGUAGE, 0.0, self._speech_seconds)
        language = max(self._spoken, key=lambda code: self._spoken[code])
        return Recognition(language, self._certainty[language] / self._spoken[language], self._speech_seconds)

    # Steps between stages

    def _new(self, windows: Sequence[Window]) -> list[WindowWork]:
        works: list[WindowWork] = []
        for window in windows:
            work = WindowWork(
                (self.windows,),
                window,
                self.audio(window),
                _first_attempt(window),
                beam_size=self.options.beam_size,
            )
            if self.options.language is not None:
                work.decision = Decision(self.options.language, 1.0)
            self.windows += 1
            if self._first_speech is None:
                self._first_speech = window.start
            if window.start < self._first_speech + self._search_span:
                self._early_windows += 1
            self._speech_seconds += window.speech_seconds
            works.append(work)
        self._open += works
        while self._pcm and self._pcm_start + len(self._pcm[0]) <= self.windower.needed_from:
            self._pcm_start += len(self._pcm.popleft())
        return works

    def _end_search(self) -> list[WindowWork]:
        """Settle the recording's language when speech is so sparse that waiting for more of it takes too long.

        By the windows that begin within a span, once all of them are known: so it does not depend on how the
        audio was divided.
        """
        if self._first_speech is None:
            return []
        last = self._first_speech + self._search_span
        if self.windower.needed_from < last:
            return []
        return self._decided(self.tracker.settle_by(self._early_windows))

    def _decided(self, windows: Sequence[Sequence[Decision]]) -> list[WindowWork]:
        self._undecided.sort(key=lambda work: work.index)
        ready, self._undecided = self._undecided[: len(windows)], self._undecided[len(windows) :]
        return [
            work for window, decisions in zip(ready, windows, strict=True) for work in self._settled(window, decisions)
        ]

    def _settled(self, work: WindowWork, decisions: Sequence[Decision]) -> list[WindowWork]:
        """Decode a window of one language as it is; cut one of several between them."""
        spans = utterances(work.window)
        runs = [list(run) for _, run in groupby(zip(spans, decisions, strict=True), lambda pair: pair[1].language)]
        if len(runs) == 1:
            work.decision = _together(runs[0])
            return [self._to_decode(work)]
        parts = cut_before(work.window, [run[0][0][0] for run in runs[1:]])
        return self._split(work, parts, [_together(run) for run in runs], "language")

    def _count_language(self, work: WindowWork) -> None:
        assert work.decision is not None
        code, seconds = work.decision.language, work.window.speech_seconds
        self._spoken[code] = self._spoken.get(code, 0.0) + seconds
        self._certainty[code] = self._certainty.get(code, 0.0) + work.decision.probability * seconds

    def _to_decode(self, work: WindowWork) -> WindowWork:
        assert work.decision is not None
        work.prompt = self.engine.prompt(
            work.decision.language, self.options.task, self.context, timestamps=work.attempt.timestamps
        )
        work.stage = Stage.DECODE
        return work

    def _again(self, work: WindowWork, attempt: Attempt) -> WindowWork:
        longer = attempt.seconds != work.attempt.seconds
        work.again = "hotter" if attempt.temperature else "longer" if longer else "timestamps"
        work.attempt = attempt
        if not longer:
            return self._to_decode(work)
        work.encoding, work.stage = None, Stage.ENCODE
        return work

    def _split(
        self, work: WindowWork, parts: Sequence[Window], decisions: Sequence[Decision | None], why: str
    ) -> list[WindowWork]:
        works = [
            WindowWork(
                (*work.index, number),
                part,
                work.audio[part.start - work.window.start : part.end - work.window.start],
                _first_attempt(part),
                decision=decision,
                beam_size=work.beam_size,
                again=why,
            )
            for number, (part, decision) in enumerate(zip(parts, decisions, strict=True))
        ]
        place = self._open.index(work)
        self._open[place : place + 1] = works
        return works

    def _close(self, work: WindowWork, pieces: list[Segment | Suppressed]) -> list[WindowWork]:
        work.done = True
        work.pieces = pieces
        work.encoding = None
        while self._next_is_done():
            given = self._open.pop(0)
            if any(isinstance(piece, Segment) for piece in given.pieces):
                self._count_language(given)
            for piece in given.pieces:
                self._output += self._order.push(piece) if isinstance(piece, Segment) else [piece]
            if self._live:
                self._output += self._order.flush(given.window.end / SAMPLE_RATE)
        return []

    def _next_is_done(self) -> bool:
        if not self._live:
            return bool(self._open) and self._open[0].done
        # All parts of a window together: between them nobody could go on.
        parts = [work for work in self._open if work.index[0] == self._open[0].index[0]]
        return bool(parts) and all(work.done for work in parts)

    # Judging and cutting

    @staticmethod
    def _window_verdict(work: WindowWork, hypothesis: Hypothesis) -> Reason | None:
        return verdict(window_signs(hypothesis, work.window.speech_seconds, work.window.speech_probability))

    @staticmethod
    def _held_back(work: WindowWork, text: str, reason: Reason) -> Suppressed:
        (first, _), (_, last) = work.window.speech[0], work.window.speech[-1]
        return Suppressed(first / SAMPLE_RATE, last / SAMPLE_RATE, text, reason)

    def _pieces(self, work: WindowWork, taken: Alignment) -> Iterator[Segment | Suppressed]:
        start = work.window.start / SAMPLE_RATE
        # A translation has its words where they stand in English.
        speech = work.speech if self.options.task is Task.TRANSCRIBE else [(0.0, work.seconds)]
        evidence = self._evidence(work, taken.hypothesis)
        before = ""
        for group in segments.cut(clamp_to_speech(taken.words, work.utterances)):
            text = "".join(word.text for word in group).strip()
            reason = verdict(segment_signs(group, speech, before))
            before = text
            if reason is not None:
                yield Suppressed(start + group[0].start, start + group[-1].end, text, reason)
            else:
                timed = tuple(Word(w.text, start + w.start, start + w.end, w.probability) for w in group)
                yield Segment(timed[0].start, timed[-1].end, text, timed, evidence)

    @staticmethod
    def _evidence(work: WindowWork, hypothesis: Hypothesis) -> Evidence:
        assert work.decision is not None
        return Evidence(
            hypothesis.average_log_probability,
            hypothesis.no_speech_probability,
            hypothesis.compression_ratio,
            work.decision.language,
            work.decision.probability,
        )


def _first_attempt(window: Window) -> Attempt:
    several = window.longest_pause_seconds >= _UTTERANCES_PAUSE_SECONDS
    return Attempt(fitting_seconds(window.seconds), timestamps=several)


def _seconds(run: Sequence[tuple[tuple[int, int], Decision]]) -> float:
    return sum(end - start for (start, end), _ in run) / SAMPLE_RATE


def _together(run: Sequence[tuple[tuple[int, int], Decision]]) -> Decision:
    """Return the decision for utterances of one language: its mean probability, by their lengths."""
    weighed = sum((end - start) / SAMPLE_RATE * decision.probability for (start, end), decision in run)
    return Decision(run[0][1].language, weighed / _seconds(run))
