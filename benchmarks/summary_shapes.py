"""Whether a summary has the shape of its style. Pure.

Written apart from `services.summarize.tidy`, which makes the shapes: who checks himself finds what he expects.
"""

import re
from collections.abc import Callable

from services.summarize.style import Style

LONGEST_HEADLINE = 100
"""Characters."""
MOST_SENTENCES = 3
"""Of a brief summary."""

_ITEM = re.compile(r"- (?=\S)(?!- )")
_MARKER = re.compile(r"\s*(?:[-*•–+]|\(?\d{1,2}[.)])\s")  # noqa: RUF001 - models write dashes
_HEADING = re.compile(r"^\s*#+\s", re.MULTILINE)
_CONTROL = re.compile(r"<\|\w*|</?\s*(?:transcript|notes)\s*>", re.IGNORECASE)
_SUMMARY_WORDS = "summary|zusammenfassung|résumé|resumen|riassunto|resumo|samenvatting|резюме|摘要|总结|要約|요약"
_PREAMBLE = re.compile(
    r"\W*(?:here(?:\s(?:is|are)\b|['’]s\b)|(?:sure|certainly|of course|absolutely)\s*[,!.:]"  # noqa: RUF001
    rf"|(?:{_SUMMARY_WORDS}|headline|title|action items|key points)\s*[:：]"  # noqa: RUF001 - colon of China
    rf"|(?:hier (?:ist|sind)|voici|aqu[ií] (?:está|tiene)|ecco|вот|以下是|这是)[^.\n]{{0,40}}(?:{_SUMMARY_WORDS}))",
    re.IGNORECASE,
)
_COLONS = (":", "：")  # noqa: RUF001 - the colon of China and Japan
_SENTENCE_END = re.compile(r"[.!?…؟।][\"'”’»)\]]*(?=\s|$)|[。！？]+[\"'”’»)」』]*")  # noqa: RUF001 - of many scripts
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:\w|\w\.\w|mrs?|ms|mme|dr|prof|sra?|st|no|vs|etc|bzw|ca|usw|approx)\.$", re.IGNORECASE
)


def shape_faults(text: str, style: Style) -> list[str]:
    """Return what is wrong with the shape of a summary; nothing where it is as it should be."""
    if not text.strip():
        return ["empty"]
    checks = (*_ALWAYS, *_OF_STYLE[style])
    return [fault for fault, is_there in checks if is_there(text)]


def sentence_count(text: str) -> int:
    """Return how many sentences a text has; one that does not end counts, too."""
    count, begun = 0, 0
    for end in _SENTENCE_END.finditer(text):
        before, after = text[begun : end.end()], text[end.end() :].lstrip()
        if after[:1].islower() or (after and _ABBREVIATION.search(before)):
            continue
        count, begun = count + 1, end.end()
    return count + bool(text[begun:].strip())


_Check = tuple[str, Callable[[str], object]]

_ALWAYS: tuple[_Check, ...] = (
    ("white space around it", lambda text: text != text.strip()),
    ("heading", _HEADING.search),
    ("code fence", lambda text: "```" in text),
    ("bold print", lambda text: "**" in text),
    ("control sequence", _CONTROL.search),
    ("preamble", _PREAMBLE.match),
    ("announcement", lambda text: text.split("\n", 1)[0].rstrip().endswith(_COLONS)),
)

_LIST: tuple[_Check, ...] = (
    ("a line that is no item", lambda text: not all(_ITEM.match(line) for line in text.split("\n"))),
)

_PROSE: tuple[_Check, ...] = (("list", lambda text: any(_MARKER.match(line) for line in text.split("\n"))),)

_OF_STYLE: dict[Style, tuple[_Check, ...]] = {
    Style.BRIEF: (
        *_PROSE,
        ("more than one paragraph", lambda text: "\n" in text),
        (f"more than {MOST_SENTENCES} sentences", lambda text: sentence_count(text) > MOST_SENTENCES),
    ),
    Style.DETAILED: _PROSE,
    Style.ACTION_ITEMS: (
        ("a line that is no item", lambda text: text != "none" and any(fault(text) for _, fault in _LIST)),
        ("none as an item", lambda text: text.casefold().rstrip(".") == "- none"),
    ),
    Style.BULLET_POINTS: _LIST,
    Style.HEADLINE: (
        *_PROSE,
        ("more than one line", lambda text: "\n" in text),
        (f"more than {LONGEST_HEADLINE} characters", lambda text: len(text) > LONGEST_HEADLINE),
    ),
}
