"""Reads a transcript, all of it: how long each sentence is, what it does, what speaks to the model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from services.summarize.faithfulness import Evidence
from services.summarize.languages import language_of
from services.summarize.material import Material
from services.summarize.sources import SourceFinder
from services.summarize.summary import Note, NoteKind
from services.summarize.transcript import Sentence, Transcript, holds_control, render

if TYPE_CHECKING:
    from services.runtime.fair_queue import Request
    from services.summarize.device import Device
    from services.summarize.parts import Part
    from services.summarize.sentence_kinds import Kinds, SentenceKinds

NOTED_TASK = 0.0
"""Log odds from which on a sentence is noted as a task: nearly all tasks, and one in twenty of other sentences."""

LISTED_TASK = 0.5
"""From which on it is listed as one: one in two hundred of other sentences."""

SET_ASIDE = 1.5
"""From which on a sentence, or a speaker's name, is taken to speak to the model."""

MASK = "[…]"
"""Stands for a sentence that is set aside."""

_BATCH_TOKENS = 256
_BATCH_NAMES = 32
_BATCH_SENTENCES = 500
# What joins a sentence to the next, and the mask that may take the place of a shorter one.
_TOKENS_BESIDE = 3


@dataclass(frozen=True)
class Reading:
    """What is known of a transcript when all of it has been read."""

    sentences: tuple[Sentence, ...]
    """In order; a speaker whose name spoke to the model has none any more."""
    tokens: tuple[Sequence[int], ...]
    """The tokens of each sentence."""
    sizes: tuple[int, ...]
    """How many tokens each takes in a prompt: its own, and where it opens a turn the speaker's."""
    kinds: tuple[Kinds, ...]
    """What each does."""
    set_aside: frozenset[int]
    """Numbers of the sentences that speak to the model."""
    names_aside: bool
    """Whether names of speakers did."""
    language: str
    """Code of the language of most of it."""
    written_language: str
    """Code of the language that summaries of it are written in."""
    finder: SourceFinder
    input_tokens: int
    """Tokens that the model read."""

    @property
    def speakers(self) -> frozenset[str]:
        """The names of those who speak."""
        return frozenset(sentence.speaker for sentence in self.sentences if sentence.speaker)

    def said(self, number: int) -> str:
        """Return a sentence with who says it, where that is known."""
        sentence = self.sentences[number]
        return f"{sentence.speaker}: {sentence.text}" if sentence.speaker else sentence.text

    @cached_property
    def tasks(self) -> dict[int, float]:
        """How sure each of the sentences that are noted as a task is one, in log odds, by its number, in order."""
        kinds = enumerate(self.kinds)
        return {n: kind.task for n, kind in kinds if kind.task >= NOTED_TASK and n not in self.set_aside}

    @property
    def listed_tasks(self) -> list[int]:
        """Numbers of the sentences that are listed as tasks, in order."""
        return [number for number, sureness in self.tasks.items() if sureness >= LISTED_TASK]

    def task_notes(self, part: Part) -> Iterator[Note]:
        """Return what is noted of the tasks of a part."""
        for number in range(part.first, part.end):
            if number in self.tasks:
                yield Note(self.said(number), NoteKind.TASK, (number,))

    def material(self, part: Part) -> Material:
        """Return a part as something to write from; takes a while for long ones."""
        numbers = range(part.first, part.end)
        kept = [number for number in numbers if number not in self.set_aside]
        return Material(
            render(self._shown(numbers)),
            tuple(self.sentences[number].text for number in kept),
            tuple(self.tokens[number] for number in kept),
            of_notes=False,
            evidence=self.evidence(numbers),
        )

    def evidence(self, numbers: Iterable[int]) -> Evidence:
        """Return what some sentences say; what speaks to the model is no part of that. Takes a while for many."""
        kept = [number for number in numbers if number not in self.set_aside]
        evidence = Evidence(render(self.sentences[number] for number in kept), self.language)
        evidence.unsupported("1", self.written_language)  # reads the number words of the language, here and not later
        return evidence

    def _shown(self, numbers: Iterable[int]) -> Iterator[Sentence]:
        for number in numbers:
            sentence = self.sentences[number]
            yield replace(sentence, text=MASK) if number in self.set_aside else sentence


