"""Laws of time for recognized words.

Whisper's word times come from attention weights: they overlap at segment borders, run backwards where a
window is decoded again, and point past the end of the recording. What leaves this module never does.
"""

from collections.abc import Iterable, Iterator
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
            words = tuple(self._next(word) for word in segment.words)
            yield replace(segment, words=words, start=words[0].start, end=words[-1].end)

    def _next(self, word: Word) -> Word:
        start = min(max(word.start, self._now), self._duration)
        end = min(max(word.end, start), self._duration)
        self._now = end
        return replace(word, start=start, end=end)
