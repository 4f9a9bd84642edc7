"""Laws of time for recognized words. Pure.

Whisper's word times come from attention weights: a word before a pause is stretched over the pause, at the seams
of windows they overlap, and some point past the end of the recording. What leaves this module never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.asr.engine import AlignedWord
from services.asr.transcript import Segment, Word

Span = tuple[float, float]
"""Start and end in seconds."""

MISSED_SECONDS = 1.5
"""So much speech without a word is text that the decoder left out."""

_SHORTEST_ALLOWANCE_SECONDS = 0.8
_SECONDS_A_CHARACTER = 0.2

_REACH_SECONDS = 0.15
"""How far a word may reach beyond what voice activity detection heard: soft onsets and endings are not heard."""


def clamp_to_speech(words: Sequence[AlignedWord], utterances: Sequence[Span]) -> list[AlignedWord]:
    """Return the words, each cut to the utterance that it shares most time with.

    A word that touches none stays as it is: that is evidence, and judged elsewhere.

    Args:
        words: of one window, in order.
        utterances: where somebody speaks, on the same clock, in order.
    """
    reaches = _within_reach(utterances)
    return [_clamped(word, reaches) for word in words]


def overlap(start: float, end: float, spans: Sequence[Span]) -> float:
    """Return how many seconds of start..end lie in `spans`, which are disjoint."""
    return sum(max(0.0, min(end, last) - max(start, first)) for first, last in spans)


def missed(words: Sequence[AlignedWord], utterances: Sequence[Span]) -> list[Span]:
    """Return the stretches of speech of at least `MISSED_SECONDS` that no word accounts for.

    A decoder that stops early, or jumps over a speaker, stretches the words around the hole over it; so a word
    accounts for no more time than anybody needs to say it.
    """
    covered = sorted((word.start - _REACH_SECONDS, _said_by(word) + _REACH_SECONDS) for word in words)
    holes: list[Span] = []
    for first, last in _within_reach(utterances):
        place = first + _REACH_SECONDS
        for start, end in covered:
            if place < start:
                holes.append((place, min(start, last - _REACH_SECONDS)))
            place = max(place, end)
        holes.append((place, last - _REACH_SECONDS))
    return [(start, end) for start, end in holes if end - start >= MISSED_SECONDS]


def _said_by(word: AlignedWord) -> float:
    longest = max(_SHORTEST_ALLOWANCE_SECONDS, _SECONDS_A_CHARACTER * len(word.text))
    return min(word.end, word.start + longest)


def _within_reach(utterances: Sequence[Span]) -> list[Span]:
    return [(start - _REACH_SECONDS, end + _REACH_SECONDS) for start, end in utterances]


def _clamped(word: AlignedWord, reaches: Sequence[Span]) -> AlignedWord:
    shared = [overlap(word.start, word.end, [reach]) for reach in reaches]
    if not any(shared):
        return word
    first, last = reaches[shared.index(max(shared))]
    return replace(word, start=max(word.start, first), end=min(word.end, last))


class TimeOrder:
    """Keeps the times of consecutive segments lawful: start <= end, never back, inside the recording.

    A word that reaches into the next one is cut back, across segments too, for where a word starts is better
    evidence than where one ends. So a segment is given out when the next one is known.

    Args:
        now: where the last word before began, in seconds.
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self._held: Segment | None = None

    def push(self, segment: Segment) -> list[Segment]:
        """Take the next segment; return the one before it, if any."""
        words = self._order(segment.words)
        given = [] if self._held is None else [_ended_by(self._held, words[0].start)]
        self._held = replace(segment, words=words, start=words[0].start, end=words[-1].end)
        return given

    def flush(self, limit: float) -> list[Segment]:
        """Return the last segment, if any; nothing in it lies after `limit`, the end of all that was heard."""
        held, self._held = self._held, None
        return [] if held is None else [_ended_by(held, max(limit, held.words[-1].start))]

    def _order(self, words: Sequence[Word]) -> tuple[Word, ...]:
        starts: list[float] = []
        for word in words:
            self.now = max(word.start, self.now)
            starts.append(self.now)
        limits = [*starts[1:], float("inf")]
        return tuple(
            replace(word, start=start, end=min(max(word.end, start), limit))
            for word, start, limit in zip(words, starts, limits, strict=True)
        )


def _ended_by(segment: Segment, limit: float) -> Segment:
    *others, last = segment.words
    last = replace(last, end=min(last.end, limit))
    return replace(segment, words=(*others, last), end=last.end)
