"""What a reader of live captions sees, and when: measures of one stream's messages. Pure.

A display is the finals so far and the partial after them. Words are compared as their lower-case letters and digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise, takewhile
from typing import Any

from benchmarks.scoring import Utterance

_TOGETHER_SECONDS = 0.5
"""A shorter pause does not end the speech."""

_NO_TIME_SECONDS = 0.05

_REACH_SECONDS = 0.3
"""How far a word may reach beyond the true end of speech and still belong to it."""


@dataclass(frozen=True)
class Message:
    """A message and when it came, in seconds from the first sample."""

    at: float
    body: dict[str, Any]


@dataclass(frozen=True)
class WordShown:
    """When a reader saw a word of a final, in seconds from the first sample; its end is the service's own."""

    text: str
    end: float
    first: float
    stable: float
    """From when on it did not change any more."""
    final: float


def plain_words(text: str) -> list[str]:
    """Return the words of a text as they are compared."""
    words = ("".join(c for c in word.casefold() if c.isalnum()) for word in text.split())
    return [word for word in words if word]


def words_shown(messages: Sequence[Message]) -> list[WordShown]:
    """Return for every word that became final when it was shown."""
    shown: list[WordShown] = []
    partials: list[tuple[float, list[str]]] = []
    for place, message in enumerate(messages):
        body = message.body
        if body.get("text"):
            shown += _of_final(message, partials)
            # What the next display still shows of the partials is of the next final.
            rest = _shown_after(messages[place:])
            partials = [
                (at, words) for at, said in partials if (words := _after(said, plain_words(body["text"]), rest))
            ]
        if body.get("type") == "partial":
            partials.append((message.at, plain_words(body["partial"])))
    return shown


def _shown_after(messages: Sequence[Message]) -> list[str]:
    """Return what is on the screen after the first of these messages, a final, and those that come with it."""
    later = list(takewhile(lambda message: _at_once(messages[0], message), messages[1:]))
    finals = [word for message in later for word in plain_words(message.body.get("text") or "")]
    partial = later[-1].body.get("partial") if later else ""
    return finals + plain_words(partial or "")


def _of_final(message: Message, partials: Sequence[tuple[float, list[str]]]) -> Iterator[WordShown]:
    final = [word for word in message.body["words"] if plain_words(word["word"])]
    texts = ["".join(plain_words(word["word"])) for word in final]
    seen = [(at, _kept(words, texts)) for at, words in partials]
    for place, word in enumerate(final):
        first = next((at for at, kept in seen if place in kept), message.at)
        stable = message.at
        for at, kept in reversed(seen):
            if place not in kept:
                break
            stable = at
        yield WordShown(texts[place], word["end"], first, stable, message.at)


def _kept(shown: Sequence[str], final: Sequence[str]) -> set[int]:
    blocks = SequenceMatcher(None, shown, final, autojunk=False).get_matching_blocks()
    return {block.b + offset for block in blocks for offset in range(block.size)}


def _after(shown: Sequence[str], final: Sequence[str], rest: Sequence[str]) -> list[str]:
    """Return the words that were shown after those of a final, as far as they are still shown."""
    blocks = SequenceMatcher(None, shown, final, autojunk=False).get_matching_blocks()
    left = shown[max((block.a + block.size for block in blocks if block.size), default=0) :]
    kept = _kept(rest, left)
    return [word for place, word in enumerate(left) if place in kept]


def revised_words(messages: Sequence[Message]) -> int:
    """Return how many words were shown and then changed or taken back (the numerator of UPWR: Shangguan 2020)."""
    finals: list[str] = []
    displays: list[list[str]] = []
    for message, following in zip(messages, [*messages[1:], None], strict=True):
        finals += plain_words(message.body.get("text") or "")
        if following is None or not _at_once(message, following):
            displays.append(finals + plain_words(message.body.get("partial") or ""))
    return sum(_changed(before, after) for before, after in pairwise(displays))


def _at_once(message: Message, following: Message) -> bool:
    """Return whether what one message shows is on the screen for no time before the next one is there."""
    return following.at - message.at < _NO_TIME_SECONDS


def _changed(before: Sequence[str], after: Sequence[str]) -> int:
    opcodes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return sum(first_end - first for tag, first, first_end, _, _ in opcodes if tag in ("replace", "delete"))


def speech_ends(spoken: Sequence[Utterance]) -> list[float]:
    """Return where nobody speaks any more, for half a second at least."""
    ends: list[float] = []
    for utterance in sorted(spoken, key=lambda utterance: utterance.start):
        if ends and utterance.start - ends[-1] < _TOGETHER_SECONDS:
            ends[-1] = max(ends[-1], utterance.end)
        else:
            ends.append(utterance.end)
    return ends


def speech_starts(spoken: Sequence[Utterance]) -> list[float]:
    """Return where somebody begins to speak after a pause of half a second at least."""
    starts: list[float] = []
    end = float("-inf")
    for utterance in sorted(spoken, key=lambda utterance: utterance.start):
        if utterance.start - end >= _TOGETHER_SECONDS:
            starts.append(utterance.start)
        end = max(end, utterance.end)
    return starts


def finalisation_seconds(words: Sequence[WordShown], spoken: Sequence[Utterance]) -> list[float]:
    """Return for every end of speech how long it took until all words before it were final.

    An end before which no word was recognized does not count.
    """
    latencies: list[float] = []
    before = 0.0
    for end in speech_ends(spoken):
        inside = [word.final for word in words if before < word.end <= end + _REACH_SECONDS]
        if inside:
            latencies.append(max(inside) - end)
        before = end + _REACH_SECONDS
    return latencies


def first_seconds(words: Sequence[WordShown], spoken: Sequence[Utterance]) -> list[float]:
    """Return for every start of speech how long it took until the first word of it was shown.

    A start after which no word was recognized does not count.
    """
    starts = speech_starts(spoken)
    latencies: list[float] = []
    for start, following in zip(starts, [*starts[1:], float("inf")], strict=True):
        inside = [word.first for word in words if start < word.end <= following]
        if inside:
            latencies.append(min(inside) - start)
    return latencies
