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
        """Yield `segments` with lawful times, each when the next one is known; a span is that of the words.

        A word that reaches into the next one is cut back, across segments too: Whisper stretches the last word
        before a pause, and where the next one starts is the better evidence.
        """
        held: Segment | None = None
        for segment in segments:
            words = self._order_words(segment.words)
            if held is not None:
                yield _ended_by(held, words[0].start)
            held = replace(segment, words=words, start=words[0].start, end=words[-1].end)
        if held is not None:
            yield held

    def _order_words(self, words: Sequence[Word]) -> tuple[Word, ...]:
        starts: list[float] = []
        for word in words:
            self._now = min(max(word.start, self._now), self._duration)
            starts.append(self._now)
        limits = [*starts[1:], self._duration]
        return tuple(
            replace(word, start=start, end=min(max(word.end, start), limit))
            for word, start, limit in zip(words, starts, limits, strict=True)
        )


def _ended_by(segment: Segment, limit: float) -> Segment:
    *others, last = segment.words
    last = replace(last, end=min(last.end, limit))
    return replace(segment, words=(*others, last), end=last.end)
