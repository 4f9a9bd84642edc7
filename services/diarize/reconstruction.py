"""From what was heard in overlapping windows to who spoke when: the last step of diarization. Pure.

It follows pyannote.audio's pipeline (Bredin, "pyannote.audio 2.1 speaker diarization pipeline", Interspeech 2023):
each window's speakers are given to the voices of the whole recording, and every frame to as many voices as windows
hear speak there on average. It differs where that loses something: the probabilities of the windows are averaged,
not their decisions; who is heard at the same time in one window is never given to one voice while there are
others; what is heard around each moment is asked, too (`resegmentation`, `regrouping`); and the loops are over
windows, not frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from services.diarize.engine import MAX_SPEAKERS, Activity, Diarization, Frames, LocalSpeakers, SpeakerBounds, Turn
from services.diarize.regrouping import regrouped
from services.diarize.resegmentation import MOMENT_SECONDS, relabelled

SPEAKS = 0.5
"""From this probability on somebody is taken to speak."""

PAUSE_SECONDS = 0.3
"""A shorter silence of one speaker does not end a turn (NIST, Rich Transcription 2009 evaluation plan)."""

GHOST_SECONDS = 0.5
"""Who speaks for less than this in the whole recording is taken for somebody else's odd sound."""

REGROUPINGS = 3
"""How often voices are parted and joined, at most; a voice of three takes two."""

MOST_AT_ONCE = 3
"""Most speakers of one frame; the segmentation tells no more apart."""


@dataclass(frozen=True)
class _Timeline:
    """The frames of a whole recording."""

    probabilities: NDArray[np.float32]
    """Of each speaker, shape (speakers, frames)."""
    speaking: NDArray[np.int64]
    """How many speak at once, shape (frames,)."""
    frames: Frames

    @property
    def moments(self) -> NDArray[np.int64]:
        """The moment that each frame belongs to, shape (frames,)."""
        times = np.arange(len(self.speaking)) * self.frames.step + self.frames.middle
        return (times / MOMENT_SECONDS).astype(np.int64)

    def active(self, most: int) -> NDArray[np.bool_]:
        """Return who speaks, shape (speakers, frames), when no more than `most` do at once: the likeliest."""
        active = np.zeros(self.probabilities.shape, bool)
        left = self.probabilities.copy()
        everywhere = np.arange(left.shape[1])
        for rank in range(min(most, len(left))):
            likeliest = left.argmax(axis=0)
            active[likeliest, everywhere] |= self.speaking > rank
            left[likeliest, everywhere] = -1.0
        return active & (self.probabilities > 0)

    def turns(self, active: NDArray[np.bool_], duration: float) -> list[Turn]:
        """Return the runs of active frames inside 0 to `duration` seconds, by start."""
        turns: list[Turn] = []
        for speaker, row in enumerate(active):
            changes = np.diff(row.astype(np.int8), prepend=0, append=0)
            edges = (np.flatnonzero(changes) * self.frames.step + self.frames.middle).clip(0.0, duration)
            turns += [
                Turn(float(start), float(end), speaker)
                for start, end in zip(edges[::2], edges[1::2], strict=True)
                if start < end
            ]
        return sorted(turns, key=lambda turn: (turn.start, turn.end, turn.speaker))


def reconstruct(
    windows: Sequence[LocalSpeakers],
    voices: NDArray[np.float32],
    frames: Frames,
    duration: float,
    bounds: SpeakerBounds,
) -> Diarization:
    """Return who spoke when.

    Args:
        windows: what was heard in each, by start; at least one.
        voices: how the speakers sound, shape (speakers, dimension).
        frames: where the windows' frames lie.
        duration: length of the recording in seconds.
        bounds: how many speakers there must be; no fewer are left.
    """
    fewest = max(bounds.exact, bounds.minimum, 1)
    most = bounds.exact or bounds.maximum or MAX_SPEAKERS
    moments = _moments(windows)
    voices, timeline = _without_ghosts(windows, voices, moments, frames, fewest)
    for _ in range(REGROUPINGS):
        better = _regrouped(timeline, voices, moments, fewest, most)
        if better is None:
            break
        voices, timeline = _without_ghosts(windows, better, moments, frames, fewest)
    turns = _bridged(timeline.turns(timeline.active(MOST_AT_ONCE), duration))
    exclusive = timeline.turns(timeline.active(1), duration)
    return _numbered(turns, exclusive, timeline, duration)


def _assigned(windows: Sequence[LocalSpeakers], voices: NDArray[np.float32]) -> list[NDArray[np.int64]]:
    """Return for each window the voice of each of its speakers, -1 for those who do not speak.

    The best one-to-one assignment by cosine distance; who is left over goes to the voice that is nearest.
    """
    unit = _unit(voices)
    assigned: list[NDArray[np.int64]] = []
    for window in windows:
        labels = np.full(len(window.embeddings), -1)
        known = np.flatnonzero(~np.isnan(window.embeddings).any(axis=1))
        if len(known):
            likeness = _unit(window.embeddings[known]) @ unit.T
            labels[known] = likeness.argmax(axis=1)
            rows, columns = linear_sum_assignment(likeness, maximize=True)
            labels[known[rows]] = columns
        assigned.append(labels)
    return assigned


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, 1e-12)
    return unit


