"""Which sentences of a text say most of what it is about. Pure.

Sentences are taken for bags of tokens, so that this works in every language that the model can read. A token
counts for more the more of the sentences have it, but for what nearly all of them have, and a sentence for the
mean of its tokens; each sentence that is chosen makes its own tokens count for less, so that the next one says
something else (SumBasic: Nenkova and Vanderwende 2005).
"""

from collections import Counter
from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace

SHORTEST = 5
"""Tokens below which a sentence is hardly chosen: "yes, exactly"."""

_COMMON = 0.25
"""Share of the sentences from which on a token tells nothing: the articles, the full stop."""

_CHOSEN = 50
"""Sentences that are chosen one after the other; of the others the order hardly matters."""


def rank(sentences: Sequence[Sequence[int]]) -> list[int]:
    """Return the numbers of the sentences, the one that says most first.

    Args:
        sentences: the tokens of each.
    """
    bags = [frozenset(tokens) for tokens in sentences]
    weights = _weights(bags)
    ranked = list[int]()
    # Scores only fall: who is still the best with his score of now has the best of all (lazy greedy: Minoux 1978).
    left = [(-_score(bag, weights), number) for number, bag in enumerate(bags)]
    heapify(left)
    while left and len(ranked) < _CHOSEN:
        best = left[0][1]
        now = (-_score(bags[best], weights), best)
        if now > left[0]:
            heapreplace(left, now)
            continue
        heappop(left)
        ranked.append(best)
        for token in bags[best]:
            weights[token] *= 0.5
    rest = sorted((number for _, number in left), key=lambda number: (-_score(bags[number], weights), number))
    return ranked + rest


def _weights(bags: Sequence[frozenset[int]]) -> dict[int, float]:
    counts = Counter(token for bag in bags for token in bag)
    most = max(2.0, _COMMON * len(bags))
    return {token: count if count <= most else 0.0 for token, count in counts.items()}


def _score(bag: frozenset[int], weights: dict[int, float]) -> float:
    if not bag:
        return 0.0
    # As if it had as many tokens as a sentence should: so a short one does not win by its only word.
    return sum(weights[token] for token in bag) / max(len(bag), 3 * SHORTEST)
