"""Cuts a transcript into parts of about equal size, each of which is read at once. Pure.

Equal parts can be worked on side by side, and none of them is a short rest that the model has too little of. A
part begins where somebody takes the word, if one does so near the place; else with a sentence.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

SHORTEST_LIMIT = 1024
"""Least limit of a part, in tokens: the longest sentence has fewer in every script."""

LEEWAY = 0.2
"""How far from the even cut a turn's beginning is looked for, as a share of a part."""


@dataclass(frozen=True)
class Part:
    """Sentences that are read at once."""

    first: int
    """Number of the first sentence."""
    end: int
    """Number behind the last one."""
    tokens: int
    """Size of all of them."""


def split_parts(sizes: Sequence[int], turns: Sequence[int], limit: int) -> list[Part]:
    """Return the parts: as few as fit the limit, all sentences in order, none twice and none left out.

    Args:
        sizes: tokens of every sentence, each at least 1 and at most `limit`.
        turns: number of the turn of every sentence, never falling.
        limit: most tokens of a part.
    """
    if not sizes:
        return []
    assert max(sizes) <= limit, "a sentence is longer than a part may be"
    starts = [0, *accumulate(sizes)]
    last_cuts = _filled_from_the_end(starts, limit)
    count = len(last_cuts) - 1
    size = starts[-1] / count
    cuts = [0]
    for number in range(1, count):
        # So early that this part fits, and so late that what follows fits into the parts that are left.
        latest = min(bisect_right(starts, starts[cuts[-1]] + limit) - 1, len(sizes) - count + number)
        earliest = max(last_cuts[number], cuts[-1] + 1)
        cuts.append(_cut_near(starts, turns, number * size, LEEWAY * size, range(earliest, latest + 1)))
    cuts.append(len(sizes))
    return [Part(first, end, starts[end] - starts[first]) for first, end in pairwise(cuts)]


def _filled_from_the_end(starts: Sequence[int], limit: int) -> list[int]:
    """Return where as few parts as possible begin that are filled from the last one on; and where that one ends.

    Args:
        starts: tokens before every sentence and, last, of all.
        limit: most tokens of a part.
    """
    cuts = [len(starts) - 1]
    while cuts[-1] > 0:
        cuts.append(bisect_left(starts, starts[cuts[-1]] - limit))
    return cuts[::-1]


def _cut_near(starts: Sequence[int], turns: Sequence[int], place: float, leeway: float, possible: range) -> int:
    """Return the sentence that begins nearest to a place, counted in tokens; a turn's first one, if one is near."""
    low, high = bisect_left(starts, place - leeway), bisect_right(starts, place + leeway)
    near = range(max(low, possible.start), min(high, possible.stop))
    opening = [at for at in near if turns[at] != turns[at - 1]]
    middle = bisect_left(starts, place)
    # What is not possible is too early, or too late.
    nearest = [min(max(at, possible.start), possible.stop - 1) for at in (middle - 1, middle)]
    return min(opening or nearest, key=lambda at: abs(starts[at] - place))
