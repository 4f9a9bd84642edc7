"""What speaker turns and activity say about each recognized word. Pure.

Nobody's times are exact. Whisper places a word to about a tenth of a second and stretches the one beside a
pause over it; a diarizer's turns begin and end a tenth or two beside the voice. So a word is looked up without
the silence it was stretched over, and once as it stands and once with `TOLERANCE_SECONDS` around it.

Three witnesses speak for a speaker: the overlapping turns, the exclusive ones (at most one speaker at a time,
the strongest: pyannote.audio 4 made them for this), and the activity that both were cut from. Turns are the
activity's decision, so activity counts as much as both together; without it they count alone. Where activity
and turns contradict one another, neither wins by itself.
"""

from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from math import inf
from statistics import median

from services.edge.transcript import Activity, Turn, Word

TOLERANCE_SECONDS = 0.2
"""How far words and turns are usually apart: diarization is scored with a collar of 0.25 s for this."""

NEAR_SECONDS = 0.5
"""How far from a turn a word may lie and still be its speaker's: a word and a turn, each off by a collar."""

OVERLAP_SHARE = 0.5
"""Share of a word in which several speakers speak that makes it overlapped."""

_SHORTEST_SPAN = 0.02
_SPAN_LIMITS = (0.3, 0.7)
_FULL = 255.0
_SEVERAL = frozenset({0})

Span = tuple[float, float]
"""Start and end in seconds."""

Shares = dict[int, float]
"""Of a span, by speaker, 0 to 1; who has none of it is not in it."""


@dataclass(frozen=True)
class Region:
    """A stretch in which the same speakers speak throughout."""

    start: float
    end: float
    speakers: frozenset[int]


@dataclass(frozen=True)
class Evidence:
    """What is known about who said one word."""

    support: Shares
    """How much speaks for each speaker, 0 to 1."""
    near: bool
    """Whether a turn lies within `NEAR_SECONDS`: somebody is active there."""
    overlap: bool
    """Whether several speakers speak in `OVERLAP_SHARE` of the word, by the overlapping turns."""


def regions_of(turns: Sequence[Turn]) -> list[Region]:
    """Return the turns as disjoint regions in the order of time, so that starts and ends only rise."""
    edges = sorted(
        [(turn.start, 1, turn.speaker) for turn in turns if turn.start < turn.end]
        + [(turn.end, -1, turn.speaker) for turn in turns if turn.start < turn.end]
    )
    regions: list[Region] = []
    active: Counter[int] = Counter()
    for (start, step, speaker), following in pairwise([*edges, (inf, 0, 0)]):
        active[speaker] += step
        if not active[speaker]:
            del active[speaker]
        if active and following[0] > start:
            regions.append(Region(start, following[0], frozenset(active)))
    return regions


def spoken_spans(words: Sequence[Word], ends: Sequence[bool]) -> list[Span]:
    """Return where each word is looked up: its time without the silence that Whisper stretched it over.

    A word longer than twice the median keeps its head, where it was spoken before the pause; the first word
    of a sentence keeps its tail instead, because there the pause lies before it. (faster-whisper's
    `add_word_timestamps` clamps by the same rule where it may change times; here the reported times stay.)

    Args:
        words: in lawful order.
        ends: for each word, whether a sentence ends with it.
    """
    lowest, highest = _SPAN_LIMITS
    lengths = [word.end - word.start for word in words if word.end > word.start]
    limit = min(max(2 * median(lengths), lowest), highest) if lengths else highest
    spans: list[Span] = []
    opens = True
    for word, closes in zip(words, ends, strict=True):
        start, end = word.start, word.end
        if end - start > limit:
            start, end = (end - limit, end) if opens and not closes else (start, start + limit)
        spans.append((start, max(end, start + _SHORTEST_SPAN)))
        opens = closes
    return spans


def weigh(
    words: Sequence[Word],
    spans: Sequence[Span],
    turns: Sequence[Turn],
    exclusive_turns: Sequence[Turn],
    activity: Activity | None,
) -> list[Evidence]:
    """Return the evidence for each word, in time linear in words and turns, but for sorting the turns.

    Args:
        words: in lawful order.
        spans: where each was spoken.
        turns: who speaks when; turns of different speakers may overlap. When empty, the exclusive ones.
        exclusive_turns: the same with at most one speaker at any time; when empty, `turns`.
        activity: the soft evidence, if there is any.
    """
    overlapping, exclusive = regions_of(turns or exclusive_turns), regions_of(exclusive_turns or turns)
    witnesses = [_tolerant(spans, overlapping), _tolerant(spans, exclusive)]
    weights = [0.5, 0.5]
    if activity is not None:
        witnesses.append(_active(spans, activity, {turn.speaker for turn in (*turns, *exclusive_turns)}))
        weights = [0.25, 0.25, 0.5]
    everybody = regions_of([*turns, *exclusive_turns])
    surroundings = shares_of([_widened((word.start, word.end), NEAR_SECONDS) for word in words], everybody)
    # Who they are does not matter here: all are counted as one.
    several = [replace(region, speakers=_SEVERAL) for region in overlapping if len(region.speakers) > 1]
    evidence: list[Evidence] = []
    for near, shared, *told in zip(surroundings, shares_of(spans, several), *witnesses, strict=True):
        support = _pooled(told, weights)
        if not told[0] and not told[1]:
            # In a gap between turns: whoever speaks beside it may have gone on, or begun, unnoticed.
            support = _pooled([support, near], [1.0, 1.0])
        evidence.append(Evidence(support, bool(near), shared.get(0, 0.0) >= OVERLAP_SHARE))
    return evidence


def shares_of(spans: Sequence[Span], regions: Sequence[Region]) -> Iterator[Shares]:
    """Yield the share of each span that each speaker holds.

    One sweep: spans and regions both rise, so neither is read twice but at their edges.
    """
    first = 0
    for start, end in spans:
        while first < len(regions) and regions[first].end <= start:
            first += 1
        held: Shares = {}
        position = first
        while position < len(regions) and regions[position].start < end:
            region = regions[position]
            share = (min(end, region.end) - max(start, region.start)) / (end - start)
            for speaker in region.speakers:
                held[speaker] = held.get(speaker, 0.0) + share
            position += 1
        yield held


def _tolerant(spans: Sequence[Span], regions: Sequence[Region]) -> Iterator[Shares]:
    """Yield the mean of each speaker's shares of a span as it stands, and of the same with tolerance."""
    wide = shares_of([_widened(span, TOLERANCE_SECONDS) for span in spans], regions)
    return (_pooled(both, (0.5, 0.5)) for both in zip(shares_of(spans, regions), wide, strict=True))


def _widened(span: Span, seconds: float) -> Span:
    return span[0] - seconds, span[1] + seconds


def _pooled(shares: Sequence[Mapping[int, float]], weights: Sequence[float]) -> Shares:
    """Return the weighted sum of several shares."""
    pooled: Shares = {}
    for held, weight in zip(shares, weights, strict=True):
        for speaker, share in held.items():
            pooled[speaker] = pooled.get(speaker, 0.0) + weight * share
    return pooled


def _active(spans: Sequence[Span], activity: Activity, speakers: Collection[int]) -> Iterator[Shares]:
    """Yield the mean activity of each of the speakers in a span, with tolerance as `_tolerant` has it."""
    rows = {who: row for who, row in enumerate(activity.probabilities) if who in speakers}
    # Sums up to each frame, so that a mean over many frames is one subtraction.
    sums = {who: array("Q", accumulate(row, initial=0)) for who, row in rows.items()}
    frames = min(map(len, rows.values()), default=0)
    for span in spans:
        shares: Shares = {}
        for start, end in (span, _widened(span, TOLERANCE_SECONDS)):
            # Whole frames, at least one: their edges are no more exact than their length.
            first = min(max(int(start / activity.step), 0), frames)
            last = min(max(round(end / activity.step), first + 1), frames)
            if last > first:
                scale = 0.5 / (_FULL * (last - first))
                for who, row in sums.items():
                    shares[who] = shares.get(who, 0.0) + (row[last] - row[first]) * scale
        yield shares
