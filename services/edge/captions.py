"""Readable subtitles: recognized words laid out as cues of at most two short lines. Pure.

A segment may run to 30 s, a wall of text on a screen, or be a "Yes." that flickers by. So cues are laid out
over all that one speaker says until another speaks, whatever segments it lies in. The limits are those common
to broadcasters (the BBC's and Netflix's timed text guides): two lines, 42 columns a line, 7 s, and each cue on
the screen long enough to be read where there is time. Where to cut is chosen for a run as a whole, by dynamic
programming over its words as TeX does for lines: a cut after a sentence costs nothing, after a comma or at a
pause little, inside a phrase much, and every cue costs something, so that tiny sentences share one.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import inf

from services.edge.transcript import Segment, Word
from services.text.punctuation import closes, ends_clause, ends_sentence, opens
from services.text.spacing import UNSPACED_LANGUAGES

LINE_COLUMNS = 42
"""Widest line; a full-width character (Chinese, Japanese, Korean) takes two columns."""

MAX_LINES = 2
"""Lines in a cue."""

MAX_CUE_MILLISECONDS = 7_000
"""Longest time on the screen."""

MIN_CUE_MILLISECONDS = 1_000
"""Time that a cue is given when nothing follows sooner."""

LINGER_MILLISECONDS = 500
"""Time that a cue stays after its last word (Netflix: half a second past the audio)."""

GAP_MILLISECONDS = 80
"""Time without a cue between two (two frames), so that the eye notices the change."""

READING_COLUMNS_PER_SECOND = 17
"""Reading speed that a cue is kept for into the silence after it (Netflix: 17 to 20 characters a second)."""

PAUSE_MILLISECONDS = 400
"""A pause that is a good place to cut."""

LONG_PAUSE_MILLISECONDS = 1_000
"""A pause that a cue had better not hold: what comes after it would be read before it is said."""

_LEAST_CUE_MILLISECONDS = 250
"""What every cue still gets at the end of a recording where people talk at once, if there is time for it."""

_CUE_COST = 2.0
_FLICKER_COST = 2.0
_CLAUSE_COST = 1.0
_PHRASE_COST = 4.0
_GLUED_COST = 100.0
_LONG_PAUSE_COST = 5.0
_LINE_BALANCE_COST = 0.1


@dataclass(frozen=True)
class Cue:
    """Text on the screen for a while."""

    start: int
    """Milliseconds."""
    end: int
    """Milliseconds; after `start`, never after the next cue's start."""
    lines: tuple[str, ...]
    """One or two lines, none empty, without line breaks or control characters."""
    speaker: int | None
    """Index of its speaker."""


@dataclass(frozen=True)
class _Token:
    """A word, or a part of one that is too long for a line."""

    text: str
    columns: int
    spaced: bool
    start: int
    end: int


def plain(text: str) -> str:
    """Return `text` on one line: white space runs become one space, control characters go."""
    printable = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cs"))
    return " ".join(printable.split())


def columns(text: str) -> int:
    """Return how wide `text` is; full-width characters count twice, combining marks not at all."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def captions(segments: Sequence[Segment], duration: float, prefixes: Sequence[str] = ()) -> tuple[Cue, ...]:
    """Return the cues of a transcript, in order, none overlapping the next, each of one speaker.

    Args:
        segments: with lawful times (start <= end, starts never backwards); those without text give no cue.
        duration: length of the recording in seconds; no cue is made to last beyond it.
        prefixes: what stands before the first line of a cue, by speaker; none when empty. It counts as
            part of the line.
    """
    runs = _runs(segments)
    cues: list[Cue] = []
    for position, (speaker, tokens) in enumerate(runs, start=1):
        following = runs[position][1][0].start if position < len(runs) else int(duration * 1000)
        prefix = "" if speaker is None or not prefixes else plain(prefixes[speaker]) + " "
        indent = columns(prefix)
        for cut in _cuts(tokens, indent, following):
            chosen = tokens[cut.start : cut.stop]
            first, *rest = _lines(chosen, indent)
            cues.append(Cue(chosen[0].start, chosen[-1].end, (prefix + first, *rest), speaker))
    # Where channels were transcribed apart, somebody may speak while another one does.
    cues.sort(key=lambda cue: cue.start)
    return _timed(cues, int(duration * 1000))


def _runs(segments: Sequence[Segment]) -> list[tuple[int | None, list[_Token]]]:
    """Return what one speaker says until another speaks, as tokens, and who it is."""
    spoken = [(segment, tokens) for segment in segments if (tokens := _tokens(segment))]
    runs: list[tuple[int | None, list[_Token]]] = []
    for speaker, group in groupby(spoken, lambda item: item[0].speaker):
        run: list[_Token] = []
        before: Segment | None = None
        for segment, tokens in group:
            run.append(replace(tokens[0], spaced=tokens[0].spaced or _spaced(before, segment)))
            run.extend(tokens[1:])
            before = segment
        runs.append((speaker, run))
    return runs


def _spaced(before: Segment | None, segment: Segment) -> bool:
    """Return whether a space parts two segments, as `Transcript.joined` has it."""
    return before is not None and not {before.language, segment.language} <= UNSPACED_LANGUAGES


def _timed(cues: Sequence[Cue], duration: int) -> tuple[Cue, ...]:
    """Return the cues long enough to be read where there is room; a cue of no length gets a millisecond.

    Players drop cues whose end is not after their start.
    """
    timed: list[Cue] = []
    for position, cue in enumerate(cues):
        last = position + 1 == len(cues)
        bound = duration if last else cues[position + 1].start
        start = max(timed[-1].end if timed else 0, min(cue.start, duration - 1))
        if not last and (bound < cue.end or start > cue.start):
            # People who talk at once: who began later is seen a little later, but both can be read.
            left = len(cues) - position - 1
            bound = max(bound, min(start + MIN_CUE_MILLISECONDS, duration - left * _LEAST_CUE_MILLISECONDS))
        end = max(min(_wanted_end(cue, start), bound if last else bound - GAP_MILLISECONDS), start + 1)
        seen = min(start + MIN_CUE_MILLISECONDS, bound)
        timed.append(replace(cue, start=start, end=max(end, seen)))
    return tuple(timed)


def _wanted_end(cue: Cue, start: int) -> int:
    """Return until when a cue that starts at `start` had better stay, were there nothing after it."""
    reading = sum(map(columns, cue.lines)) * 1000 // READING_COLUMNS_PER_SECOND
    wanted = max(cue.end + LINGER_MILLISECONDS, start + max(reading, MIN_CUE_MILLISECONDS))
    return min(wanted, start + MAX_CUE_MILLISECONDS)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _tokens(segment: Segment) -> list[_Token]:
    """Return the segment's words as things that may stand on a line, none wider than one."""
    words = segment.words or (Word(segment.text, segment.start, segment.end, segment.confidence),)
    tokens: list[_Token] = []
    for word in words:
        parts = [part for piece in plain(word.text).split() for part in _line_parts(piece)]
        length = (word.end - word.start) / max(len(parts), 1)
        for number, (text, begins) in enumerate(parts):
            start = word.start + length * number
            spaced = begins and (number > 0 or word.text[:1].isspace())
            times = (_milliseconds(start), _milliseconds(start + length))
            tokens.append(_Token(text, columns(text), spaced, *times))
    return tokens


