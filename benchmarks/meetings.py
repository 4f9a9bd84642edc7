"""Transcripts of meetings of any length with tasks planted in them, and whether a text has kept a task. Pure.

What is said in between comes from the reference texts of recordings, or is made up; speakers and times are.
"""

import random
import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from benchmarks.recordings import Recording

WORDS_PER_SECOND = 2.5
"""Of speech: three hours have 27,000 words."""
SPEAKERS = tuple(f"Speaker {number}" for number in range(1, 6))

_FILE = Path(__file__).with_name("planted_tasks.toml")
_FEWEST_WORDS = 4
_PIECES = ("single", "real-conversation")

_WHO = (
    "The committee", "Our supplier", "The caretaker", "Mr. Arkwright", "The second group", "My neighbour",
    "The architect", "A customer from Aarhus", "The whole department", "The accountant", "One of the drivers",
    "The old printer", "Mrs. Sorensen", "The night shift", "The new colleague", "A journalist",
)  # fmt: skip
_DID = (
    "compared the quarterly figures", "visited the plant by the river", "found two mistakes in the catalogue",
    "was very happy with the result", "talked about the weather for a while", "spent eleven thousand euros",
    "had already seen the second draft", "moved into the building across the street", "measured the temperature twice",
    "lost nearly all of the photographs", "counted more than four hundred visitors", "was late because of the snow",
    "explained how the machine works", "sold the blue one to a museum", "liked the first version better",
    "described the journey in great detail", "never heard of that rule", "slept through most of the lecture",
)  # fmt: skip
_WHEN = (
    "last spring", "in the afternoon", "two years ago", "at the end of the tour", "during the break",
    "on the first evening", "before the renovation", "around midnight", "in the middle of the season", "as always",
)  # fmt: skip
_WHAT_ELSE = (
    "and nobody was surprised by that", "which was quite a relief", "although the lift was out of order",
    "because the road had been closed", "and that was the end of the story", "as far as I remember",
    "which is why it took so long", "while everybody else was at lunch", "and the photos are really beautiful",
    "but it did not change anything", "so the numbers looked rather good", "just like in the old days",
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """Something that somebody has to do, as it is said."""

    said: str
    keys: tuple[str, ...]
    """Words that whoever says the same must have all of."""

    def is_in(self, text: str) -> bool:
        """Return whether a text has all key words; a word may go on after its key."""
        return all(re.search(rf"(?<!\w){re.escape(key)}", text, re.IGNORECASE) for key in self.keys)


@dataclass(frozen=True)
class Said:
    """What one person says at a time."""

    speaker: str
    text: str
    start: float
    """Seconds from the beginning."""
    end: float


@dataclass(frozen=True)
class Meeting:
    """A transcript and what is planted in it."""

    said: tuple[Said, ...]
    planted: tuple[tuple[Task, Said], ...]
    """The tasks with their places, in order."""

    @property
    def words(self) -> int:
        """How many there are."""
        return sum(len(one.text.split()) for one in self.said)

    @property
    def text(self) -> str:
        """A line for each time somebody speaks, with his name."""
        return "\n".join(f"{one.speaker}: {one.text}" for one in self.said)


def tasks() -> list[Task]:
    """Return all tasks that can be planted."""
    listed = tomllib.loads(_FILE.read_text(encoding="utf-8"))["tasks"]
    return [Task(task["said"], tuple(task["keys"])) for task in listed]


def meeting(sentences: Sequence[str], words: int, planted: Sequence[tuple[float, Task]], seed: int) -> Meeting:
    """Return a meeting of about so many words.

    Args:
        sentences: what is said, in any order and as often as it takes.
        words: how long it is without the tasks.
        planted: the tasks, each with its place: the share of the words that are said before it, 0 to 1.
        seed: equal ones give equal meetings.
    """
    chance = random.Random(seed)
    filler = _filler(sentences, words, chance)
    starts = [0, *accumulate(len(text.split()) for text in filler)]
    lines: list[tuple[str, Task | None]] = [(text, None) for text in filler]
    for place, task in sorted(planted, key=lambda one: one[0], reverse=True):
        lines.insert(bisect_left(starts, place * starts[-1]), (task.said, task))
    said = _spoken([text for text, _ in lines], chance)
    tasked = tuple((task, one) for (_, task), one in zip(lines, said, strict=True) if task is not None)
    return Meeting(tuple(said), tasked)


def _filler(sentences: Sequence[str], words: int, chance: random.Random) -> list[str]:
    filler = list[str]()
    count = 0
    while True:
        for sentence in chance.sample(sentences, len(sentences)):
            if count >= words:
                return filler
            filler.append(sentence)
            count += len(sentence.split())


def _spoken(texts: Iterable[str], chance: random.Random) -> list[Said]:
    said = list[Said]()
    at, before = 0.0, ""
    for text in texts:
        before = chance.choice([speaker for speaker in SPEAKERS if speaker != before])
        end = at + len(text.split()) / WORDS_PER_SECOND
        said.append(Said(before, text, at, end))
        at = end
    return said


def english_sentences(recordings: Iterable[Recording]) -> list[str]:
    """Return what is said in the English recordings, each once, written as asr writes it: a capital, a full stop.

    Made conversations are left out: their words are those of the single recordings.
    """
    said = list[str]()
    for recording in recordings:
        if recording.language == "en" and recording.kind in _PIECES:
            said += [one.words for one in recording.utterances or ()] or [recording.transcript or ""]
    written = (_as_written(text) for text in said if len(text.split()) >= _FEWEST_WORDS)
    return list(dict.fromkeys(written))


def _as_written(text: str) -> str:
    text = text.strip().rstrip(",;: ")
    return text[:1].upper() + text[1:] + ("" if text[-1:] in ".?!…" else ".")


def made_up_sentences(count: int, seed: int = 0) -> list[str]:
    """Return different sentences that tell what was and give nobody anything to do."""
    chance = random.Random(seed)
    made = dict[str, None]()
    while len(made) < count:
        who, did, when, what_else = (chance.choice(parts) for parts in (_WHO, _DID, _WHEN, _WHAT_ELSE))
        made[f"{who} {did} {when}, {what_else}."] = None
    return list(made)
