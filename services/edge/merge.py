"""Who said which word: recognized words laid over speaker turns. Pure: values in, values out.

One mechanism decides, a lattice with a column for each word and a state for each speaker, and one for nobody
(`lattice`). A word weighs for a speaker what the evidence says for him (`evidence`). A change of speakers
between two words weighs by three rules:

1. People change at the ends of sentences and at pauses, seldom in between; without a turn to show for it a
   change is rare even there.
2. Where the turns change, somebody does change, at one of the words near: there a change costs nothing at the
   best of them, the one where a sentence ends or a pause is, and at the others what they are worse. So the
   last word of a sentence comes back over a boundary that is a little early, and a "yeah" in between that has
   a turn of its own keeps its speaker.
3. A turn shorter than `CLEAN_SECONDS` is jitter and shows no change.

Nobody is a choice only for a word with no turn near. It costs a change like any other, so that a hole in the
turns inside a sentence belongs to its speaker, while a text far from all speech, often an invented one, has
none: better no name than a wrong one.

All of it depends on the words and the turns only, never on how the words were cut into segments, so merging
twice with the same turns changes nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from math import exp
from statistics import fmean

from services.edge.evidence import (
    NEAR_SECONDS,
    Evidence,
    Region,
    Span,
    regions_of,
    spoken_spans,
    weigh,
)
from services.edge.lattice import Change, Column, likeliest, marginals
from services.edge.sentences import SENTENCE_PAUSE_SECONDS, pauses, sentence_ends
from services.edge.transcript import Activity, Segment, Turn, Word

CLEAN_SECONDS = 0.3
"""A turn this long is speech, a backchannel at least ("yeah" takes 0.3 s); a shorter one is jitter."""

SENTENCE_SECONDS = 1.0
"""A segment is cut after a sentence once it lasts this long: "Yes. I do." stays in one piece.

