"""A live stream's way from audio to captions. Pure: it says what is to be computed, and takes what was.

    state     when                                         what follows
    quiet     speech begins                                speaking; SpeechBegan is told
    speaking  some tenths of a second more have come       its text so far is recognized: an interim
    speaking  a pause, or it has become long, or flush     the utterance is a window: recognized once, with all checks;
                                                           SpeechEnded is told; quiet, or speaking if it goes on
    any       finish                                       the same for what is left; ended
    any       all windows so far were given out            Position is told: from here another session can go on

What becomes final is what `Session` makes of the windows, as in a file; only windows end sooner. It depends on
nothing but the audio: not on its division, nor on how fast it comes, nor on what the machine has to do besides.
Interims depend on all of that: there is one at a time, always of the latest audio, so under load they get rarer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from services.asr.agreement import Agreement, after
from services.asr.engine import AlignedWord, Encoding, Engine, Hypothesis
from services.asr.fallback import Attempt, is_good
from services.asr.language import Decision, Heard, HeardWindow
from services.asr.options import RecognitionOptions
from services.asr.scheduler import Stage
from services.asr.session import Output, Session, SessionState, WindowWork
from services.asr.suppression import has_words, window_signs
from services.asr.transcript import Recognition
from services.asr.vad import VoiceState, at_the_start
from services.asr.windows import Frame, Window, WindowRules, fitting_seconds
from services.audio.pcm import SAMPLE_RATE
from services.runtime.errors import invalid_field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LIVE_RULES = WindowRules(longest_pause=0.6, pause_when_full=0.25, longest=10.0, margin=0.3)
"""Where utterances end in a stream: measured, see benchmarks/README.md."""

FIRST_INTERIM_SECONDS = 0.6
"""So much must have been said before an utterance's first interim."""

EARLY_INTERIM_SECONDS = 0.3
"""So much must have been said since the last one, at the beginning of an utterance: a reader waits for its first
words, and short audio costs least."""

INTERIM_SECONDS = 0.5
"""The same, once an utterance is `EARLY_SECONDS` long."""

EARLY_SECONDS = 2.0

_POSITION_SECONDS = 10.0
"""How often a position is told while nobody speaks."""


@dataclass(frozen=True)
class Interim:
    """What is not final yet: the tail of the transcript. It replaces the one before."""

    start: float
    """Seconds in the stream; where the tail begins."""
    end: float
    text: str
    language: str
    """Empty when that is not known yet."""


@dataclass(frozen=True)
class SpeechBegan:
    """Somebody has begun to speak."""

    at: float
    """Seconds in the stream."""


@dataclass(frozen=True)
class SpeechEnded:
    """An utterance is over."""

    at: float
    """Seconds in the stream."""


@dataclass(frozen=True)
class ResumePoint:
    """Where another session can go on: all that was said before was given out."""

    model: str
    needed_from: int
    """First sample that a window to come may hold."""
    voice: VoiceState
    session: SessionState

    @property
    def known_samples(self) -> int:
        """How many of the samples that are needed voice activity detection has heard."""
        return self.session.received - self.needed_from


@dataclass(frozen=True)
class Position:
    """How far the stream is done with."""

    seconds: float
    """The first moment of the stream that who goes on at the point needs to send again."""
    point: ResumePoint


LiveEvent = Interim | SpeechBegan | SpeechEnded | Position


@dataclass(frozen=True)
class LiveOutput(Output):
    """What is new: what has become final, then the rest in order."""

    events: tuple[LiveEvent, ...] = ()

    def __bool__(self) -> bool:
        return super().__bool__() or bool(self.events)


@dataclass(frozen=True)
class _Mark:
    """The end of what had come when `windows` windows were complete."""

    windows: int
    needed_from: int
    """First sample that a window to come may hold."""
    voice: VoiceState
    session: SessionState
    """But for what the windows leave behind."""


@dataclass
class _Utterance:
    """An utterance that is not final yet."""

    start: float
    """Seconds in the stream."""
    end: float
    agreement: Agreement
    language: str = ""
    heard_until: int = 0
    """End of the speech that its last interim was made of, in samples."""
    goes_on: bool = False
    """Whether it was cut within speech: what is shown of it may hold words from after the cut."""


