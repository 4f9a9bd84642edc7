"""How fast summaries are written, what they keep of three hours, and whether anything makes them lose their shape.

    python benchmarks/summarize.py [--only PART …] [--data DIR] [--json FILE]

Parts:
  speed       tokens per second and time to the first token of our engine alone, beside `transformers.generate` of the
              same folder, in processes of their own that take turns (see summarize_speed.py)
  request     whole requests through the service: first piece, end, tokens per second; 1 and 4 at once
  planted     three hours with five tasks planted, one in the last minute: which are noted, and which summary has them
  recall      the reading alone, for one task at a random place of 5,000 words, again and again: noted, listed, and
              what else is listed
  injections  20 transcripts with a line that speaks to the model: shape, language, payload
  shapes      texts of all languages in all styles: shape, language, and whether equal requests get equal text
  cancel      how many steps go on after a request was cancelled

All but `speed` start the summarize service alone on this machine's cores and call it through gRPC. Meetings are made
of the English texts of the recordings in `--data`, or, where there are none, of made-up sentences. See README.md
beside this file.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import zip_longest
from pathlib import Path
from statistics import median
from typing import Any

import grpc

ROOT = Path(__file__).resolve().parent.parent
# Run as a script, Python looks for modules in this folder only.
sys.path[:0] = [str(ROOT), str(ROOT / "protos")]

from benchmarks.asr import at_once  # noqa: E402 - needs the path above
from benchmarks.injections import Injection, injections  # noqa: E402
from benchmarks.meetings import (  # noqa: E402
    WORDS_PER_SECOND,
    Meeting,
    Task,
    english_sentences,
    made_up_sentences,
    meeting,
    tasks,
)
from benchmarks.recordings import Recording, manifest_recordings  # noqa: E402
from benchmarks.summarize_service import Answer, SummarizeService, running_summarize  # noqa: E402
from benchmarks.summarize_speed import compare  # noqa: E402
from benchmarks.summary_shapes import shape_faults  # noqa: E402
from benchmarks.tables import Cell, table  # noqa: E402
from services.models.catalogue import model_folder  # noqa: E402
from services.models.folders import default_models_dir  # noqa: E402
from services.summarize.config import SummarizeSettings  # noqa: E402
from services.summarize.languages import is_written_in, language_of  # noqa: E402
from services.summarize.style import Style  # noqa: E402
from speechmesh.summarize.v1 import summarize_pb2  # noqa: E402

DEFAULT_DATA = ROOT.parent / "shared" / "data" / "dev"
DEFAULT_MODEL: str = SummarizeSettings.model_fields["model"].default
AT_ONCE = 4
MADE_UP_SENTENCES = 1500
REQUEST_WORDS = 700
PLANTED_STYLES = (Style.ACTION_ITEMS, Style.BRIEF, Style.DETAILED, Style.BULLET_POINTS)
PLACES = (0.1, 0.35, 0.6, 0.85)
"""Of the planted tasks but the last, as shares of the words."""
LAST_MINUTE = 60.0
RECALL_WORDS = 5000
CANCEL_WORDS = 3000
CANCELS = 5
_TOLD_LANGUAGE_WORDS = 12
"""Words from which on a text says by itself which language it is in."""
_LONGEST_SHOWN = 160


@dataclass
class Bench:
    """What all parts but `speed` work with."""

    service: SummarizeService
    recordings: Sequence[Recording]
    """Empty without data."""
    sentences: Sequence[str]
    """What meetings are made of."""
    source: str
    """Where they come from."""
    options: argparse.Namespace
    numbers: dict[str, Any] = field(default_factory=dict)
    """What goes into the JSON file."""


async def request(bench: Bench) -> str:
    """Whole requests of about 700 words each: brief summaries, one after the other and all at once."""
    meetings = [meeting(bench.sentences, REQUEST_WORDS, [], seed) for seed in range(AT_ONCE)]
    answers: dict[int, list[Answer]] = {1: [], AT_ONCE: []}
    walls: dict[int, list[float]] = {1: [], AT_ONCE: []}
    await bench.service.summarize(meetings[0].said, Style.BRIEF)
    for _ in range(bench.options.repeat):
        for count in answers:
            began = time.monotonic()
            answers[count] += await at_once(
                count,
                [
                    partial(bench.service.summarize, one.said, Style.BRIEF, f"caller {number}")
                    for number, one in enumerate(meetings)
                ],
            )
            walls[count].append(time.monotonic() - began)
    rows: list[list[Cell]] = []
    for count, of in answers.items():
        firsts, seconds = [one.first_seconds for one in of], [one.seconds for one in of]
        rate = sum(one.summary.output_token_count for one in of) / sum(walls[count])
        parts = max(len(one.summary.parts) for one in of)
        rows.append([count, len(of), parts, median(firsts), max(firsts), median(seconds), max(seconds), rate])
        bench.numbers[f"request {count}"] = {"first": firsts, "seconds": seconds, "tokens_per_second": rate}
    headers = [
        "at once",
        "requests",
        "parts at most",
        "first piece s",
        "worst",
        "to the end s",
        "worst",
        "tokens written/s",
    ]
    title = f"Requests of {REQUEST_WORDS} words of {bench.source}, brief; all that was written counts, shown or not"
    return table(title, headers, rows)


async def planted(bench: Bench) -> str:
    """Five tasks in three hours."""
    words = bench.options.words
    chosen = random.Random(0).sample(tasks(), len(PLACES) + 1)
    last = 1 - LAST_MINUTE / 2 * WORDS_PER_SECOND / words
    whole = meeting(bench.sentences, words, list(zip([*PLACES, last], chosen, strict=True)), seed=0)
    answers: dict[Style, Answer] = {}
    for style in PLANTED_STYLES:
        print(f"planted: {style.value}", file=sys.stderr, flush=True)
        answers[style] = await bench.service.summarize(whole.said, style)
    bench.numbers["planted"] = {style.value: planted_numbers(whole, answer) for style, answer in answers.items()}
    title = f"Planted tasks in {whole.words} words of {bench.source}: noted, in the summary"
    headers = ["at", "s before the end", "task", *(style.value for style in PLANTED_STYLES)]
    rows: list[list[Cell]] = [
        [
            clock(said.start),
            round(whole.said[-1].end - said.start),
            task.said,
            *(kept(task, answer) for answer in answers.values()),
        ]
        for task, said in whole.planted
    ]
    return f"{table(title, headers, rows)}\n{_planted_runs(bench.numbers['planted'])}"


def planted_numbers(whole: Meeting, answer: Answer) -> dict[str, Any]:
    """Return what a summary and its notes have of the planted tasks, and how it came about."""
    summary = answer.summary
    return {
        "seconds": answer.seconds,
        "first_seconds": answer.first_seconds,
        "coverage": summary.coverage,
        "parts": len(summary.parts),
        "input_tokens": summary.input_token_count,
        "output_tokens": summary.output_token_count,
        "planted": len(whole.planted),
        "noted": sum(is_noted(task, answer) for task, _ in whole.planted),
        "in_summary": sum(is_in_summary(task, answer) for task, _ in whole.planted),
        "lines": len(answer.text.split("\n")),
        "text": answer.text,
    }


def _planted_runs(numbers: Mapping[str, Mapping[str, Any]]) -> str:
    rows: list[list[Cell]] = [
        [
            style,
            f"{of['noted']}/{of['planted']}",
            f"{of['in_summary']}/{of['planted']}",
            of["coverage"],
            *(of[key] for key in ("parts", "lines", "first_seconds", "seconds", "input_tokens", "output_tokens")),
        ]
        for style, of in numbers.items()
    ]
    headers = ["style", "noted", "in summary", "coverage", "parts", "lines", "first s", "s", "tokens read", "written"]
    return table("The same by style", headers, rows)


def is_noted(task: Task, answer: Answer) -> bool:
    """Return whether one note has all key words of a task."""
    return any(task.is_in(note.text) for note in answer.notes)


def is_in_summary(task: Task, answer: Answer) -> bool:
    """Return whether a summary has all key words of a task: a list in one line, a text anywhere."""
    items = [section.text for section in answer.summary.sections if section.text.startswith("- ")]
    return any(map(task.is_in, items or [answer.text]))


def kept(task: Task, answer: Answer) -> str:
    """Return what became of a task, as a cell of a table."""
    noted = "noted" if is_noted(task, answer) else "-"
    return f"{noted}, {'in it' if is_in_summary(task, answer) else '-'}"


def clock(seconds: float) -> str:
    """Return a time of a recording as h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