class Reader:
    """Reads for one request.

    Args:
        device: the model and those who share it.
        told: tells tasks and instructions.
        request: whose turn it takes.
    """

    def __init__(self, device: Device, told: SentenceKinds, request: Request) -> None:
        self._device = device
        self._told = told
        self._request = request
        self._input = 0

    async def read(
        self, transcript: Transcript, wanted_language: str | None, most: int, on_progress: Callable[[float], None]
    ) -> Reading:
        """Read all of it.

        Args:
            transcript: with one sentence at least.
            wanted_language: code of the language to write in; None for that of the transcript.
            most: no sentence is taken to be longer, in tokens.
            on_progress: is told the share that is read, 0 to 1.
        """
        names = sorted(transcript.speakers)
        sentences, aside = _without_names(transcript.sentences, await self._instructing(names))
        texts = [sentence.text for sentence in sentences]
        tokens = await self.encode(texts)
        kinds = await self._kinds(tokens, on_progress)
        language = await asyncio.to_thread(language_of, "\n".join(texts))
        return Reading(
            sentences=sentences,
            tokens=tuple(tokens),
            sizes=tuple(_sizes(sentences, tokens, await self._label_sizes(names), most)),
            kinds=tuple(kinds),
            set_aside=frozenset(
                number
                for number, kind in enumerate(kinds)
                if kind.instruction >= SET_ASIDE or holds_control(texts[number])
            ),
            names_aside=aside,
            language=language,
            written_language=wanted_language or language,
            finder=await asyncio.to_thread(SourceFinder, texts),
            input_tokens=self._input,
        )

    async def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of texts; in between, others may use the model."""
        tokens = list[list[int]]()
        for at in range(0, len(texts), _BATCH_SENTENCES):
            tokens += await self._device.encode(texts[at : at + _BATCH_SENTENCES])
        return tokens

    async def _kinds(self, tokens: Sequence[Sequence[int]], on_progress: Callable[[float], None]) -> list[Kinds]:
        kinds: list[Kinds] = []
        for batch in _batches(tokens):
            kinds += await self._kinds_of(batch)
            on_progress(len(kinds) / len(tokens))
        return kinds

    async def _kinds_of(self, texts: Sequence[Sequence[int]]) -> list[Kinds]:
        self._input += sum(map(len, texts))
        return self._told.of(await self._device.embed(self._request, texts))

    async def _instructing(self, names: Sequence[str]) -> set[str]:
        """Return the names that are none but speak to the model."""
        told = set[str]()
        for at in range(0, len(names), _BATCH_NAMES):
            asked = names[at : at + _BATCH_NAMES]
            kinds = await self._kinds_of(await self.encode(asked))
            told.update(name for name, kind in zip(asked, kinds, strict=True) if kind.instruction >= SET_ASIDE)
        return told

    async def _label_sizes(self, names: Sequence[str]) -> dict[str, int]:
        encoded = await self.encode([f"{name}: " for name in names])
        return {name: len(tokens) for name, tokens in zip(names, encoded, strict=True)}


def _without_names(sentences: tuple[Sentence, ...], names: set[str]) -> tuple[tuple[Sentence, ...], bool]:
    """Return the sentences without some names of speakers, and whether any had one."""
    if not names:
        return sentences, False
    return tuple(replace(each, speaker="") if each.speaker in names else each for each in sentences), True


def _sizes(
    sentences: Sequence[Sentence], tokens: Sequence[Sequence[int]], labels: dict[str, int], most: int
) -> Iterator[int]:
    turn: int | None = None
    for sentence, own in zip(sentences, tokens, strict=True):
        label = labels.get(sentence.speaker, 0) if sentence.turn != turn else 0
        turn = sentence.turn
        # The longest sentence of the longest name, in the rarest script, has more: there the instructions leave room.
        yield min(len(own) + _TOKENS_BESIDE + label, most)


def _batches(texts: Sequence[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
    """Yield texts, in order, that together have up to `_BATCH_TOKENS` tokens; one at least."""
    batch, size = list[Sequence[int]](), 0
    for text in texts:
        if batch and size + len(text) > _BATCH_TOKENS:
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch
