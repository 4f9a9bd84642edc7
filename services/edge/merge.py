"""Who said which word: recognized words laid over speaker turns. Pure: values in, values out.

The order of evidence for one word, strongest first:

1. The *exclusive* turns (at most one speaker at a time, the strongest): the word goes to whoever holds most
   of it there. This is what pyannote.audio 4 made them for. A narrow result asks the overlapping turns as a
   second opinion: who speaks through the whole word beats who only begins in it.
2. A word in a gap: the overlapping turns, then the nearest turn within `NEAR_SECONDS`.
3. A word still unknown inside a sentence: the speaker of the sentence's words beside it. Nobody changes in
   the middle of a sentence without a turn to show for it.
4. Otherwise nobody is known to speak there, and None says so: better no name than a wrong one.

Then single words that stand alone against their sentence are looked at again. Turn and word times are both a
few tenths of a second off, and at a change of speakers that puts the last or the first word of a sentence on
the wrong side. What has a turn of its own is left alone: a "yeah" in between is speech.

All of it depends on the words and the turns only, never on how the words were cut into segments, so merging
twice with the same turns changes nothing.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from statistics import fmean, median

from services.edge.transcript import Segment, Turn, Word
from services.text.punctuation import ends_sentence

NEAR_SECONDS = 0.5
"""How far from a turn a word may lie and still be its speaker's.

Turn edges are scored with a collar of 0.25 s because people cannot place them better, and Whisper's word
times are off by about as much: together half a second."""

NARROW_SHARE = 0.2
"""A lead of less than this share of the word is no decision; the second opinion is asked."""

CLEAN_SECONDS = 0.3
"""A turn this long inside another's sentence is speech, a backchannel; a shorter one is jitter."""

JITTER_SECONDS = 0.2
"""How far a word's middle may lie from a speaker's turn and still be his by the sentence."""

SENTENCE_PAUSE_SECONDS = 1.0
"""A pause that ends a sentence, whatever the punctuation."""

UNKNOWN_RUN_SECONDS = 3.0
"""The longest stretch without a turn that its sentence may claim; text over more is often invented."""

_SHORTEST_SPAN = 0.02
_SPAN_LIMITS = (0.3, 0.7)

Speaker = int | None


@dataclass(frozen=True)
class _Region:
    """A stretch in which the same speakers speak throughout."""

    start: float
    end: float
    speakers: frozenset[int]


_Span = tuple[float, float]


def merge(
    segments: Sequence[Segment], turns: Sequence[Turn], exclusive_turns: Sequence[Turn]
) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    """Give every word a speaker or None, cut segments where the speaker changes, and name the speakers.

    No word is lost, changed or moved in order. Each returned segment holds one speaker (or None), which all
    its words share; its text, times and confidence come from its words, its other evidence from the segment
    it was cut from. Speakers are numbered in the order in which they first speak: index 0 is "Speaker 1".

    Args:
        segments: recognized speech with lawful times, as asr promises them: start <= end, never running backwards.
        turns: who speaks when; turns of different speakers may overlap.
        exclusive_turns: the same with at most one speaker at any time; when empty, `turns` take its place.

    Returns:
        The segments and the speakers' display names. Without any turns: all speakers None, no names.
    """
    words = [word for segment in segments for word in segment.words]
    labels = assign_speakers(words, turns, exclusive_turns)
    order = list(dict.fromkeys(label for label in labels if label is not None))
    numbers = {speaker: number for number, speaker in enumerate(order)}
    numbered = iter(
        replace(word, speaker=None if label is None else numbers[label])
        for word, label in zip(words, labels, strict=True)
    )
    pieces: list[Segment] = []
    for segment in segments:
        own = [next(numbered) for _ in segment.words]
        pieces.extend(_piece(segment, speaker, tuple(run)) for speaker, run in groupby(own, _speaker_of))
    return tuple(pieces), tuple(f"Speaker {number + 1}" for number in range(len(order)))


def assign_speakers(words: Sequence[Word], turns: Sequence[Turn], exclusive_turns: Sequence[Turn]) -> list[Speaker]:
    """Return the speaker of each word, as the turns number them, or None where nobody is known to speak.

    Takes time linear in words and turns, but for sorting the turns. `words` must be in lawful order.
    """
    overlapping = _regions(turns or exclusive_turns)
    exclusive = _regions(exclusive_turns or turns)
    spans = _matching_spans(words)
    labels: list[Speaker] = []
    shares = zip(spans, _shares(spans, exclusive), _shares(spans, overlapping), strict=True)
    for span, (held, near), (second, _) in shares:
        previous = labels[-1] if labels else None
        labels.append(_holder(span, held, second, previous) if held or second else near)
    sentences = _sentences(words)
    for sentence in sentences:
        _fill_unknown(words, labels, sentence)
    return _settle_islands(words, spans, labels, sentences, exclusive, overlapping)


def _speaker_of(word: Word) -> Speaker:
    return word.speaker


def _piece(segment: Segment, speaker: Speaker, words: tuple[Word, ...]) -> Segment:
    """Return the part of `segment` that holds `words`, which are all of one speaker."""
    return replace(
        segment,
        start=words[0].start,
        end=words[-1].end,
        text="".join(word.text for word in words).strip(),
        words=words,
        confidence=min(max(fmean(word.probability for word in words), 0.0), 1.0),
        speaker=speaker,
    )


def _regions(turns: Sequence[Turn]) -> list[_Region]:
    """Return the turns as disjoint regions in the order of time, so that starts and ends only rise."""
    edges = sorted(
        [(turn.start, 1, turn.speaker) for turn in turns if turn.start < turn.end]
        + [(turn.end, -1, turn.speaker) for turn in turns if turn.start < turn.end]
    )
    regions: list[_Region] = []
    active: Counter[int] = Counter()
    for (start, step, speaker), following in pairwise([*edges, (math.inf, 0, 0)]):
        active[speaker] += step
        if not active[speaker]:
            del active[speaker]
        if active and following[0] > start:
            regions.append(_Region(start, following[0], frozenset(active)))
    return regions


def _matching_spans(words: Sequence[Word]) -> list[_Span]:
    """Return where each word is looked up: its time without the silence that Whisper stretched it over.

    A word longer than twice the median keeps its head, where it was spoken before the pause; the first word
    of a sentence keeps its tail instead, because there the pause lies before it. (faster-whisper's
    `add_word_timestamps` clamps by the same rule where it may change times; here the reported times stay.)
    """
    lowest, highest = _SPAN_LIMITS
    lengths = [word.end - word.start for word in words if word.end > word.start]
    limit = min(max(2 * median(lengths), lowest), highest) if lengths else highest
    spans: list[_Span] = []
    opens = True
    for word in words:
        start, end = word.start, word.end
        closes = ends_sentence(word.text)
        if end - start > limit:
            start, end = (end - limit, end) if opens and not closes else (start, start + limit)
        spans.append((start, max(end, start + _SHORTEST_SPAN)))
        opens = closes
    return spans


def _shares(spans: Sequence[_Span], regions: Sequence[_Region]) -> Iterator[tuple[dict[int, float], Speaker]]:
    """Yield for each span how many seconds of it each speaker holds, and who is near when nobody does.

    One sweep: spans and regions both rise, so neither is read twice but at their edges.
    """
    first = 0
    for start, end in spans:
        while first < len(regions) and regions[first].end <= start:
            first += 1
        held: dict[int, float] = {}
        position = first
        while position < len(regions) and regions[position].start < end:
            region = regions[position]
            seconds = min(end, region.end) - max(start, region.start)
            for speaker in region.speakers:
                held[speaker] = held.get(speaker, 0.0) + seconds
            position += 1
        yield held, None if held else _nearest(start, end, regions, first)


def _nearest(start: float, end: float, regions: Sequence[_Region], following: int) -> Speaker:
    """Return who speaks nearest to a span between regions `following - 1` and `following`, or None."""
    near: list[tuple[float, int]] = []
    if following > 0:
        before = regions[following - 1]
        near.append((start - before.end, min(before.speakers)))
    if following < len(regions):
        after = regions[following]
        near.append((after.start - end, min(after.speakers)))
    distance, speaker = min(near, key=lambda found: found[0], default=(math.inf, 0))
    return speaker if distance <= NEAR_SECONDS else None


def _holder(span: _Span, held: Mapping[int, float], second: Mapping[int, float], previous: Speaker) -> Speaker:
    """Return who holds most of the span; `second`, then the word before, settle what is narrow."""
    first = held or second
    margin = NARROW_SHARE * (span[1] - span[0])
    enough = max(first.values()) - margin
    narrow = [speaker for speaker, seconds in first.items() if seconds >= enough]
    return max(narrow, key=lambda who: (second.get(who, 0.0), first[who], who == previous, -who))