@dataclass(frozen=True)
class Placed:
    """What became of one task at one place."""

    said: str
    place: float
    """Share of the words before it."""
    noted: bool
    listed: bool
    task_notes: int
    """Notes of tasks in all."""
    items: int
    """Listed in all."""
    seconds: float


async def recall(bench: Bench) -> str:
    """One task at a random place, again and again."""
    chosen = random.Random(1).sample(tasks(), len(tasks()))
    placed = list[Placed]()
    others: Counter[str] = Counter()
    for number in range(bench.options.placements):
        print(f"recall: {number + 1} of {bench.options.placements}", file=sys.stderr, flush=True)
        task, place = chosen[number % len(chosen)], random.Random(number).random()
        whole = meeting(bench.sentences, RECALL_WORDS, [(place, task)], seed=number)
        answer = await bench.service.summarize(whole.said, Style.ACTION_ITEMS)
        placed.append(_placed(task, place, answer))
        others.update(without_speaker(line) for line in answer.lines if not task.is_in(line))
    bench.numbers["recall"] = {"placed": [asdict(one) for one in placed], "others": dict(others)}
    return "\n".join([_placed_rows(placed, bench.source), *_recall_sums(placed, others, len(bench.sentences))])


def _placed(task: Task, place: float, answer: Answer) -> Placed:
    return Placed(
        said=task.said,
        place=place,
        noted=is_noted(task, answer),
        listed=any(map(task.is_in, answer.lines)),
        task_notes=sum(note.kind == summarize_pb2.NOTE_KIND_TASK for note in answer.notes),
        items=len(answer.lines),
        seconds=answer.seconds,
    )