def _timeline(
    windows: Sequence[LocalSpeakers], labels: Sequence[NDArray[np.int64]], speakers: int, frames: Frames
) -> _Timeline:
    places = [round(window.start / frames.step) for window in windows]
    length = len(windows[0].activity)
    # One column more takes the probabilities of those who do not speak.
    total = np.zeros((places[-1] + length, speakers + 1), np.float32)
    heard = np.zeros(places[-1] + length, np.float32)
    for window, place, voice in zip(windows, places, labels, strict=True):
        here = np.zeros((length, speakers + 1), np.float32)
        for local, speaker in enumerate(voice):
            # Two of them may have one voice: then he speaks when either does.
            np.maximum(here[:, speaker], window.activity[:, local], out=here[:, speaker])
        total[place : place + length] += here
        heard[place : place + length] += 1
    probabilities: NDArray[np.float32] = np.ascontiguousarray((total[:, :speakers] / np.maximum(heard, 1)[:, None]).T)
    return _Timeline(probabilities, np.rint(probabilities.sum(axis=0)).astype(np.int64), frames)


def _without_ghosts(
    windows: Sequence[LocalSpeakers],
    voices: NDArray[np.float32],
    moments: NDArray[np.float32],
    frames: Frames,
    fewest: int,
) -> tuple[NDArray[np.float32], _Timeline]:
    """Return the voices that are somebody's, and when they speak."""
    timeline = _attributed(windows, voices, moments, frames, fewest)
    seconds = timeline.active(1).sum(axis=1) * frames.step
    by_speech = np.argsort(-seconds, kind="stable")
    kept = sorted(
        speaker for rank, speaker in enumerate(by_speech) if rank < fewest or seconds[speaker] >= GHOST_SECONDS
    )
    if len(kept) == len(voices):
        return voices, timeline
    return voices[kept], _attributed(windows, voices[kept], moments, frames, fewest)


def _attributed(
    windows: Sequence[LocalSpeakers],
    voices: NDArray[np.float32],
    moments: NDArray[np.float32],
    frames: Frames,
    fewest: int,
) -> _Timeline:
    """Return when the voices speak by windows, after a second look moment by moment.

    As it was before, where the second look would leave too few speakers.
    """
    timeline = _timeline(windows, _assigned(windows, voices), len(voices), frames)
    if not len(moments) or len(voices) < 2:
        return timeline
    likeness = moments @ _unit(voices).T
    probabilities = relabelled(timeline.probabilities, timeline.speaking == 1, timeline.moments, likeness)
    second = _Timeline(probabilities, timeline.speaking, frames)
    left = int(second.active(1).any(axis=1).sum())
    return second if left >= min(fewest, int(timeline.active(1).any(axis=1).sum())) else timeline


def _regrouped(
    timeline: _Timeline, voices: NDArray[np.float32], moments: NDArray[np.float32], fewest: int, most: int
) -> NDArray[np.float32] | None:
    """Return better voices, by what is heard at the moments at which they speak alone."""
    if not len(moments):
        return None
    middles = ((np.arange(len(moments)) + 0.5) * MOMENT_SECONDS - timeline.frames.middle) / timeline.frames.step
    places = np.rint(middles).astype(int).clip(0, len(timeline.speaking) - 1)
    known = np.flatnonzero((timeline.speaking[places] == 1) & ~np.isnan(moments).any(axis=1))
    return regrouped(voices, moments[known], timeline.probabilities[:, places[known]].argmax(axis=0), fewest, most)


def _moments(windows: Sequence[LocalSpeakers]) -> NDArray[np.float32]:
    """Return what is heard around each moment of the recording, of unit length, NaN where that is not known."""
    count = max(window.first_moment + len(window.moments) for window in windows)
    moments = np.full((count, windows[0].embeddings.shape[1]), np.nan, np.float32)
    for window in windows:
        if len(window.moments):
            moments[window.first_moment : window.first_moment + len(window.moments)] = window.moments
    return _unit(moments)


def _bridged(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns without the short pauses between those of one speaker."""
    bridged: list[Turn] = []
    by_speaker = sorted(turns, key=lambda turn: (turn.speaker, turn.start))
    for _, own in groupby(by_speaker, key=lambda turn: turn.speaker):
        last: Turn | None = None
        for turn in own:
            if last is not None and turn.start - last.end < PAUSE_SECONDS:
                last = Turn(last.start, turn.end, turn.speaker)
                bridged[-1] = last
            else:
                last = turn
                bridged.append(turn)
    return sorted(bridged, key=lambda turn: (turn.start, turn.end, turn.speaker))


def _numbered(turns: Sequence[Turn], exclusive: Sequence[Turn], timeline: _Timeline, duration: float) -> Diarization:
    """Number the speakers in the order in which they first speak; who never does, is nobody."""
    order = list(dict.fromkeys(turn.speaker for turn in [*turns, *exclusive]))
    number = {speaker: place for place, speaker in enumerate(order)}

    def renamed(old: Sequence[Turn]) -> tuple[Turn, ...]:
        return tuple(Turn(turn.start, turn.end, number[turn.speaker]) for turn in old)

    step = Activity().step
    rows = tuple(_row(timeline.probabilities[speaker], timeline.frames, step, duration) for speaker in order)
    return Diarization(renamed(turns), renamed(exclusive), Activity(step, rows))


def _row(probabilities: NDArray[np.float32], frames: Frames, step: float, duration: float) -> bytes:
    """Return probabilities by frame as bytes for each `step` seconds: what lies in the middle of it."""
    middles = (np.arange(int(np.ceil(duration / step))) + 0.5) * step
    times = np.arange(len(probabilities)) * frames.step + frames.middle
    return bytes(np.rint(255 * np.interp(middles, times, probabilities)).clip(0, 255).astype(np.uint8).tobytes())
