"""Lawful word times for generated talk, as asr promises them."""

from collections.abc import Sequence
from dataclasses import replace

from services.edge.transcript import Segment


def order_words(segments: Sequence[Segment], duration: float) -> tuple[Segment, ...]:
    """Return the segments with lawful times: 0 <= start <= end <= next start <= `duration`, across all words.

    Words keep their order and their text; a word that starts before the one ahead of it is moved to that
    one's start, and an end is cut back to where the next word starts. A segment's times are its words'.
    Segments without words fall away.

    Args:
        segments: in the order in which they were recognized.
        duration: length of the recording in seconds; `math.inf` sets no upper bound.
    """
    words = [word for segment in segments for word in segment.words]
    starts: list[float] = []
    for word in words:
        starts.append(min(max(word.start, starts[-1] if starts else 0.0, 0.0), duration))
    bounds = [*starts[1:], duration]
    timed = iter(
        replace(word, start=start, end=min(max(word.end, start), bound))
        for word, start, bound in zip(words, starts, bounds, strict=True)
    )
    ordered = [replace(segment, words=tuple(next(timed) for _ in segment.words)) for segment in segments]
    return tuple(
        replace(segment, start=segment.words[0].start, end=segment.words[-1].end)
        for segment in ordered
        if segment.words
    )