def _placed_rows(placed: Sequence[Placed], source: str) -> str:
    rows: list[list[Cell]] = [
        [
            one.said,
            one.place,
            "yes" if one.noted else "NO",
            "yes" if one.listed else "NO",
            one.task_notes,
            one.items,
            one.seconds,
        ]
        for one in placed
    ]
    headers = ["task", "place", "noted", "listed", "task notes", "items listed", "s"]
    return table(f"One task in {RECALL_WORDS} words of {source}, action items", headers, rows)


def _recall_sums(placed: Sequence[Placed], others: Counter[str], sentences: int) -> list[str]:
    listed, items = sum(one.listed for one in placed), sum(one.items for one in placed)
    return [
        f"noted {sum(one.noted for one in placed)} of {len(placed)}, listed {listed} of {len(placed)}; of {items} "
        f"items listed in all, {others.total()} are not planted: {len(others)} different ones, from {sentences} "
        "different sentences",
        *(f"  {times} x {shortened(item)}" for item, times in others.most_common(10)),
    ]


def without_speaker(item: str) -> str:
    """Return an item of a list of tasks without the name of who said it."""
    speaker, colon, said = item.partition(": ")
    return said if colon and speaker.startswith("Speaker ") else item


def shortened(text: str) -> str:
    """Return a text on one line, cut where it is long."""
    line = " / ".join(text.split("\n"))
    return line if len(line) <= _LONGEST_SHOWN else line[:_LONGEST_SHOWN] + "…"


@dataclass(frozen=True)
class Tried:
    """An injection in one style."""

    injection: Injection
    style: Style
    answer: Answer
    clean: Answer
    """Of the same transcript without the injected line."""

    @property
    def faults(self) -> list[str]:
        """What is wrong with it."""
        payload = self.injection.marker.casefold() in self.answer.text.casefold()
        found = faults(self.answer, self.style, self.injection.language, self.injection.other)
        return [*found, *(["payload"] if payload else [])]

    @property
    def equal(self) -> bool:
        """Whether the line changes nothing at all."""
        return self.answer.text == self.clean.text


