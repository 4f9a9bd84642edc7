"""The likeliest sequence of labels, and how sure each of them is. Pure.

A lattice has a column for each word and a state for each label. A path through it weighs the product of its
columns' weights, times what each change of label between neighbours weighs; a change to any other label weighs
the same, but for the last state ("nobody"), which has a weight of its own. That is a chain conditional random
field with Potts transitions, so that every step takes time linear in the number of states, not squared.
"""

from collections.abc import Sequence
from dataclasses import dataclass

Column = list[float]
"""Weights by state, all above 0; the last state may weigh 0, which forbids it."""


@dataclass(frozen=True)
class Change:
    """What a change of label between two neighbouring columns weighs, above 0 and at most 1; to stay weighs 1."""

    among: float
    """From one of the states but the last to another."""
    last: float
    """From or to the last state."""


def likeliest(columns: Sequence[Column], changes: Sequence[Change]) -> list[int]:
    """Return the states of the path that weighs most (Viterbi); of equals, the one that changes late.

    Args:
        columns: at least two states each.
        changes: one between each two columns.
    """
    if not columns:
        return []
    scores = _scaled(columns[0])
    back: list[list[int]] = []
    for column, change in zip(columns[1:], changes, strict=True):
        *some, none = scores
        top = max(range(len(some)), key=some.__getitem__)
        moved, left = some[top] * change.among, none * change.last
        way, best = (len(some), left) if left > moved else (top, moved)
        came = [own if score >= best else way for own, score in enumerate(some)]
        reached = [score if score >= best else best for score in some]
        entered = some[top] * change.last
        came.append(len(some) if none >= entered else top)
        reached.append(max(none, entered))
        back.append(came)
        scores = _scaled([score * weight for score, weight in zip(reached, column, strict=True)])
    state = max(range(len(scores)), key=scores.__getitem__)
    path = [state]
    for came in reversed(back):
        path.append(state := came[state])
    return path[::-1]


def marginals(columns: Sequence[Column], changes: Sequence[Change]) -> list[list[float]]:
    """Return how probable each state is in each column over all paths (forward-backward), summing to 1."""
    if not columns:
        return []
    before = [_scaled(columns[0])]
    for column, change in zip(columns[1:], changes, strict=True):
        before.append(_scaled(_times(_across(before[-1], change), column)))
    after = [1.0] * len(columns[0])
    result: list[list[float]] = []
    for position in range(len(columns) - 1, -1, -1):
        result.append(_scaled(_times(before[position], after)))
        if position:
            after = _scaled(_across(_times(after, columns[position]), changes[position - 1]))
    return result[::-1]


def _across(weights: Sequence[float], change: Change) -> Column:
    """Return what arrives in each state over one change, from all of them."""
    *some, none = weights
    moved = sum(some) * change.among + none * change.last
    stay = 1.0 - change.among
    return [*(weight * stay + moved for weight in some), none + sum(some) * change.last]


def _times(one: Sequence[float], other: Sequence[float]) -> Column:
    return [a * b for a, b in zip(one, other, strict=True)]


def _scaled(weights: Sequence[float]) -> Column:
    """Return the weights so that they sum to 1; products over thousands of columns would vanish otherwise."""
    total = sum(weights)
    return [weight / total for weight in weights]
