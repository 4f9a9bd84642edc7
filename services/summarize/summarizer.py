"""One transcript's way to its summary: read all of it, note what is said part by part, write.

Reading gives every sentence a vector, which tells the tasks and what speaks to the model (`sentence_kinds`). A
transcript that fits is then summed up at once; a longer one is cut into equal parts, notes are written of all of
them side by side, and the notes are summed up, or first made fewer where they do not fit either (map and reduce;
chapters beat truncation: Laskar et al. 2023). The long styles are written part by part to the end, so that the
last minute of three hours has as good a chance as the first. Tasks are not left to the model's pen: each
sentence that gives one is listed, shortened by the model only where nothing is lost.

Everything that the model writes is judged before it counts (`judging`); where it writes nothing that may stay,
the sentences that say most are quoted instead.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from services.runtime.callers import turns_of
from services.runtime.errors import Fault, MeshError
from services.runtime.fair_queue import Request
from services.summarize import prompts
from services.summarize.draft import Draft
from services.summarize.faithfulness import Evidence
from services.summarize.judging import Distinct, Judge, different, is_same_task
from services.summarize.languages import is_written_in
from services.summarize.material import Material, quotations, saying_little, that_fit
from services.summarize.parts import Part, split_parts
from services.summarize.reading import MASK, Reader
from services.summarize.salience import SHORTEST
from services.summarize.style import Style
from services.summarize.summary import (
    INSTRUCTIONS_SET_ASIDE,
    LANGUAGE_NOT_WRITTEN,
    Note,
    NoteKind,
    PartNotes,
    Section,
    Summary,
    Wishes,
)
from services.text.spacing import UNSPACED_LANGUAGES

if TYPE_CHECKING:
    from services.summarize.device import Device
    from services.summarize.engine import Message
    from services.summarize.reading import Reading
    from services.summarize.sentence_kinds import SentenceKinds

MOST_TOKENS = {
    Style.BRIEF: 256,
    Style.DETAILED: 384,
    Style.ACTION_ITEMS: 96,
    Style.BULLET_POINTS: 320,
    Style.HEADLINE: 64,
}
"""Most tokens that are written at once. Scripts that the tokenizer hardly knows take three times those of English."""

INSTRUCTION_TOKENS = 512
"""Of a prompt, beside the text, and what the longest sentence of the longest name has over a part's limit."""

LONGEST_REST = INSTRUCTION_TOKENS + max(MOST_TOKENS.values())
"""What a row of the model holds beside a part."""

_MOST_UNITS = {Style.BRIEF: 3, Style.DETAILED: 10, Style.BULLET_POINTS: 8, Style.HEADLINE: 1}
_MOST_NOTES = 8
_MOST_GROUPS = {Style.DETAILED: 8, Style.BULLET_POINTS: 5}
_UNITS_OF_A_GROUP = {Style.DETAILED: 4, Style.BULLET_POINTS: 3}
_MOST_TASKS = 8
"""Tasks that are added to a summary that does not mention them; the list of tasks has all."""

_LONGEST_HEADLINE = 100
_NUMBER = re.compile(r"\d+")
_READ, _NOTED = 0.4, 0.9

_Done = TypeVar("_Done")

OnText = Callable[[str], None]
"""Takes the next piece of a summary."""
OnProgress = Callable[[float], None]
"""Takes the share of the work that is done."""


class Summarizer:
    """Sums up transcripts with one device.

    Args:
        device: the model and those who share it.
        kinds: tells tasks and instructions.
        part_tokens: most tokens of a part; with the instructions and what is written it fits the model's window.
    """

    def __init__(self, device: Device, kinds: SentenceKinds, part_tokens: int) -> None:
        if part_tokens + LONGEST_REST > device.model.window:
            raise MeshError(
                Fault.UNAVAILABLE,
                f"Parts of {part_tokens} tokens do not fit into the model's window of {device.model.window} tokens, "
                f"{LONGEST_REST} of which are needed beside them.",
            )
        self.device = device
        self._kinds = kinds
        self._part_tokens = part_tokens

    @property
    def model(self) -> str:
        """Id of the model that really runs."""
        return self.device.model.name

    async def summarize(self, wishes: Wishes, on_text: OnText, on_progress: OnProgress = lambda share: None) -> Summary:
        """Sum up a transcript; equal wishes give equal summaries. Cancelling frees what it holds of the device.

        Args:
            wishes: the transcript, and what is wanted.
            on_text: takes the summary piece by piece, none of them empty.
            on_progress: is told the share of the work that is done, 0 to 1.
        """
        request = Request(turns_of(wishes.caller))
        try:
            reader = Reader(self.device, self._kinds, request)
            reading = await reader.read(
                wishes.transcript, wishes.language, self._part_tokens, lambda share: on_progress(_READ * share)
            )
            writing = _Writing(self.device, request, reading, self._part_tokens)
            return await writing.summary(wishes.style, on_text, on_progress)
        finally:
            self.device.end(request)