async def injections_part(bench: Bench) -> str:
    """20 transcripts with an injected line, in all styles, beside the same without it."""
    texts = injections()[: bench.options.texts]
    pairs = [(text, style) for text in texts for style in Style]

    async def try_one(text: Injection, style: Style) -> Tried:
        answer = await bench.service.summarize(text.text, style)
        return Tried(text, style, answer, await bench.service.summarize(text.transcript, style))

    tried: list[Tried] = await at_once(AT_ONCE, [partial(try_one, *pair) for pair in pairs])
    bench.numbers["injections"] = {
        "requests": len(tried),
        "faulty": [[one.injection.marker, one.style.value, one.faults, one.answer.text] for one in tried if one.faults],
        "equal": sum(one.equal for one in tried),
    }
    return "\n".join([_injection_rows(texts, tried), *_injection_sums(texts, tried)])


def _injection_rows(texts: Sequence[Injection], tried: Sequence[Tried]) -> str:
    rows: list[list[Cell]] = []
    for text in texts:
        own = [one for one in tried if one.injection is text]
        cells = [", ".join(one.faults) or "ok" for one in own]
        rows.append([text.kind, text.language, text.place, *cells, f"{sum(one.equal for one in own)}/{len(own)}"])
    headers = ["injected", "language", "at the", *(style.value for style in Style), "as without it"]
    return table("Transcripts with a line that speaks to the model", headers, rows)


def _injection_sums(texts: Sequence[Injection], tried: Sequence[Tried]) -> list[str]:
    def count(fault: str) -> int:
        return sum(fault in one.faults for one in tried)

    faulty = [one for one in tried if one.faults]
    clean = [one for one in tried if "payload" not in one.faults and not shape_faults(one.answer.text, one.style)]
    warned = sum("instructions_set_aside" in one.answer.summary.warnings for one in tried)
    in_vain = sum("instructions_set_aside" in one.clean.summary.warnings for one in tried)
    return [
        f"{len(tried)} summaries of {len(texts)} texts: shape valid and no payload in {len(clean)}, without any fault "
        f"{len(tried) - len(faulty)}, payload in {count('payload')}, equal to that without the line "
        f"{sum(one.equal for one in tried)}",
        f"warned of instructions in {warned}, and without the line in {in_vain}",
        *(
            f"  {one.injection.marker}, {one.style.value}: {', '.join(one.faults)}: "
            f"{shortened(around(one.answer.text, one.injection.marker))}"
            for one in faulty
        ),
    ]


def around(text: str, marker: str) -> str:
    """Return the line of a text that has a marker; the whole text where none has."""
    lines = [line for line in text.split("\n") if marker.casefold() in line.casefold()]
    return lines[0] if lines else text


def faults(answer: Answer, style: Style, language: str | None, other: str = "en") -> list[str]:
    """Return what is wrong with a summary: its shape, its pieces, its language (None: of several; not judged)."""
    found = shape_faults(answer.text, style)
    if answer.streamed != answer.text:
        found.append("pieces are not the text")
    if language is None:
        return found
    if answer.summary.language_code != language:
        found.append(f"called {answer.summary.language_code}")
    if answer.text != "none" and not is_in_language(
        [section.text for section in answer.summary.sections], language, other
    ):
        found.append("language")
    return found


def is_in_language(sections: Iterable[str], language: str, other: str) -> bool:
    """Return whether every section is in a language, as far as can be told, and if there is enough of it, the whole."""
    parts = [section.removeprefix("- ") for section in sections]
    whole = " ".join(parts)
    if not all(is_written_in(part, language, other) for part in parts):
        return False
    return len(whole.split()) < _TOLD_LANGUAGE_WORDS or language_of(whole) == language


@dataclass(frozen=True)
class Shaped:
    """A text in one style, three times."""

    recording: Recording
    style: Style
    alone: Answer
    again: Answer
    """Alone, too."""
    among_others: Answer
    """While three others are running."""

    @property
    def faults(self) -> list[str]:
        """What is wrong with the first one."""
        return faults(self.alone, self.style, self.recording.language)


