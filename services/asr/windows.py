"""Cuts a recording into windows for the recognizer, at pauses, while it arrives. Pure: numbers in, windows out.

A window is one unbroken stretch of the recording, so its times map back by adding its start. It holds speech that
voice activity detection found, the pauses inside it, and a margin around it: the detector finds the loud middle
of words, and what it clips (a breathy onset, a fading end) lies in the margin. No sample is in two windows.

A window ends at a long pause, or, when it would outgrow its length, at the best pause inside it. Only where
somebody speaks for longer than a whole window without any pause is it cut at the quietest moment near its end.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise

from services.audio.pcm import SAMPLE_RATE

FRAME_SAMPLES = 512
"""Samples in a frame: what voice activity detection judges at once (32 ms)."""

ENCODED_SECONDS = (10, 12, 14, 16, 18, 20, 25, 30)
"""Lengths to which windows are encoded."""

BREATH_SECONDS = 0.3
"""A pause that is shorter lies inside an utterance."""

_FRAME_SECONDS = FRAME_SAMPLES / SAMPLE_RATE
_PADDING_SECONDS = 2.0


@dataclass(frozen=True)
class Frame:
    """What is known of one frame of `FRAME_SAMPLES`."""

    speech: float
    """Probability of speech, 0 to 1."""
    level: float
    """Loudness: mean square of the samples, each in [-1, 1)."""


@dataclass(frozen=True)
class Window:
    """One unbroken stretch of a recording that is recognized as a whole. All in samples of the recording."""

    start: int
    end: int
    speech: tuple[tuple[int, int], ...]
    """Stretches of speech inside it, in order, disjoint; never empty."""
    speech_probability: float
    """Mean probability of speech over those stretches, 0 to 1."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end - self.start) / SAMPLE_RATE

    @property
    def longest_pause_seconds(self) -> float:
        """Length of the longest pause inside it; 0 when it has none."""
        pauses = (after[0] - before[1] for before, after in pairwise(self.speech))
        return max(pauses, default=0) / SAMPLE_RATE

    @property
    def speech_seconds(self) -> float:
        """How much of it is speech."""
        return sum(end - start for start, end in self.speech) / SAMPLE_RATE


@dataclass(frozen=True)
class WindowRules:
    """When speech begins and ends, and how long windows get. All but the probabilities in seconds."""

    onset: float = 0.5
    """Probability at which speech begins (Silero's own default)."""
    offset: float = 0.35
    """Probability below which it may have ended; lower than `onset` so that it does not flutter."""
    shortest_pause: float = 0.1
    """What is shorter belongs to a word: the closure of a stop lasts about as long."""
    longest_pause: float = 2.0
    """A longer pause ends the window: Whisper invents words in long silences."""
    longest: float = 17.0
    """Longest span from the first to the last speech of a window.

    Encoding costs more than linearly in the length, words at the edges lack context: measured, see
    benchmarks/README.md."""
    margin: float = 0.5
    """What is added on either side, as far as it does not reach the neighbour's half of the pause."""
    pause_when_full: float | None = None
    """Pause that ends a window which has come to `longest`; in between the pause that is asked for shrinks from
    `longest_pause` to this in proportion. None: it is the same for every window."""


@dataclass(frozen=True)
class Run:
    """A run of speech: frames first..last, `last` excluded."""

    first: int
    last: int


@dataclass(frozen=True)
class WindowerState:
    """Where a windower stands; all that it knows of the recording so far."""

    frames: int
    """Frames heard."""
    runs: tuple[Run, ...]
    """Ended runs of speech that are in no window yet."""
    open: Run | None
    """The run that goes on."""
    floor: int
    """First sample that the next window may hold."""
    heard: tuple[Frame, ...]
    """All frames since the first one of the first of these runs."""


AT_THE_START = WindowerState(frames=0, runs=(), open=None, floor=0, heard=())


