"""A transcript as it is read: turns of speakers, in sentences. Pure."""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from services.text.punctuation import closes_sentence, ends_clause
from services.text.spacing import UNSPACED_LETTERS

LONGEST_SENTENCE = 240
"""Characters of a sentence, about; what has no full stops is cut at commas and words."""

LONGEST_SPEAKER = 80
"""Characters of a speaker's name; the rest of it is left out."""

# No space follows the colon of China and Japan; so it counts behind what is short only.
_LABEL = re.compile(r"([^\W\d_][^:：]{0,38}?) ?[:：] |([^\W\d_][^:：]{0,11})：")  # noqa: RUF001
_MOST_LABEL_WORDS = 4
_UNSPACED_END = re.compile(r"[。！？]+[\"'”’»)」』】]*")  # noqa: RUF001 - the marks of China and Japan
_UNSPACED_COMMAS = "，、；"  # noqa: RUF001 - as above
# Where no spaces are put, every letter is taken for a word.
_WORD = re.compile(rf"(?=\w)[{UNSPACED_LETTERS}]|[^\W{UNSPACED_LETTERS}]+")
_MARKS = re.compile(r"<\s*(/?)\s*(transcript|notes|tool_call|tool_response|think)\s*>", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b\u2028\u2029\ufeff]")


@dataclass(frozen=True)
class Segment:
    """A stretch of a transcript as the caller sent it."""

    text: str
    speaker: str = ""
    """Who says it; empty where nobody is known."""
    start: float | None = None
    """Seconds from the start of the recording, where known."""
    end: float | None = None
    """Seconds; never before `start`; known exactly where that is."""


@dataclass(frozen=True)
class Sentence:
    """A sentence, or a piece of one that is long."""

    text: str
    """Not blank; without white space around it, on one line."""
    turn: int
    """Number of the turn that it belongs to."""
    speaker: str = ""
    """Who says it; empty where nobody is known."""
    first_segment: int | None = None
    """Number of the caller's segment in which it begins; None where he sent a text."""
    last_segment: int | None = None
    """Number of that in which it ends."""


@dataclass(frozen=True)
class Transcript:
    """What there is to sum up."""

    sentences: tuple[Sentence, ...]
    """In order; turns have rising numbers."""

    @property
    def speakers(self) -> tuple[str, ...]:
        """The names of those who speak, each once, in the order in which they first do."""
        return tuple(dict.fromkeys(sentence.speaker for sentence in self.sentences if sentence.speaker))


def render(sentences: Iterable[Sentence]) -> str:
    """Return sentences as the model reads them: a line a turn, with its speaker where one is known."""
    lines = list[str]()
    for _, turn in groupby(sentences, key=lambda sentence: sentence.turn):
        said = list(turn)
        label = f"{said[0].speaker}: " if said[0].speaker else ""
        lines.append(label + " ".join(sentence.text for sentence in said))
    return "\n".join(lines)


def from_text(text: str) -> Transcript:
    """Read a text: every line is a turn, "Name: " at its beginning is its speaker.

    A name has no word in small letters, or stands before several lines: "the budget is: five million" has none.
    """
    sentences = list[Sentence]()
    lines = [line for line in map(_flat, _clean(text).split("\n")) if line]
    labels = Counter(_split_label(line)[0] for line in lines)
    for number, line in enumerate(lines):
        speaker, said = _split_label(line)
        if not _is_name(speaker) and labels[speaker] == 1:
            speaker, said = "", line
        sentences.extend(Sentence(piece, number, _name(speaker)) for piece in split_sentences(said))
    return Transcript(tuple(sentences))


def from_segments(segments: Sequence[Segment]) -> Transcript:
    """Read segments: those of one speaker that follow each other are a turn, a sentence may go through several."""
    sentences = list[Sentence]()
    spoken = [(number, segment) for number, segment in enumerate(segments) if _flat(segment.text)]
    for turn, (_, run) in enumerate(groupby(spoken, key=lambda item: _name(item[1].speaker))):
        said = list(run)
        sentences.extend(_sentences_of(said, turn, _name(said[0][1].speaker)))
    return Transcript(tuple(sentences))