def _line_parts(text: str) -> list[tuple[str, bool]]:
    """Return `text`, which has no spaces, in parts that fit on half a line, and whether each is the first."""
    if columns(text) <= LINE_COLUMNS // 2:
        return [(text, True)]
    step = LINE_COLUMNS // 4 if columns(text) > len(text) else LINE_COLUMNS // 2
    return [(text[place : place + step], place == 0) for place in range(0, len(text), step)]


def _cost_between(before: _Token, after: _Token) -> float:
    """Return what it costs to part two neighbouring tokens."""
    free = after.spaced or _wide(before.text[-1]) or _wide(after.text[0])
    belongs = opens(before.text) or (closes(after.text) and not after.spaced)
    if not free or belongs:
        return _GLUED_COST
    if ends_sentence(before.text):
        return 0.0
    if ends_clause(before.text) or after.start - before.end >= PAUSE_MILLISECONDS:
        return _CLAUSE_COST
    return _PHRASE_COST


def _wide(character: str) -> bool:
    return columns(character) == 2


def _cuts(tokens: Sequence[_Token], indent: int, following: int) -> list[range]:
    """Return the tokens of each cue, at the least cost over the whole run; `following` is when the next begins."""
    count = len(tokens)
    best = [0.0] + [inf] * count
    back = [0] * (count + 1)
    for first in range(count):
        for stop, inside in _cues_from(tokens, first, indent):
            ending = 0.0 if stop == count else _cost_between(tokens[stop - 1], tokens[stop])
            # It may stay until the next one comes: what follows decides whether there is time to read it.
            until = tokens[stop].start if stop < count else following
            flickers = until - tokens[first].start < MIN_CUE_MILLISECONDS
            cost = best[first] + _CUE_COST + inside + ending + (_FLICKER_COST if flickers else 0.0)
            if cost < best[stop]:
                best[stop], back[stop] = cost, first
    cuts: list[range] = []
    stop = count
    while stop:
        cuts.append(range(back[stop], stop))
        stop = back[stop]
    return cuts[::-1]


def _cues_from(tokens: Sequence[_Token], first: int, indent: int) -> list[tuple[int, float]]:
    """Return where a cue that starts with token `first` may stop, and what the pauses inside it cost.

    One token is always allowed, however long it is spoken.
    """
    stops = [(first + 1, 0.0)]
    line, column, inside = 1, indent + tokens[first].columns, 0.0
    for stop in range(first + 2, len(tokens) + 1):
        before, token = tokens[stop - 2], tokens[stop - 1]
        if token.end - tokens[first].start > MAX_CUE_MILLISECONDS:
            break
        column += token.columns + token.spaced
        if column > LINE_COLUMNS:
            line, column = line + 1, token.columns
        if line > MAX_LINES:
            break
        if token.start - before.end >= LONG_PAUSE_MILLISECONDS:
            inside += _LONG_PAUSE_COST
        stops.append((stop, inside))
    return stops


def _joined(tokens: Sequence[_Token]) -> str:
    return "".join((" " if token.spaced and n else "") + token.text for n, token in enumerate(tokens))


def _lines(tokens: Sequence[_Token], indent: int) -> list[str]:
    """Return the tokens on one line, or on two, broken at the best place that leaves both short enough."""
    whole = _joined(tokens)
    if indent + columns(whole) <= LINE_COLUMNS:
        return [whole]
    choices: list[tuple[float, list[str]]] = []
    for place in range(1, len(tokens)):
        lines = [_joined(tokens[:place]), _joined(tokens[place:])]
        upper, lower = indent + columns(lines[0]), columns(lines[1])
        if max(upper, lower) <= LINE_COLUMNS:
            balance = _LINE_BALANCE_COST * abs(upper - lower)
            choices.append((_cost_between(tokens[place - 1], tokens[place]) + balance, lines))
    return min(choices)[1] if choices else [whole]