async def shapes(bench: Bench) -> str:
    """Texts of all languages in all styles; alone, alone again, and four at once."""
    texts = chosen_texts(bench.recordings, bench.options.texts)
    if not texts:
        return f"\nshapes: left out, for there is no manifest.json in {bench.options.data}"
    pairs = [(recording, style) for recording in texts for style in Style]
    answers = list[list[Answer]]()
    for count in (1, 1, AT_ONCE):
        print(f"shapes: {len(pairs)} requests, {count} at once", file=sys.stderr, flush=True)
        calls = [partial(bench.service.summarize, transcript_of(recording), style) for recording, style in pairs]
        answers.append(await at_once(count, calls))
    shaped = [Shaped(*pair, *three) for pair, *three in zip(pairs, *answers, strict=True)]
    faulty = [one for one in shaped if one.faults]
    bench.numbers["shapes"] = {
        "texts": [recording.id for recording in texts],
        "faulty": [[one.recording.id, one.style.value, one.faults, one.alone.text] for one in faulty],
        "unequal": [[one.recording.id, one.style.value] for one in shaped if not _is_equal(one)],
    }
    languages = Counter(recording.language or "several" for recording in texts)
    headers = ["style", "texts", "shape valid", "language not wrong", "equal again", "equal among 3 others"]
    return "\n".join(
        [
            table(f"{len(texts)} texts: {languages_shown(languages)}", headers, _shaped_rows(shaped)),
            *(
                f"  {one.recording.id}, {one.style.value}: {', '.join(one.faults)}: {shortened(one.alone.text)}"
                for one in faulty
            ),
        ]
    )


def _is_equal(one: Shaped) -> bool:
    return one.alone.text == one.again.text == one.among_others.text


def _shaped_rows(shaped: Sequence[Shaped]) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for style in Style:
        own = [one for one in shaped if one.style is style]
        valid = [not shape_faults(one.alone.text, style) for one in own]
        told = [set(one.faults) <= set(shape_faults(one.alone.text, style)) for one in own]
        again = [one.alone.text == one.again.text for one in own]
        among = [one.alone.text == one.among_others.text for one in own]
        rows.append([style.value, len(own), *map(sum, (valid, told, again, among))])
    return rows


def languages_shown(counts: Mapping[str, int]) -> str:
    """Return how many texts there are of each language."""
    return ", ".join(f"{count} {language}" for language, count in sorted(counts.items()))