A subtitle is on the screen for no less."""

ERROR_SHARE = 0.05
"""What speaks for all the others together, whatever the evidence: diarization errs by one word in twenty."""

UNKNOWN_ODDS = 10.0
"""How much more probable nobody is, where no turn is near, than any one speaker whom diarization missed."""

CHANGE_COST = 6.0
"""Of a change within a phrase that no turn shows, in nats: one in 400 words."""

SENTENCE_GAIN = 2.5
"""What a change costs less, in nats, where a sentence ends: it is 12 times as frequent there."""

PAUSE_GAIN = 2.5
"""The same at a pause of `SENTENCE_PAUSE_SECONDS` or longer; at a shorter one in proportion."""

Speaker = int | None


@dataclass(frozen=True)
class Attribution:
    """Who said a word, as the turns number him."""

    speaker: Speaker
    confidence: float | None
    """0 to 1; None for nobody."""
    overlap: bool
    """Whether others speak there, too."""


def merge(
    segments: Sequence[Segment],
    turns: Sequence[Turn],
    exclusive_turns: Sequence[Turn],
    activity: Activity | None = None,
) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    """Give every word a speaker or None, cut segments at speakers and sentences, and name the speakers.

    No word is lost, changed or moved in order. Each returned segment holds one speaker (or None), which all
    its words share; its text, times and confidence come from its words, its other evidence from the segment
    it was cut from. Speakers are numbered in the order in which they first speak: index 0 is "Speaker 1".

    Args:
        segments: recognized speech with lawful times, as asr promises them: start <= end, never running backwards.
        turns: who speaks when; turns of different speakers may overlap.
        exclusive_turns: the same with at most one speaker at any time; when empty, `turns` take its place.
        activity: how surely each of them speaks; None where diarize does not tell, then turns alone decide.

    Returns:
        The segments and the speakers' display names. Without any turns: all speakers None, no names.
    """
    words = [word for segment in segments for word in segment.words]
    attributions = attribute(words, turns, exclusive_turns, activity)
    order = list(dict.fromkeys(a.speaker for a in attributions if a.speaker is not None))
    numbers = {speaker: number for number, speaker in enumerate(order)}
    labelled = iter(
        replace(
            word,
            speaker=None if said.speaker is None else numbers[said.speaker],
            speaker_confidence=said.confidence,
            overlap=said.overlap,
        )
        for word, said in zip(words, attributions, strict=True)
    )
    pieces: list[Segment] = []
    for segment in segments:
        own = [next(labelled) for _ in segment.words]
        for _, run in groupby(own, _speaker_of):
            pieces.extend(cut_at_sentences(segment, tuple(run)))
    return tuple(pieces), tuple(f"Speaker {number + 1}" for number in range(len(order)))


def attribute(
    words: Sequence[Word], turns: Sequence[Turn], exclusive_turns: Sequence[Turn], activity: Activity | None
) -> list[Attribution]:
    """Return who said each word.

    Takes time linear in words, turns and speakers, but for sorting the turns. `words` must be in lawful order.
    """
    speakers = sorted({turn.speaker for turn in (*turns, *exclusive_turns) if turn.start < turn.end})
    if not speakers:
        return [Attribution(None, None, False)] * len(words)
    ends = sentence_ends(words)
    spans = spoken_spans(words, ends)
    evidence = weigh(words, spans, turns, exclusive_turns, activity)
    columns = [_column(said, speakers) for said in evidence]
    changes = _changes(spans, ends, _change_points(exclusive_turns or turns))
    path = likeliest(columns, changes)
    chances = marginals(_tempered(columns, path, ends), changes)
    states: list[Speaker] = [*speakers, None]
    return [
        Attribution(states[state], None if states[state] is None else min(chance[state], 1.0), said.overlap)
        for state, chance, said in zip(path, chances, evidence, strict=True)
    ]


def _tempered(columns: Sequence[Column], path: Sequence[int], ends: Sequence[bool]) -> list[Column]:
    """Return the columns with what one speaker says in one sentence weighing together as much as one word.

    The words of a sentence are no independent witnesses: a diarizer that takes one voice for another is wrong
    about all of them. Taken as independent, ten words at 55 to 45 would make a certainty.
    """
    tempered: list[Column] = []
    first = 0
    for stop in range(1, len(columns) + 1):
        if stop == len(columns) or ends[stop - 1] or path[stop] != path[first]:
            power = 1 / (stop - first)
            tempered.extend([weight**power for weight in column] for column in columns[first:stop])
            first = stop
    return tempered


def _column(evidence: Evidence, speakers: Sequence[int]) -> Column:
    """Return what the evidence weighs for each speaker, and for nobody."""
    floor = ERROR_SHARE / max(len(speakers) - 1, 1)
    support = evidence.support
    return [*(floor + support.get(who, 0.0) for who in speakers), 0.0 if evidence.near else floor * UNKNOWN_ODDS]


@dataclass(frozen=True)
class _ChangePoint:
    """A stretch at which, or near which, the turns pass from one to another."""

    earliest: float
    latest: float


def _change_points(turns: Sequence[Turn]) -> list[_ChangePoint]:
    """Return where the turns change, in order.

    Where turns overlap, the whole overlap is one change. A change reaches `NEAR_SECONDS` to either side, but no
    farther than halfway to the next: a turn in between keeps a word of its own.
    """
    regions = regions_of([turn for turn in turns if turn.end - turn.start >= CLEAN_SECONDS])
    joined: list[Region] = []
    for region in (region for region in regions if len(region.speakers) == 1):
        if joined and joined[-1].speakers == region.speakers:
            region = Region(joined.pop().start, region.end, region.speakers)
        joined.append(region)
    points: list[_ChangePoint] = []
    for one, other in pairwise(joined):
        back = min(NEAR_SECONDS, (one.end - one.start) / 2)
        ahead = min(NEAR_SECONDS, (other.end - other.start) / 2)
        points.append(_ChangePoint(one.end - back, other.start + ahead))
    return points


def _changes(spans: Sequence[Span], ends: Sequence[bool], points: Sequence[_ChangePoint]) -> list[Change]:
    """Return what a change of speakers weighs between each two words."""
    gains = [
        (SENTENCE_GAIN if closes else 0.0) + PAUSE_GAIN * min(max(after - before, 0.0) / SENTENCE_PAUSE_SECONDS, 1.0)
        for closes, ((_, before), (after, _)) in zip(ends, pairwise(spans), strict=False)
    ]
    costs = [CHANGE_COST - gain for gain in gains]
    for near in _boundaries_near(spans, points):
        best = max((gains[position] for position in near), default=0.0)
        for position in near:
            costs[position] = min(costs[position], best - gains[position])
    return [Change(exp(-cost), exp(gain - CHANGE_COST)) for cost, gain in zip(costs, gains, strict=True)]


def _boundaries_near(spans: Sequence[Span], points: Sequence[_ChangePoint]) -> Iterator[range]:
    """Yield for each change point the boundaries within its reach; boundary n follows span n."""
    count = len(spans) - 1
    first = 0
    for point in points:
        while first < count and spans[first + 1][0] < point.earliest:
            first += 1
        stop = first
        while stop < count and spans[stop][1] <= point.latest:
            stop += 1
        yield range(first, stop)


def cut_at_sentences(segment: Segment, words: tuple[Word, ...]) -> Iterator[Segment]:
    """Yield the parts of `segment` that hold `words`, which are all of one speaker: its sentences, or two where they
    are short.
    """
    return (_piece(segment, sentence) for sentence in _sentences(words))


def _speaker_of(word: Word) -> Speaker:
    return word.speaker


def _sentences(words: tuple[Word, ...]) -> Iterator[tuple[Word, ...]]:
    """Yield the words cut after each sentence that lasts `SENTENCE_SECONDS`, and at each long pause."""
    first = 0
    for stop, closes in enumerate(sentence_ends(words), start=1):
        lasts = words[stop - 1].end - words[first].start >= SENTENCE_SECONDS
        if stop == len(words) or (closes and (lasts or pauses(words[stop - 1], words[stop]))):
            yield words[first:stop]
            first = stop


def _piece(segment: Segment, words: tuple[Word, ...]) -> Segment:
    """Return the part of `segment` that holds `words`, which are all of one speaker."""
    return replace(
        segment,
        start=words[0].start,
        end=words[-1].end,
        text="".join(word.text for word in words).strip(),
        words=words,
        confidence=min(max(fmean(word.probability for word in words), 0.0), 1.0),
        speaker=words[0].speaker,
    )
