"""Laws of time for recognized words.

Whisper's word times come from attention weights: they overlap at segment borders, run backwards where a
window is decoded again, and point past the end of the recording. What leaves this module never does.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from services.asr.engine import Segment, Word


class Clock:
    """Keeps the times of consecutive segments lawful: start <= end, never back, inside the recording.

    Args:
        duration: length of the recording in seconds.
    """

    def __init__(self, duration: float) -> None:
        self._duration = duration
        self._now = 0.0

    def order(self, segments: Iterable[Segment]) -> Iterator[Segment]:
        """Yield `segments` with lawful times; a segment takes its span from its words."""
        for segment in segments:
            words = self._order_words(segment.words)
            yield replace(segment, words=words, start=words[0].start, end=words[-1].end)

    def _order_words(self, words: Sequence[Word]) -> tuple[Word, ...]:
        starts: list[float] = []
        for word in words:
            starts.append(min(max(word.start, self._now), self._duration))
            self._now = starts[-1]
        # A word that reaches into the next one is cut back: the next one's start is the better evidence.
        limits = [*starts[1:], self._duration]
        ordered = tuple(
            replace(word, start=start, end=min(max(word.end, start), limit))
            for word, start, limit in zip(words, starts, limits, strict=True)
        )
        self._now = ordered[-1].end
        return ordered