def _sentences_of(run: Sequence[tuple[int, Segment]], turn: int, speaker: str) -> Iterator[Sentence]:
    texts = [_flat(segment.text) for _, segment in run]
    joined = " ".join(texts)
    # Where in the joined text each segment ends.
    ends = [end + place for place, end in enumerate(accumulate(map(len, texts)))]
    at = 0
    for piece in split_sentences(joined):
        begin = joined.index(piece, at)
        at = begin + len(piece)
        first, last = bisect_right(ends, begin), bisect_left(ends, at)
        yield Sentence(piece, turn, speaker, run[first][0], run[last][0])


def split_sentences(text: str, *, longest: int | None = LONGEST_SENTENCE) -> list[str]:
    """Return the sentences of a line, in order; joined by spaces they are the line, but for white space.

    Where a language puts no spaces, its full stops cut, too. What is longer than `longest` is cut at commas, then
    anywhere between words, then anywhere; None leaves it whole.
    """
    pieces = list[str]()
    for spaced in _at_full_stops(_flat(text).split(" ")):
        for piece in _at_unspaced_ends(spaced):
            pieces.extend([piece] if longest is None else _shorter(piece, longest))
    return [piece for piece in pieces if piece]


def same_words(text: str, segments: Sequence[Segment], *, tolerated: float = 0.02) -> bool:
    """Return whether a text says nothing that the segments do not say, but for a share of its words.

    Names of speakers, punctuation and capitals do not count.
    """
    known = set[str]()
    for segment in segments:
        known.update(_words(segment.text), _words(segment.speaker))
    words = _words(text)
    return sum(word not in known for word in words) <= tolerated * len(words)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def as_data(text: str) -> str:
    """Return `text` without anything that a chat template or the marks of our prompts would take for control.

    Control tokens are written `<|name|>`; after this, "<|" stands nowhere in the text.
    """
    return _MARKS.sub(r"(\1\2)", text).replace("<|", "< |")


def holds_control(data: str) -> bool:
    """Return whether a sentence holds what was a control token of a chat: nobody says that to people."""
    return "< |" in data


def _clean(text: str) -> str:
    # As the tokenizer does, and as it will stand in a prompt: before anything is measured.
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    return as_data(_CONTROL.sub(" ", text))


def _flat(text: str) -> str:
    return " ".join(_clean(text).split())


def _name(speaker: str) -> str:
    return _flat(speaker)[:LONGEST_SPEAKER].rstrip()


def _split_label(line: str) -> tuple[str, str]:
    label = _LABEL.match(line)
    name = (label[1] or label[2]).strip() if label else ""
    if label is None or len(name.split()) > _MOST_LABEL_WORDS or not line[label.end() :].strip():
        return "", line
    return name, line[label.end() :]


def _is_name(label: str) -> bool:
    return not any(word[:1].islower() for word in label.split())


def _at_full_stops(words: Sequence[str]) -> Iterator[str]:
    begun = list[str]()
    for place, word in enumerate(words):
        begun.append(word)
        following = words[place + 1] if place + 1 < len(words) else ""
        if closes_sentence(word, following):
            yield " ".join(begun)
            begun = []
    if begun:
        yield " ".join(begun)


def _at_unspaced_ends(text: str) -> Iterator[str]:
    at = 0
    for end in _UNSPACED_END.finditer(text):
        yield text[at : end.end()].strip()
        at = end.end()
    yield text[at:].strip()


def _shorter(text: str, longest: int) -> Iterator[str]:
    at = 0
    while len(text) - at > longest:
        cut = at + _cut(text[at : at + longest + 1], longest)
        yield text[at:cut].strip()
        at = cut + (text[cut] == " ")
    yield text[at:]


def _cut(text: str, longest: int) -> int:
    """Return where a long text is cut: behind a comma, else before a word, else anywhere; not in the first third."""
    places = range(longest // 3, longest + 1)
    spaces = [at for at in places if text[at] == " "]
    commas = [at for at in places if text[at - 1] in _UNSPACED_COMMAS or (text[at] == " " and ends_clause(text[:at]))]
    return (commas or spaces or [longest])[-1]
