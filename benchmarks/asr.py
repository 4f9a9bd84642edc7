"""How fast, fair and truthful the asr service is, beside faster-whisper on the same weights in the same run.

    python benchmarks/asr.py [--only PART …] [--rounds N] [--data DIR] [--json FILE]

Starts the service alone on this machine's cores and calls it through gRPC. Parts: short, long, wer, latency, fair,
truth, same, memory. See README.md beside this file.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# Run as a script, Python looks for modules in this folder only.
sys.path[:0] = [str(ROOT), str(ROOT / "protos")]

from benchmarks.asr_service import Answer, AsrService, Word, running_asr  # noqa: E402 - needs the path above
from benchmarks.baselines import PlainWhisper  # noqa: E402
from benchmarks.recordings import Recording, manifest_recordings  # noqa: E402
from benchmarks.scoring import CHARACTER_LANGUAGES, Tally, Utterance, normaliser, word_errors  # noqa: E402
from benchmarks.tables import Cell, table  # noqa: E402
from services.audio.pcm import SAMPLE_BYTES, SAMPLE_RATE  # noqa: E402

DEFAULT_DATA = ROOT.parent / "shared" / "data" / "dev"
AT_ONCE = 8
SHORT_CLIPS = 16
SHORT_SECONDS = 5.0
COLLAR_SECONDS = 0.25


@dataclass
class Bench:
    """What all parts work with."""

    service: AsrService
    reference: PlainWhisper
    recordings: Sequence[Recording]
    rounds: int
    numbers: dict[str, Any] = field(default_factory=dict)
    """What goes into the JSON file."""

    def one(self, kind: str, longest: bool = True) -> Recording:
        """Return the longest, or shortest, recording of a kind."""
        return sorted((r for r in self.recordings if r.kind == kind), key=lambda r: r.duration)[-1 if longest else 0]

    def clips(self, language: str) -> list[Recording]:
        """Return the single clips of a language."""
        return [r for r in self.recordings if r.kind == "single" and r.language == language]


async def short(bench: Bench) -> str:
    """16 English clips, 8 at a time, against the same clips one after another."""
    clips = [r for r in bench.clips("en") if r.duration <= 28][:SHORT_CLIPS]
    pcm = [bench.reference.pcm(clip.path) for clip in clips]

    async def ours() -> None:
        await at_once(AT_ONCE, [lambda one=one: bench.service.recognize(one) for one in pcm])

    return await _compare(bench, f"{len(clips)} English clips, {AT_ONCE} at a time", "short", pcm, ours)


async def long(bench: Bench) -> str:
    """The longest conversation alone."""
    recording = bench.one("synthetic-conversation")
    pcm = [bench.reference.pcm(recording.path)]
    answers: list[Answer] = []

    async def ours() -> None:
        answers.append(await bench.service.recognize(pcm[0]))

    report = await _compare(bench, f"{recording.id} alone", "long", pcm, ours)
    first = statistics.median(answer.first_seconds or 0.0 for answer in answers)
    bench.numbers["long"]["first_segment_seconds"] = first
    return f"{report}\nfirst segment after {first:.1f} s"


async def _compare(
    bench: Bench, title: str, name: str, pcm: Sequence[bytes], ours: Callable[[], Awaitable[None]]
) -> str:
    audio = sum(seconds_of(one) for one in pcm)
    ways: dict[str, Callable[[], Awaitable[None]]] = {
        "asr": ours,
        "sequential": lambda: asyncio.to_thread(lambda: [bench.reference.sequential(one) for one in pcm]),
        "batched": lambda: asyncio.to_thread(lambda: [bench.reference.batched(one) for one in pcm]),
    }
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(bench.rounds):
        for way, run in ways.items():
            began = time.monotonic()
            await run()
            taken[way].append(time.monotonic() - began)
    medians = {way: statistics.median(times) for way, times in taken.items()}
    bench.numbers[name] = {"audio_seconds": audio, "seconds": taken}
    rows: list[list[Cell]] = [
        [way, audio / seconds, seconds / medians["asr"], min(taken[way]), max(taken[way])]
        for way, seconds in medians.items()
    ]
    headers = ["way", "x real time", "asr is faster by", "least s", "most s"]
    return table(f"{title}: {audio:.0f} s of audio, medians of {bench.rounds}", headers, rows)


async def wer(bench: Bench) -> str:
    """Word errors of all single clips, by language, beside two references."""
    sums: dict[str, list[Tally]] = {}
    clips = [r for r in bench.recordings if r.kind == "single"]
    pcm = [bench.reference.pcm(clip.path) for clip in clips]
    answers = await at_once(
        AT_ONCE,
        [
            lambda one=one, clip=clip: bench.service.recognize(one, language_code=clip.language)
            for one, clip in zip(pcm, clips, strict=True)
        ],
    )
    for clip, one, answer in zip(clips, pcm, answers, strict=True):
        assert clip.language is not None
        texts = [
            answer.text,
            bench.reference.sequential(one, clip.language),
            bench.reference.one_window(one, clip.language),
        ]
        tallies = [word_errors(clip.transcript or "", text, clip.language) for text in texts]
        before = sums.setdefault(clip.language, [Tally()] * len(texts))
        sums[clip.language] = [old + new for old, new in zip(before, tallies, strict=True)]
    bench.numbers["wer"] = {language: [tally.rate for tally in tallies] for language, tallies in sums.items()}
    rows: list[list[Cell]] = [
        [
            language,
            "CER" if language in CHARACTER_LANGUAGES else "WER",
            tallies[0].length,
            *(tally.rate for tally in tallies),
            (tallies[0].rate or 0.0) - (tallies[1].rate or 0.0),
        ]
        for language, tallies in sorted(sums.items())
    ]
    headers = ["language", "score", "length", "asr %", "sequential %", "one 30 s window %", "points to sequential"]
    return table("Single clips", headers, rows)


async def latency(bench: Bench) -> str:
    """Five-second requests, idle and while the longest conversation is recognized."""
    long_pcm = bench.reference.pcm(bench.one("synthetic-conversation").path)
    clips = [
        bench.reference.pcm(r.path)[: int(SHORT_SECONDS * SAMPLE_RATE) * SAMPLE_BYTES]
        for r in bench.clips("en")
        if r.duration >= SHORT_SECONDS
    ][:20]
    idle = [(await bench.service.recognize(clip)).seconds for clip in clips]
    behind: list[float] = []
    for _ in range(bench.rounds):
        running = asyncio.create_task(bench.service.recognize(long_pcm))
        await asyncio.sleep(2.0)
        while not running.done() and len(behind) < 200:
            answer = await bench.service.recognize(clips[len(behind) % len(clips)])
            if not running.done():
                behind.append(answer.seconds)
            await asyncio.sleep(0.1)
        await running
    rows = [
        [
            name,
            len(times),
            statistics.median(times),
            percentile(times, 0.95),
            percentile(times, 0.95) / percentile(idle, 0.95),
        ]
        for name, times in (("idle", idle), ("behind a long one", behind))
    ]
    bench.numbers["latency"] = {"idle": idle, "behind": behind}
    return table(f"Requests of {SHORT_SECONDS:g} s", ["when", "requests", "median s", "p95 s", "p95 to idle p95"], rows)


async def fair(bench: Bench) -> str:
    """Eight callers of very different lengths at the same time."""
    whole = bench.reference.pcm(bench.one("synthetic-conversation").path)
    lengths = [5, 10, 20, 40, 80, 160, 320, 600]
    parts = [whole[: length * SAMPLE_RATE * SAMPLE_BYTES] for length in lengths]
    alone = [(await bench.service.recognize(part)).seconds for part in parts]
    together = await asyncio.gather(
        *(bench.service.recognize(part, caller=f"caller {number}") for number, part in enumerate(parts))
    )
    # With nobody favoured, who has `own` to do among n waits for no more than min(own, theirs) of each other.
    share = [sum(min(own, theirs) for theirs in alone) for own in alone]
    rows: list[list[Cell]] = [
        [seconds_of(part), own, fair_seconds, answer.seconds, answer.seconds / fair_seconds]
        for part, own, fair_seconds, answer in zip(parts, alone, share, together, strict=True)
    ]
    bench.numbers["fair"] = rows
    return table(
        "Eight callers at once", ["audio s", "alone s", "fair share s", "together s", "together to fair"], rows
    )


async def truth(bench: Bench) -> str:
    """Invented words, words outside their utterances, and drift over two hours."""
    lines: list[str] = []
    for recording in bench.recordings:
        if recording.silent:
            answer = await bench.service.recognize(bench.reference.pcm(recording.path))
            lines.append(f"{recording.id}: {len(answer.words)} words, held back: {list(answer.suppressed)}")
    inside = total = 0
    for recording in bench.recordings:
        if recording.kind == "synthetic-conversation" and recording.utterances:
            answer = await bench.service.recognize(bench.reference.pcm(recording.path))
            own = own_utterances(answer.words, recording.utterances)
            found = sum(lies_in(word, utterance) for word, utterance in own)
            somewhere = sum(any(lies_in(word, spoken) for spoken in recording.utterances) for word in answer.words)
            lines.append(
                f"{recording.id}: {found} of {len(own)} recognized words in their own utterance ± {COLLAR_SECONDS} s, "
                f"{somewhere} of all {len(answer.words)} in one"
            )
            inside, total = inside + found, total + len(own)
    lines.append(f"all: {inside} of {total} words in their own utterance, {100 * inside / max(total, 1):.2f} %")
    bench.numbers["truth"] = {"words": total, "inside": inside}
    return "\n".join(["", "Truth", *lines, await _drift(bench)])


async def _drift(bench: Bench) -> str:
    recording = bench.one("synthetic-conversation", longest=False)
    pcm = bench.reference.pcm(recording.path)
    length = seconds_of(pcm)
    count = int(7200 // length)
    answer = await bench.service.recognize(pcm * count)
    times = [moment for word in answer.words for moment in (word.start, word.end)]

    def starts_in(number: int) -> list[float]:
        inside = (word.start - number * length for word in answer.words)
        return [round(start, 2) for start in inside if 0 <= start < length]

    first, last = starts_in(0), starts_in(count - 1)
    off = [min(abs(start - other) for other in first) for start in last]
    bench.numbers["drift"] = {"first": first, "last": last}
    return (
        f"{count} times {recording.id}: {len(answer.words)} words, times never run back: {times == sorted(times)}; "
        f"first {len(first)} words, last {len(last)}, each within {max(off):.2f} s of one of the first; "
        f"median {statistics.median(off):.3f} s; at {count * length / answer.seconds:.1f} x real time"
    )


async def same(bench: Bench) -> str:
    """The same request alone and among seven others, to the bit."""
    pcm = [bench.reference.pcm(r.path) for r in bench.recordings if r.kind == "synthetic-conversation"][:AT_ONCE]
    alone = [await bench.service.recognize(one) for one in pcm]
    together = await asyncio.gather(*(bench.service.recognize(one) for one in pcm))
    equal = sum(a.raw == b.raw for a, b in zip(alone, together, strict=True))
    bench.numbers["same"] = {"requests": len(pcm), "equal": equal}
    return f"\n{equal} of {len(pcm)} answers are the same to the bit alone and among the others"


async def memory(bench: Bench) -> str:
    """300 requests in a row."""
    clips = [bench.reference.pcm(r.path) for r in bench.recordings if r.kind == "single"]
    marks: dict[int, int] = {}
    for number in range(1, 301):
        await bench.service.recognize(clips[number % len(clips)])
        if number in (30, 100, 200, 300):
            marks[number] = bench.service.resident_bytes()
    bench.numbers["memory"] = marks
    shown = ", ".join(f"{number}: {held / 2**20:.0f} MiB" for number, held in marks.items())
    return f"\nMemory after requests {shown}; end to first 30: {marks[300] / marks[30]:.3f}"


PARTS: dict[str, Callable[[Bench], Awaitable[str]]] = {
    part.__name__: part for part in (short, long, wer, latency, fair, truth, same, memory)
}


async def at_once(limit: int, calls: Sequence[Callable[[], Awaitable[Any]]]) -> list[Any]:
    """Make the calls, at most `limit` at a time; return their results in order."""
    places = asyncio.Semaphore(limit)

    async def one(call: Callable[[], Awaitable[Any]]) -> Any:
        async with places:
            return await call()

    return await asyncio.gather(*map(one, calls))


def seconds_of(pcm: bytes) -> float:
    """Return how long PCM lasts."""
    return len(pcm) / (SAMPLE_RATE * SAMPLE_BYTES)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that at least `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def own_utterances(words: Sequence[Word], spoken: Sequence[Utterance]) -> list[tuple[Word, Utterance]]:
    """Return the words that were really said, each with the utterance that it belongs to.

    Found by the longest common subsequences of what was heard and what was said, in the order of time.
    """
    normalise = normaliser(None)
    said = [
        (token, utterance)
        for utterance in sorted(spoken, key=lambda one: one.start)
        for token in normalise(utterance.words).split()
    ]
    heard = [(token, word) for word in words for token in normalise(word.text).split()]
    matcher = SequenceMatcher(None, [token for token, _ in heard], [token for token, _ in said], autojunk=False)
    return [
        (heard[block.a + place][1], said[block.b + place][1])
        for block in matcher.get_matching_blocks()
        for place in range(block.size)
    ]


def lies_in(word: Word, spoken: Utterance) -> bool:
    """Return whether a word lies in an utterance and its collar."""
    return spoken.start - COLLAR_SECONDS <= word.start and word.end <= spoken.end + COLLAR_SECONDS


async def run(options: argparse.Namespace) -> int:
    reference = PlainWhisper(options.model, options.compute_type)
    recordings = manifest_recordings(options.data)
    async with running_asr(models=options.model, compute_type=options.compute_type) as service:
        bench = Bench(service, reference, recordings, options.rounds)
        for name in options.only or PARTS:
            print(await PARTS[name](bench), flush=True)
    if options.json:
        options.json.write_text(json.dumps(bench.numbers, indent=1) + "\n", encoding="utf-8")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), help="run these parts only")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions of what is timed")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder with manifest.json")
    parser.add_argument("--model", default="base")
    parser.add_argument("--compute-type", default="int8")
    parser.add_argument("--json", type=Path, help="write all numbers there")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {options.model} {options.compute_type}")
    return asyncio.run(run(options))


if __name__ == "__main__":
    sys.exit(main())