class LiveSession:
    """Recognizes one stream; what `Session` is to a file, and called in the same way.

    Args:
        engine: the model.
        options: what the caller wants.
        rules: where utterances end.
        interims: whether texts are wanted before they are final.
        voice: tells the state of voice activity detection after what was fed last.
        point: where another stream broke off, to go on from there.

    Raises:
        MeshError: the model cannot do what the options ask for, or the point is one of another configuration.
    """

    def __init__(
        self,
        engine: Engine,
        options: RecognitionOptions,
        rules: WindowRules = LIVE_RULES,
        *,
        interims: bool = True,
        voice: Callable[[], VoiceState] = at_the_start,
        point: ResumePoint | None = None,
    ) -> None:
        self.engine = engine
        self.options = options
        self._interims = interims
        self._voice = voice
        state = point.session if point else SessionState()
        if options.language is None and state.given.language.decided != state.given.windows:
            raise invalid_field("resume_token", "The resume token is of a stream whose language was given.")
        self._final = Session(engine, options, rules, live=True, state=state)
        # Of a stream that goes on, the first samples are there for the windows only.
        self._known_seconds = state.received / SAMPLE_RATE
        self._marks: list[_Mark] = []
        self._marked_seconds = self._known_seconds
        # Utterances whose windows are complete, by number; the one that is spoken; and what is computed of it.
        self._closing: dict[int, _Utterance] = {}
        self._speaking: _Utterance | None = None
        self._interim: WindowWork | None = None
        self._events: list[LiveEvent] = []
        # Of speech that went on there, the beginning was told by the stream before.
        if (pending := self._final.windower.pending()) is not None:
            self._speaking = _utterance(pending)
        self._shown = Interim(0.0, 0.0, "", "")

    # What comes in

    def feed(self, pcm: NDArray[np.int16], frames: Sequence[Frame]) -> list[WindowWork]:
        """Take the next samples (shape (n,), 16 kHz mono) and the frames that voice activity detection made of
        them; return what is ready for its next stage: windows, and the interim that replaces the one before.
        """
        completed = self._final.feed(pcm, frames)
        if self.heard_seconds < 0:
            # Audio that the stream before has heard: nothing is complete until all of it is back.
            return completed
        works = self._closed(completed)
        self._mark(windows=bool(works))
        return works + self._next_interim()

    def flush(self) -> list[WindowWork]:
        """Take that what was said so far is complete; return its window, if there is one."""
        if self.heard_seconds < 0:
            return []  # it was said to the stream before, and has been done
        works = self._closed(self._final.flush())
        self._mark(windows=bool(works))
        return works

    def finish(self, frames: Sequence[Frame]) -> list[WindowWork]:
        """Take the last frames: the stream is over.

        Raises:
            MeshError: INVALID; what a stream that goes on needs to be sent again was not.
        """
        if self.heard_seconds < 0:
            raise invalid_field("audio", "The audio since the position of the resume token is missing.")
        return self._closed(self._final.finish(frames))

    # What was computed

    def hear_language(self, work: WindowWork, encoding: Encoding) -> HeardWindow | None:
        """Return what the engine says of a window's language; None where it is known. Computes; changes nothing."""
        if not work.interim or work.decision is not None:
            return self._final.hear_language(work, encoding)
        odds = self.engine.detect_language(encoding, 0.0, work.attempt.seconds)
        heard = Heard(odds, work.window.speech_seconds)
        return HeardWindow(heard, [heard])

    def encoded(self, work: WindowWork, encoding: Encoding, heard: HeardWindow | None) -> list[WindowWork]:
        """Take a window's encoding and what was heard of its language."""
        if not work.interim:
            return self._final.encoded(work, encoding, heard)
        if work is not self._interim:
            return []
        work.encoding = encoding
        if heard is not None and heard.whole is not None:
            language = self._final.tracker.guess(heard.whole)
            if language is None:
                # A language that was too soon to tell shows words that nobody said.
                return self._next_after(work)
            work.decision = Decision(language, 0.0)
        assert work.decision is not None
        work.prompt = self.engine.prompt(
            work.decision.language, self.options.task, self._final.context, timestamps=False
        )
        work.stage = Stage.DECODE
        return [work]

    def decoded(self, work: WindowWork, hypothesis: Hypothesis) -> list[WindowWork]:
        """Take what the decoder found in a window."""
        if not work.interim:
            return self._final.decoded(work, hypothesis)
        if work is not self._interim:
            return []
        self._show(work, hypothesis)
        return self._next_after(work)

    def aligned(self, work: WindowWork, words: Sequence[AlignedWord]) -> list[WindowWork]:
        """Take the words of a window."""
        return self._final.aligned(work, words)

    # What comes out

    @property
    def finished(self) -> bool:
        """Whether everything was given out."""
        return self._final.finished

    @property
    def done_seconds(self) -> float:
        """How much of the stream is done with; never less than before."""
        return self._final.done_seconds

    @property
    def total_seconds(self) -> float | None:
        """How long the stream was, once it is over."""
        return self._final.total_seconds

    @property
    def received_seconds(self) -> float:
        """How much of the stream has come."""
        return self._final.received_seconds

    @property
    def heard_seconds(self) -> float:
        """How much has come that no stream before has heard; negative while that is sent again."""
        return self.received_seconds - self._known_seconds

    def drop(self, work: WindowWork) -> None:
        """Take that an interim could not be computed: there will be others."""
        if work is self._interim:
            self._interim = None

    def drain(self) -> LiveOutput:
        """Return what is new since the last call."""
        output = self._final.drain()
        self._forget_given(" ".join(segment.text for segment in output.segments))
        self._show_tail()
        self._tell_position()
        events, self._events = tuple(self._events), []
        return LiveOutput(output.segments, output.suppressed, events)

    def summary(self) -> Recognition:
        """Return what holds for the stream as a whole, once it is over."""
        return self._final.summary()

    # From quiet to speaking and back

    def _listen(self) -> None:
        if self._speaking is None and (window := self._final.windower.pending()) is not None:
            self._speaking = self._begun(window)

    def _begun(self, window: Window) -> _Utterance:
        self._events.append(SpeechBegan(window.speech[0][0] / SAMPLE_RATE))
        return _utterance(window)

    def _closed(self, works: list[WindowWork]) -> list[WindowWork]:
        for work in works:
            utterance = self._speaking or self._begun(work.window)
            utterance.end = work.window.end / SAMPLE_RATE
            utterance.goes_on = self._final.windower.pending() is not None
            self._closing[work.index[0]] = utterance
            self._speaking = self._interim = None
            self._events.append(SpeechEnded(work.window.speech[-1][1] / SAMPLE_RATE))
        self._listen()
        return works

    # Interims

    def _next_interim(self) -> list[WindowWork]:
        """Return what to compute for the utterance that is spoken, if it is time and nothing is computed yet."""
        utterance, window = self._speaking, self._final.windower.pending()
        busy = self._interim is not None and self._interim.started
        if utterance is None or window is None or busy or not self._interims:
            return []
        if window.speech[-1][1] < _due(utterance, window.speech[0][0]):
            return []
        self._interim = WindowWork(
            (),
            window,
            self._final.audio(window),
            Attempt(fitting_seconds(window.seconds), timestamps=False),
            decision=Decision(self.options.language, 1.0) if self.options.language is not None else None,
            interim=True,
        )
        return [self._interim]

    def _next_after(self, work: WindowWork) -> list[WindowWork]:
        """Return the next interim to compute once this one is done with."""
        assert self._speaking is not None
        self._speaking.heard_until = work.window.speech[-1][1]
        self._interim = None
        return self._next_interim()

    def _show(self, work: WindowWork, hypothesis: Hypothesis) -> None:
        utterance = self._speaking
        assert utterance is not None
        assert work.decision is not None
        # It is taken back in a moment if it is wrong, so one sign against it is enough not to show it at all.
        if not is_good(hypothesis) or not has_words(hypothesis.text):
            return
        if window_signs(hypothesis, work.window.speech_seconds, work.window.speech_probability):
            return
        utterance.end = work.window.end / SAMPLE_RATE
        utterance.language = work.decision.language
        utterance.agreement.hear(hypothesis.text)

    def _forget_given(self, text: str) -> None:
        """Take that the windows which are done with were given out as `text`; of one that was cut within speech, what
        was shown beyond the cut belongs to the next.
        """
        for number in [number for number in self._closing if number < self._final.given_windows]:
            utterance = self._closing.pop(number)
            following = self._closing.get(number + 1, self._speaking)
            if utterance.goes_on and following is not None:
                following.agreement.carry(after(utterance.agreement.shown, text))

    def _show_tail(self) -> None:
        tail = [*self._closing.values(), *([self._speaking] if self._speaking else [])]
        # Where speech was cut, what comes next may be shown already.
        cut = next((place for place, utterance in enumerate(tail) if utterance.goes_on), len(tail))
        tail = tail[: cut + 1]
        said = [utterance for utterance in tail if utterance.agreement.shown]
        text = " ".join(utterance.agreement.shown for utterance in said)
        if text != self._shown.text:
            start, end = (said[0].start, said[-1].end) if said else (self.done_seconds, self.done_seconds)
            self._shown = Interim(start, end, text, said[-1].language if said else "")
            self._events.append(self._shown)

    # Positions

    def _mark(self, *, windows: bool) -> None:
        """Remember where the stream is, when that is a place to go on from."""
        received = self.received_seconds
        quiet = self._final.windower.pending() is None
        late = received - self._marked_seconds >= _POSITION_SECONDS
        if not (windows or (quiet and late)):
            return
        self._marked_seconds = received
        self._marks.append(
            _Mark(self._final.windows, self._final.windower.needed_from, self._voice(), self._final.place)
        )

    def _tell_position(self) -> None:
        given = self._final.given_windows
        reached = [mark for mark in self._marks if mark.windows <= given]
        self._marks = self._marks[len(reached) :]
        if reached and reached[-1].windows == given:
            mark = reached[-1]
            session = replace(mark.session, given=self._final.given())
            point = ResumePoint(self.engine.model, mark.needed_from, mark.voice, session)
            self._events.append(Position(mark.needed_from / SAMPLE_RATE, point))


AnySession = Session | LiveSession
"""What workers compute for."""


def _utterance(window: Window) -> _Utterance:
    return _Utterance(window.start / SAMPLE_RATE, window.end / SAMPLE_RATE, Agreement())


def _due(utterance: _Utterance, start: int) -> float:
    """Return up to where speech must have come for the next interim of an utterance that starts there, in samples."""
    if not utterance.heard_until:
        return start + FIRST_INTERIM_SECONDS * SAMPLE_RATE
    early = utterance.heard_until - start < EARLY_SECONDS * SAMPLE_RATE
    return utterance.heard_until + (EARLY_INTERIM_SECONDS if early else INTERIM_SECONDS) * SAMPLE_RATE