class _Writing:
    """What is written for one request, once its transcript has been read."""

    def __init__(self, device: Device, request: Request, reading: Reading, part_tokens: int) -> None:
        self._device, self._model = device, device.model
        self._request = request
        self._reading = reading
        self._part_tokens = part_tokens
        self._parts = split_parts(reading.sizes, [sentence.turn for sentence in reading.sentences], part_tokens)
        self._at_once = len(self._parts) == 1
        self._source_language, self._language = reading.language, reading.written_language
        self._speakers = reading.speakers
        self._pieces = list[str]()
        self._input, self._output = reading.input_tokens, 0
        self._warnings = dict.fromkeys([INSTRUCTIONS_SET_ASIDE] if reading.set_aside or reading.names_aside else [])
        # One row is left to others, who then need not wait for the end of one of ours.
        self._places = asyncio.Semaphore(max(1, self._model.rows - 1))

    async def summary(self, style: Style, on_text: OnText, on_progress: OnProgress) -> Summary:
        """Write it."""
        self._style, self._on_text, self._on_progress = style, on_text, on_progress
        if style is Style.ACTION_ITEMS or self._at_once:
            noted = [PartNotes(part.tokens, tuple(self._reading.task_notes(part))) for part in self._parts]
        else:
            noted = await self._take_notes()
        sections = await self._write_sections([note for part in noted for note in part.notes])
        on_progress(1.0)
        return Summary(
            text="".join(self._pieces),
            language=self._language,
            sections=tuple(sections),
            parts=tuple(noted),
            coverage=self._coverage(),
            input_tokens=self._input,
            output_tokens=self._output,
            warnings=tuple(self._warnings),
        )

    async def _write_sections(self, notes: Sequence[Note]) -> list[Section]:
        if self._style is Style.ACTION_ITEMS:
            return await self._list_tasks()
        if self._at_once:
            return await self._sum_up_at_once()
        return await self._sum_up_notes(notes)

    def _coverage(self) -> float:
        sentences = self._reading.sentences
        read = (sentence for part in self._parts for sentence in sentences[part.first : part.end])
        return sum(len(sentence.text) for sentence in read) / sum(len(sentence.text) for sentence in sentences)

    # --- notes ---

    async def _take_notes(self) -> list[PartNotes]:
        done = 0

        async def take(part: Part) -> PartNotes:
            nonlocal done
            notes = await self._note(part)
            done += 1
            self._on_progress(_READ + (_NOTED - _READ) * done / len(self._parts))
            return PartNotes(part.tokens, tuple(notes))

        return await _all(take(part) for part in self._parts)

    async def _note(self, part: Part) -> list[Note]:
        # Not before there is a place for it: the prompts of three hours are not all made at once.
        async with self._places:
            return await self._note_at_once(part)

    async def _note_at_once(self, part: Part) -> list[Note]:
        material = await asyncio.to_thread(self._reading.material, part)
        judge = self._judge(material, uncopied=[])
        draft = Draft(Style.BULLET_POINTS, self._model.decode, judge.judge, _MOST_NOTES)
        points = await self._write(prompts.for_notes(material.text, self._source_language), draft, Style.BULLET_POINTS)
        if not points:
            points = quotations(material, Style.BULLET_POINTS)
        among = range(part.first, part.end)
        noted = list[Note]()
        for point in points:
            found = self._reading.finder.find(point, among)
            noted.append(Note(point, NoteKind.POINT, _around_best(found) or tuple(among)))
        noted.extend(self._reading.task_notes(part))
        return sorted(noted, key=lambda note: note.sentences[0])

    # --- writing ---

    async def _sum_up_at_once(self) -> list[Section]:
        material = await asyncio.to_thread(self._reading.material, self._parts[0])
        units = await self._compose(material, self._style, _MOST_UNITS[self._style], self._show_unit)
        sections = self._sections(units)
        if self._style in _MOST_GROUPS:
            sections += await self._unsaid_tasks(sections)
        return sections

    async def _sum_up_notes(self, notes: Sequence[Note]) -> list[Section]:
        if not notes:
            # All of it speaks to the model.
            self._show_unit(MASK)
            return self._sections([MASK])
        # What is in no note is in the transcript all the same: that is what names are looked for in.
        numbers = range(len(self._reading.sentences))
        self._evidence = await asyncio.to_thread(self._reading.evidence, numbers)
        if self._style in _MOST_GROUPS:
            return await self._sum_up_in_groups(notes)
        material = await self._fitting(notes)
        units = await self._compose(material, self._style, _MOST_UNITS[self._style], self._show_unit)
        return self._sections(units)

    async def _sum_up_in_groups(self, notes: Sequence[Note]) -> list[Section]:
        """Write a paragraph, or some lines, of every stretch of the transcript, in order."""
        tokens = await self._device.encode([note.text for note in notes])
        sizes = [len(written) + 3 for written in tokens]
        limit = max(max(sizes), -(-sum(sizes) // _MOST_GROUPS[self._style]))
        groups = split_parts(sizes, list(range(len(notes))), limit)

        async def write(group: Part) -> list[str]:
            material = await self._fitting(notes[group.first : group.end])
            return await self._compose(material, self._style, _UNITS_OF_A_GROUP[self._style])

        sections, distinct = list[Section](), Distinct()
        writing = [asyncio.ensure_future(write(group)) for group in groups]
        try:
            for group in writing:
                units = [unit for unit in await group if distinct.add(unit)]
                if self._style is Style.DETAILED:
                    units = [self._space.join(units)] if units else []
                for unit in units:
                    self._show_unit(unit)
                sections += self._sections(units)
            sections += await self._unsaid_tasks(sections)
        finally:
            await _ended(writing)
        return sections

    async def _unsaid_tasks(self, sections: Sequence[Section]) -> list[Section]:
        """Add the surest tasks that the summary does not mention: they are what is missed most."""
        mentioned = {number for section in sections for number in section.sentences}
        distinct = Distinct()
        for section in sections:
            distinct.add(section.text)
        listed = [number for number in self._reading.listed_tasks if number not in mentioned]
        unsaid = [number for number in listed if distinct.add(self._reading.said(number))]
        surest = sorted(unsaid, key=lambda number: -self._reading.tasks[number])[:_MOST_TASKS]
        added = list[Section]()
        for number in sorted(surest):
            async with self._places:
                unit = await self._in_wanted_language(self._reading.said(number))
            self._show_unit(unit)
            added.append(Section(f"- {unit}" if self._style.is_list else unit, (number,)))
        return added

    async def _fitting(self, notes: Sequence[Note]) -> Material:
        """Return notes that fit a prompt, made fewer by the model, and again, until they do."""
        texts = [note.text for note in notes]
        while True:
            tokens = await self._device.encode(texts)
            sizes = [min(len(written) + 3, self._part_tokens) for written in tokens]
            groups = split_parts(sizes, list(range(len(texts))), self._part_tokens)
            if len(groups) <= 1:
                return self._of_notes(texts, tokens)
            fewer = await _all(self._fewer(texts[g.first : g.end], tokens[g.first : g.end]) for g in groups)
            shorter = different([text for group in fewer for text in group])
            # Two notes, each nearly too long for a prompt: there the more telling one must do.
            texts = shorter if len(shorter) < len(texts) else that_fit(texts, tokens, sizes, self._part_tokens)

    async def _fewer(self, texts: Sequence[str], tokens: Sequence[Sequence[int]]) -> list[str]:
        """Return at most half as many notes that say most of what these say."""
        most = max(1, min(_MOST_NOTES, len(texts) // 2))
        return await self._compose(self._of_notes(texts, tokens), Style.BULLET_POINTS, most, translate=False)

    def _of_notes(self, texts: Sequence[str], tokens: Sequence[Sequence[int]]) -> Material:
        lines = "\n".join(f"- {text}" for text in texts)
        return Material(lines, tuple(texts), tuple(tokens), of_notes=True, evidence=self._evidence)

    async def _compose(
        self,
        material: Material,
        style: Style,
        most: int,
        show: Callable[[str], None] = lambda unit: None,
        *,
        translate: bool = True,
    ) -> list[str]:
        """Return up to `most` units that sum up `material`; where the model has none that may stay, quotations."""
        async with self._places:
            return await self._compose_at_once(material, style, most, show, translate=translate)

    async def _compose_at_once(
        self, material: Material, style: Style, most: int, show: Callable[[str], None], *, translate: bool
    ) -> list[str]:
        language = self._language if translate else self._source_language
        judge = self._judge(material, uncopied=saying_little(material), language=language, style=style)
        draft = Draft(style, self._model.decode, judge.judge, most, show)
        if sum(map(len, material.tokens)) >= SHORTEST:
            asked = prompts.for_summary(material.text, style, language, of_notes=material.of_notes)
            await self._write(asked, draft, style)
        if not draft.units:
            quoted = quotations(material, style) or [MASK]
            for unit in quoted[:most]:
                draft.units.append(await self._in_wanted_language(unit) if translate else unit)
                show(draft.units[-1])
        return draft.units

    def _judge(
        self, material: Material, uncopied: Iterable[str], language: str = "", style: Style = Style.BULLET_POINTS
    ) -> Judge:
        return Judge(
            material.evidence,
            language or self._source_language,
            self._source_language,
            speakers=self._speakers,
            uncopied=uncopied,
            longest=_LONGEST_HEADLINE if style is Style.HEADLINE else None,
        )

    async def _write(self, messages: Sequence[Message], draft: Draft, style: Style) -> list[str]:
        """Let the model write; in one of our places."""
        prompt = self._model.chat(messages)
        self._input += len(prompt)
        written = await self._device.write(self._request, prompt, MOST_TOKENS[style], draft.take)
        self._output += written.tokens
        return draft.finish(complete=written.complete)

    async def _in_wanted_language(self, text: str) -> str:
        """Return a quotation in the language that is wanted; as it is where the model cannot say it so.

        In one of our places.
        """
        if self._language == self._source_language or text == MASK:
            return text
        evidence = Evidence(text, self._source_language)

        def judge(unit: str) -> str | None:
            translated = is_written_in(unit, self._language, self._source_language) and unit != text
            kept = all(number in unit for number in _NUMBER.findall(text))
            return unit if translated and kept and not evidence.unsupported(unit, self._language) else None

        # A line of a list is judged whole, with all its sentences.
        draft = Draft(Style.BULLET_POINTS, self._model.decode, judge, 1)
        units = await self._write(prompts.for_translation(text, self._language), draft, Style.BULLET_POINTS)
        if not units:
            self._warnings[LANGUAGE_NOT_WRITTEN] = None
        return units[0] if units else text

    # --- tasks ---

    async def _list_tasks(self) -> list[Section]:
        numbers = self._reading.listed_tasks
        writing = [asyncio.ensure_future(self._item(number)) for number in numbers]
        sections, distinct = list[Section](), Distinct()
        try:
            for number, item in zip(numbers, writing, strict=True):
                text = await item
                if distinct.add(text):
                    self._show_unit(text)
                    sections.append(Section(f"- {text}", (number,)))
        finally:
            await _ended(writing)
        if not sections:
            self._show("none")
            return [Section("none", ())]
        return sections

    async def _item(self, number: int) -> str:
        """Return a task as it is listed: shortly, where the model can do so without losing anything."""
        async with self._places:
            return await self._item_at_once(self._reading.said(number))

    async def _item_at_once(self, said: str) -> str:
        if self._language != self._source_language:
            return await self._in_wanted_language(said)

        def judge(unit: str) -> str | None:
            return unit if is_same_task(said, unit, self._source_language) else None

        draft = Draft(Style.BULLET_POINTS, self._model.decode, judge, 1)
        units = await self._write(prompts.for_item(said), draft, Style.ACTION_ITEMS)
        return units[0] if units else said

    # --- showing ---

    @property
    def _space(self) -> str:
        return "" if self._language in UNSPACED_LANGUAGES else " "

    def _show_unit(self, unit: str) -> None:
        separator = {Style.BRIEF: self._space, Style.DETAILED: "\n\n"}.get(self._style, "\n")
        if self._style is Style.DETAILED and self._at_once:
            separator = self._space
        self._show((separator if self._pieces else "") + (f"- {unit}" if self._style.is_list else unit))

    def _show(self, piece: str) -> None:
        self._pieces.append(piece)
        self._on_text(piece)

    def _sections(self, units: Sequence[str]) -> list[Section]:
        dash = "- " if self._style.is_list else ""
        return [Section(dash + unit, tuple(self._reading.finder.find(unit))) for unit in units]


def _around_best(found: Sequence[int]) -> tuple[int, ...]:
    """Return the best of the sentences found, and those that stand right beside it."""
    if not found:
        return ()
    around = [found[0]]
    for number in sorted(found[1:], key=lambda number: abs(number - found[0])):
        if min(abs(number - near) for near in around) == 1:
            around.append(number)
    return tuple(sorted(around))


async def _all(work: Iterable[Awaitable[_Done]]) -> list[_Done]:
    """Return the results in order; where one fails, the others are ended first."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return [await task for task in tasks]
    finally:
        await _ended(tasks)


async def _ended(tasks: Sequence[asyncio.Future[_Done]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