def _sentences(words: Sequence[Word]) -> list[range]:
    """Return the words as sentences: to a closing mark, or to a pause of `SENTENCE_PAUSE_SECONDS`."""
    sentences: list[range] = []
    start = 0
    for position, word in enumerate(words):
        last = position + 1 == len(words)
        if last or ends_sentence(word.text) or words[position + 1].start - word.end > SENTENCE_PAUSE_SECONDS:
            sentences.append(range(start, position + 1))
            start = position + 1
    return sentences


def _fill_unknown(words: Sequence[Word], labels: list[Speaker], sentence: range) -> None:
    """Give runs of unknown words in the sentence to the speaker beside them, where only one can be meant."""
    unknown = [position for position in sentence if labels[position] is None]
    runs = groupby(enumerate(unknown), lambda item: item[1] - item[0])
    for run in [[position for _, position in group] for _, group in runs]:
        first, last = run[0], run[-1]
        if words[last].end - words[first].start > UNKNOWN_RUN_SECONDS:
            continue
        beside = {labels[place] for place in (first - 1, last + 1) if place in sentence}
        if len(beside) == 1:
            labels[first : last + 1] = [beside.pop()] * len(run)


def _settle_islands(
    words: Sequence[Word],
    spans: Sequence[_Span],
    labels: Sequence[Speaker],
    sentences: Sequence[range],
    exclusive: Sequence[_Region],
    overlapping: Sequence[_Region],
) -> list[Speaker]:
    """Return the labels with single words given back to their sentence where only jitter parts them.

    A word inside a sentence changes sides when both its neighbours agree against it, unless the turns of its
    speaker there last `CLEAN_SECONDS`. For a word at an edge see `_strays`. Every decision reads the
    labels as they came, so that one change never brings about the next.
    """
    settled = list(labels)
    for sentence in sentences:
        if len(sentence) < 3:
            continue
        for position in sentence[1:-1]:
            around = labels[position - 1]
            lonely = labels[position] != around == labels[position + 1] and around is not None
            if lonely and _own_seconds(spans[position], labels[position], exclusive) < CLEAN_SECONDS:
                settled[position] = around
        for edge, inward in ((sentence[0], 1), (sentence[-1], -1)):
            own = labels[edge + inward]
            if own is not None and _strays(words, labels, edge, inward) and _close_to(spans[edge], own, overlapping):
                settled[edge] = own
    return settled


def _strays(words: Sequence[Word], labels: Sequence[Speaker], edge: int, inward: int) -> bool:
    """Return whether the word at the edge of a sentence was counted to the neighbouring one by mistake.

    So it seems when the next two words of its own sentence agree against it, the word on the other side
    agrees with it, and it lies no nearer to that one. `inward` is the step (1 or -1) into its sentence.
    """
    outside = edge - inward
    if not 0 <= outside < len(words):
        return False
    own = labels[edge + inward]
    agreed = own == labels[edge + 2 * inward] != labels[edge] == labels[outside]
    return agreed and _gap(words, edge, edge + inward) <= _gap(words, edge, outside)


def _gap(words: Sequence[Word], one: int, other: int) -> float:
    """Return the seconds between two neighbouring words."""
    before, after = sorted((one, other))
    return words[after].start - words[before].end


def _touching(start: float, end: float, regions: Sequence[_Region]) -> Iterator[_Region]:
    """Yield the regions that overlap or touch start..end."""
    position = bisect_left(regions, start, key=lambda region: region.end)
    while position < len(regions) and regions[position].start <= end:
        yield regions[position]
        position += 1


def _own_seconds(span: _Span, speaker: Speaker, exclusive: Sequence[_Region]) -> float:
    """Return how long the turns of `speaker` are that reach into the span."""
    return sum(region.end - region.start for region in _touching(*span, exclusive) if speaker in region.speakers)


def _close_to(span: _Span, speaker: int, regions: Sequence[_Region]) -> bool:
    """Return whether `speaker` speaks within `JITTER_SECONDS` of the middle of the span."""
    middle = (span[0] + span[1]) / 2
    nearby = _touching(middle - JITTER_SECONDS, middle + JITTER_SECONDS, regions)
    return any(speaker in region.speakers for region in nearby)
