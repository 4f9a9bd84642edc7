"""What a text is written from: sentences of a transcript or notes, and what of them may be quoted. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.summarize.faithfulness import Evidence
from services.summarize.judging import is_statement
from services.summarize.salience import rank
from services.summarize.style import Style

_QUOTED = {Style.BRIEF: 2, Style.DETAILED: 4, Style.BULLET_POINTS: 3, Style.HEADLINE: 1}
_COPIED_SHARE = 0.5
_FEW_SENTENCES = 12
_HEADLINE_WORDS, _HEADLINE_LETTERS = 12, 80


@dataclass(frozen=True)
class Material:
    """What a text is written from."""

    text: str
    """As the model reads it."""
    units: tuple[str, ...]
    """The sentences or notes that may be quoted, in order."""
    tokens: tuple[Sequence[int], ...]
    """The tokens of each."""
    of_notes: bool
    """Whether they are notes."""
    evidence: Evidence
    """What names and numbers are looked for in."""


def saying_little(material: Material) -> list[str]:
    """Return the units that a summary may not just repeat; few units are all worth it."""
    if len(material.units) < _FEW_SENTENCES:
        return []
    ranked = rank(material.tokens)
    return [material.units[number] for number in ranked[round(_COPIED_SHARE * len(ranked)) :]]


def quotations(material: Material, style: Style) -> list[str]:
    """Return the units that say most, in order, for a summary of which nothing else may stay; perhaps none."""
    ranked = rank(material.tokens)
    # An interview may have nothing but questions.
    best = [number for number in ranked if is_statement(material.units[number])] or ranked
    chosen = [material.units[number] for number in sorted(best[: _QUOTED[style]])]
    return [_shortened(unit) for unit in chosen] if style is Style.HEADLINE else chosen


def that_fit(texts: Sequence[str], tokens: Sequence[Sequence[int]], sizes: Sequence[int], most: int) -> list[str]:
    """Return the texts that say most, in order, that together have a size of at most `most`."""
    kept, left = set[int](), most
    for number in rank(tokens):
        if sizes[number] <= left:
            kept.add(number)
            left -= sizes[number]
    return [texts[number] for number in sorted(kept)]


def _shortened(text: str) -> str:
    words = text.split()
    if len(words) > _HEADLINE_WORDS:
        text = " ".join(words[:_HEADLINE_WORDS]) + "…"
    return text if len(text) <= _HEADLINE_LETTERS else text[: _HEADLINE_LETTERS - 1] + "…"