class Windower:
    """Cuts one recording.

    Args:
        rules: where to cut.
        state: where another windower with the same rules stood, to go on from there.
    """

    def __init__(self, rules: WindowRules, state: WindowerState = AT_THE_START) -> None:
        self._rules = rules
        self._gap = round(rules.shortest_pause / _FRAME_SECONDS)
        self._pause = round(rules.longest_pause / _FRAME_SECONDS)
        full = rules.longest_pause if rules.pause_when_full is None else rules.pause_when_full
        self._pause_when_full = round(full / _FRAME_SECONDS)
        self._longest = round(rules.longest / _FRAME_SECONDS)
        self._margin = round(rules.margin * SAMPLE_RATE)
        self._frames = state.frames
        self._runs: deque[Run] = deque(state.runs)
        self._open = state.open
        # Where the next window may begin at the earliest, in samples.
        self._floor = state.floor
        # All frames since the first one of the first pending run.
        self._heard: deque[Frame] = deque(state.heard)

    @property
    def state(self) -> WindowerState:
        """Where it stands."""
        return WindowerState(self._frames, tuple(self._runs), self._open, self._floor, tuple(self._heard))

    @property
    def needed_from(self) -> int:
        """First sample that a window to come may still hold."""
        first = self._first_pending()
        latest = self._frames if first is None else first
        return max(self._floor, latest * FRAME_SAMPLES - self._margin, 0)

    def feed(self, frames: Iterable[Frame]) -> list[Window]:
        """Take the next frames; return the windows that they complete."""
        windows: list[Window] = []
        for frame in frames:
            self._take(frame)
            if (window := self._complete()) is not None:
                windows.append(window)
        return windows

    def pending(self) -> Window | None:
        """Return the speech that is in no window yet as if it ended now, or None where there is none."""
        first = self._first_pending()
        if first is None:
            return None
        runs = [*self._runs, self._open] if self._open else list(self._runs)
        spoken = sum(frame.speech for frame in self._heard) / len(self._heard)
        return Window(
            max(self._floor, first * FRAME_SAMPLES - self._margin),
            min(runs[-1].last * FRAME_SAMPLES + self._margin, self._frames * FRAME_SAMPLES),
            tuple((run.first * FRAME_SAMPLES, run.last * FRAME_SAMPLES) for run in runs),
            spoken,
        )

    def flush(self) -> list[Window]:
        """Return the window of all speech so far, as if a pause had followed it; the windower goes on."""
        return self.finish(self._frames * FRAME_SAMPLES)

    def finish(self, sample_count: int) -> list[Window]:
        """Return the last windows of a recording of `sample_count` samples."""
        if self._open is not None:
            self._runs.append(self._open)
            self._open = None
        return [self._emit(len(self._runs), sample_count)] if self._runs else []

    def _take(self, frame: Frame) -> None:
        number, self._frames = self._frames, self._frames + 1
        if self._open is None:
            if frame.speech >= self._rules.onset:
                self._open = Run(number, number + 1)
        elif frame.speech >= self._rules.offset:
            self._open = Run(self._open.first, number + 1)
        elif number - self._open.last >= self._gap:
            self._runs.append(self._open)
            self._open = None
        if self._first_pending() is not None:
            self._heard.append(frame)

    def _first_pending(self) -> int | None:
        if self._runs:
            return self._runs[0].first
        return self._open.first if self._open else None

    def _complete(self) -> Window | None:
        if self._open is None:
            if self._runs and self._frames - self._runs[-1].last >= self._pause_after(self._runs):
                return self._emit(len(self._runs), self._frames * FRAME_SAMPLES)
            return None
        first = self._runs[0].first if self._runs else self._open.first
        if self._open.last - first <= self._longest:
            return None
        return self._cut_at_pause(first) if self._runs else self._cut_at_quietest()

    def _pause_after(self, runs: Sequence[Run]) -> float:
        fullness = min(1.0, (runs[-1].last - runs[0].first) / self._longest)
        return self._pause + fullness * (self._pause_when_full - self._pause)

    def _cut_at_pause(self, first: int) -> Window:
        """Emit the runs before the best pause: a long one, and rather late than early.

        A late cut leaves windows full; a pause of a second or more is the end of a sentence or of a turn, and
        is as good as any longer one.
        """
        assert self._open is not None
        runs = [*self._runs, self._open]

        def worth(count: int) -> float:
            pause = (runs[count].first - runs[count - 1].last) * _FRAME_SECONDS
            return min(pause, 1.0) * (0.25 + (runs[count - 1].last - first) / self._longest)

        return self._emit(max(range(1, len(runs)), key=worth), None)

    def _cut_at_quietest(self) -> Window:
        """Split the open run at the quietest moment in the last third of the window."""
        assert self._open is not None
        run = self._open
        levels = [frame.level for frame in islice(self._heard, run.last - run.first)]
        earliest = max(1, len(levels) * 2 // 3)
        # Three frames, about 0.1 s: one quiet frame alone lies inside many a sound.
        quietest = min(
            range(earliest, len(levels) - 1), key=lambda place: sum(levels[place - 1 : place + 2]), default=earliest
        )
        cut = run.first + quietest
        self._runs.append(Run(run.first, cut))
        self._open = Run(cut, run.last)
        return self._emit(1, None)

    def _emit(self, count: int, end: int | None) -> Window:
        """Return the window of the first `count` runs, `end` being its limit where nothing pending follows."""
        runs = [self._runs.popleft() for _ in range(count)]
        first, last = runs[0].first * FRAME_SAMPLES, runs[-1].last * FRAME_SAMPLES
        following = self._first_pending()
        if following is None:
            assert end is not None
            limit, passed = end, len(self._heard)
        else:
            limit, passed = (last + following * FRAME_SAMPLES) // 2, following - runs[0].first
        start = max(self._floor, first - self._margin)
        self._floor = stop = min(last + self._margin, limit)
        heard = [self._heard.popleft() for _ in range(passed)]
        spoken = [frame.speech for run in runs for frame in heard[run.first - runs[0].first : run.last - runs[0].first]]
        return Window(
            start,
            stop,
            tuple((run.first * FRAME_SAMPLES, min(run.last * FRAME_SAMPLES, stop)) for run in runs),
            sum(spoken) / len(spoken),
        )


def split(window: Window, near: int | None = None) -> tuple[Window, Window] | None:
    """Return the two parts of a window, parted at a pause, or None where it has no pause.

    Args:
        window: what to part.
        near: sample near which to part it; its middle when None.
    """
    if len(window.speech) < 2:
        return None
    aim = (window.start + window.end) / 2 if near is None else near

    def worth(count: int) -> float:
        before, after = window.speech[count - 1][1], window.speech[count][0]
        off = abs((before + after) / 2 - aim) / (window.end - window.start)
        return min(after - before, SAMPLE_RATE) * (1.0 - off) ** 2

    before, after = cut_before(window, [window.speech[max(range(1, len(window.speech)), key=worth)][0]])
    return before, after


def utterances(window: Window) -> list[tuple[int, int]]:
    """Return the utterances of a window in samples of the recording: speech without a pause of `BREATH_SECONDS`."""
    joined: list[tuple[int, int]] = []
    for start, end in window.speech:
        if joined and start - joined[-1][1] < BREATH_SECONDS * SAMPLE_RATE:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def cut_before(window: Window, starts: Sequence[int]) -> list[Window]:
    """Return the parts of a window, cut in the pauses before the stretches of speech that begin at `starts`."""
    parts: list[Window] = []
    rest = window
    for start in starts:
        count = [first for first, _ in rest.speech].index(start)
        cut = (rest.speech[count - 1][1] + start) // 2
        parts.append(replace(rest, end=cut, speech=rest.speech[:count]))
        rest = replace(rest, start=cut, speech=rest.speech[count:])
    return [*parts, rest]


def fitting_seconds(seconds: float) -> int:
    """Return the length to which a window of `seconds` is encoded: one of `ENCODED_SECONDS`.

    Whisper wants silence after the last word, or it does not come to an end, and loops when everything is
    shorter than about ten seconds. Few lengths, so that windows can share a batch.
    """
    return next((length for length in ENCODED_SECONDS if seconds + _PADDING_SECONDS <= length), ENCODED_SECONDS[-1])
