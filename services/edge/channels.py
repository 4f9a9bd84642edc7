"""Channels that were transcribed apart from each other, side by side: each is a speaker. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from services.edge.merge import cut_at_sentences
from services.edge.transcript import Segment, Word

_OVERLAP_SHARE = 0.5
"""Of a word's time: what others must speak of it to be said to speak, too."""

Span = tuple[float, float]


def side_by_side(channels: Sequence[Sequence[Segment]], *, named: bool) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    """Return what was said on all channels, sentence by sentence in the order in which they begin, and the speakers.

    A sentence stays whole where somebody else speaks meanwhile: starts never run backwards, but a segment may begin
    before the one ahead of it has ended. A speaker is numbered as he first speaks: index 0 is "Speaker 1".

    Args:
        channels: the segments of each channel, with lawful times.
        named: whether the channels are speakers; where not, nobody is known to speak.

    Returns:
        The segments, each with its channel, and the speakers' display names.
    """
    spans = [[(word.start, word.end) for segment in segments for word in segment.words] for segments in channels]
    pieces = [
        piece
        for channel, segments in enumerate(channels)
        for piece in _sentences(segments, channel, _joined(spans[:channel] + spans[channel + 1 :]))
    ]
    pieces.sort(key=lambda piece: (piece.start, piece.end))
    if not named:
        return tuple(pieces), ()
    order = list(dict.fromkeys(piece.channel for piece in pieces if piece.text))
    numbers = {channel: number for number, channel in enumerate(order)}
    return (
        tuple(_said_by(piece, numbers[piece.channel]) if piece.text else piece for piece in pieces),
        tuple(f"Speaker {number + 1}" for number in range(len(order))),
    )


def _sentences(segments: Sequence[Segment], channel: int, others: Sequence[Span]) -> Iterator[Segment]:
    """Yield the sentences of one channel, their words with whether `others` speak, too."""
    first = 0
    for segment in segments:
        words: list[Word] = []
        for word in segment.words:
            while first < len(others) and others[first][1] <= word.start:
                first += 1
            words.append(replace(word, overlap=_is_spoken_over(word, others, first)))
        own = replace(segment, channel=channel)
        yield from cut_at_sentences(own, tuple(words)) if words else (own,)


def _is_spoken_over(word: Word, others: Sequence[Span], first: int) -> bool:
    """Return whether `others`, of which those from `first` on may touch it, speak for a good part of a word."""
    shared = 0.0
    for position in range(first, len(others)):
        start, end = others[position]
        if start >= word.end:
            break
        shared += min(end, word.end) - max(start, word.start)
    return shared > 0 and shared >= _OVERLAP_SHARE * (word.end - word.start)


def _joined(channels: Sequence[Sequence[Span]]) -> list[Span]:
    """Return when anybody of several speaks: spans in order, none touching the next."""
    joined: list[Span] = []
    for start, end in sorted(span for channel in channels for span in channel):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _said_by(segment: Segment, speaker: int) -> Segment:
    """Return a segment of a speaker who is known for sure."""
    words = tuple(replace(word, speaker=speaker, speaker_confidence=1.0) for word in segment.words)
    return replace(segment, words=words, speaker=speaker)