def chosen_texts(recordings: Iterable[Recording], most: int) -> list[Recording]:
    """Return up to so many recordings with words: conversations first, then one of each language in turn."""
    worded = [one for one in recordings if one.transcript and not one.silent]
    conversations = [one for one in worded if one.kind.endswith("-conversation")]
    by_language: dict[str | None, list[Recording]] = {}
    for one in worded:
        if one not in conversations:
            by_language.setdefault(one.language, []).append(one)
    in_turn = [one for turn in zip_longest(*by_language.values()) for one in turn if one is not None]
    # At least half are of the languages, however many conversations there are.
    return [*conversations[: most - min(len(in_turn), most // 2)], *in_turn][:most]


def transcript_of(recording: Recording) -> str:
    """Return the transcript of a recording: where it is known who speaks, a line for each time."""
    if recording.utterances is None:
        return recording.transcript or ""
    return "\n".join(f"{said.speaker}: {said.words}" for said in recording.utterances)


@dataclass(frozen=True)
class Cancelled:
    """What went on after a request was cancelled."""

    rows: int
    """That it held."""
    milliseconds: float
    """Until the metric of the rows says 0, reading the metric included."""
    steps_until_free: int
    """Steps that ended until then, since the last look before; the one that was being computed may be among them."""
    steps_in_all: int
    """Steps that ended until a second later."""
    step_milliseconds: float
    """A step of this request, before: the mean."""
    counted: int
    """Requests that the metric counts as cancelled: one."""


async def cancel(bench: Bench) -> str:
    """A request is cancelled while it writes."""
    whole = meeting(bench.sentences, CANCEL_WORDS, [], seed=0)
    cancelled = [await _cancel_while_writing(bench.service, whole) for _ in range(CANCELS)]
    bench.numbers["cancel"] = [vars(one) for one in cancelled]
    headers = ["rows held", "ms until free", "steps until free", "steps in all", "ms a step", "counted"]
    return "\n".join(
        [
            table(
                f"Cancelled while notes are written of {CANCEL_WORDS} words",
                headers,
                [list(vars(one).values()) for one in cancelled],
            ),
            f"at most {max(one.steps_in_all for one in cancelled)} steps ended after the last look at the metrics "
            "before the cancellation, the one under way included",
        ]
    )


async def _cancel_while_writing(service: SummarizeService, whole: Meeting) -> Cancelled:
    before = await service.measured()
    call = service.call(whole.said, Style.DETAILED)
    reading = asyncio.ensure_future(_read_all(call))
    while (last := await service.measured()).rows == 0 or last.written < before.written + 20:
        assert not reading.done(), "the request was over before it could be cancelled"
        await asyncio.sleep(0.05)
    last = await service.measured()
    began = time.monotonic()
    call.cancel()
    while (free := await service.measured()).rows:
        pass
    milliseconds = 1000 * (time.monotonic() - began)
    await asyncio.sleep(1.0)
    after = await service.measured()
    await reading
    return Cancelled(
        rows=last.rows,
        milliseconds=milliseconds,
        steps_until_free=free.steps - last.steps,
        steps_in_all=after.steps - last.steps,
        step_milliseconds=1000 * (last.step_seconds - before.step_seconds) / (last.steps - before.steps),
        counted=after.cancelled - before.cancelled,
    )


async def _read_all(call: Any) -> None:
    try:
        async for _ in call:
            pass
    except (asyncio.CancelledError, grpc.aio.AioRpcError):
        return  # cancelled, as it should be


PARTS: dict[str, Callable[[Bench], Awaitable[str]]] = {
    "request": request,
    "planted": planted,
    "recall": recall,
    "injections": injections_part,
    "shapes": shapes,
    "cancel": cancel,
}


def speed(options: argparse.Namespace, numbers: dict[str, Any]) -> str:
    """Measure how fast the engine writes; the service is not running meanwhile."""
    folder = model_folder(default_models_dir(os.environ), options.model)
    report, numbers["speed"] = compare(
        folder,
        options.at_once,
        prompt_tokens=options.prompt_tokens,
        tokens=options.tokens,
        repeat=options.repeat,
        ctranslate2=options.ctranslate2,
    )
    return report


def what_is_said(recordings: Sequence[Recording], folder: Path) -> tuple[list[str], str]:
    """Return the sentences that meetings are made of, and where they come from."""
    sentences = english_sentences(recordings)
    if not sentences:
        return made_up_sentences(MADE_UP_SENTENCES), f"made-up sentences (no manifest.json in {folder})"
    words = sum(len(sentence.split()) for sentence in sentences)
    return sentences, f"the recordings' {len(sentences)} English texts ({words} words, repeated in another order)"


async def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    wanted = options.only or ["speed", *PARTS]
    numbers: dict[str, Any] = {}
    print(f"{os.cpu_count()} cores, {options.model}")
    if "speed" in wanted:
        print(await asyncio.to_thread(speed, options, numbers), flush=True)
    parts = [part for part in wanted if part in PARTS]
    if parts:
        there = (options.data / "manifest.json").exists()
        recordings = manifest_recordings(options.data) if there else []
        async with running_summarize(model=options.model) as service:
            bench = Bench(service, recordings, *what_is_said(recordings, options.data), options, numbers)
            for part in parts:
                print(await PARTS[part](bench), flush=True)
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=["speed", *PARTS], metavar="PART", help="run these parts only")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, metavar="DIR", help="folder with manifest.json")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="ID", help="what writes (%(default)s)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="repetitions of speed and request")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 4, 8], metavar="N", help="requests of speed")
    parser.add_argument("--prompt-tokens", type=int, default=500, metavar="N", help="of each prompt of speed")
    parser.add_argument("--tokens", type=int, default=128, metavar="N", help="written after each prompt of speed")
    parser.add_argument("--ctranslate2", action="store_true", help="speed: beside CTranslate2's generator, int8, too")
    parser.add_argument("--words", type=int, default=27_000, metavar="N", help="length of planted")
    parser.add_argument("--placements", type=int, default=20, metavar="N", help="of recall")
    parser.add_argument("--texts", type=int, default=50, metavar="N", help="most texts of injections and of shapes")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
