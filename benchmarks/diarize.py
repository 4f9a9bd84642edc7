"""How well and how fast speakers are told apart, beside pyannote.audio's own pipeline and whisperX's way with words.

    python benchmarks/diarize.py [--only PART …] [--data DIR] [--json FILE]

Starts the diarize service alone on this machine's cores and calls it through gRPC; the words are those of the asr
service. Parts: conversations, exact, single, long. See README.md beside this file.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
# Run as a script, Python looks for modules in this folder only.
sys.path[:0] = [str(ROOT), str(ROOT / "protos")]

from benchmarks.asr_service import running_asr  # noqa: E402 - needs the path above
from benchmarks.baselines import PlainPyannote, PlainWhisper, largest_overlap  # noqa: E402
from benchmarks.diarize_service import DiarizeService, Told, chunks, running_diarize  # noqa: E402
from benchmarks.recordings import Recording, manifest_recordings  # noqa: E402
from benchmarks.scoring import (  # noqa: E402
    Tally,
    Turns,
    Utterance,
    attributed_errors,
    timed_errors,
    turn_errors,
)
from benchmarks.tables import Cell, table  # noqa: E402
from services.audio.pcm import SAMPLE_BYTES, SAMPLE_RATE  # noqa: E402
from services.edge.clients import AsrClient  # noqa: E402
from services.edge.form import TranscribeOptions  # noqa: E402
from services.edge.merge import merge  # noqa: E402
from services.edge.tiers import Tier  # noqa: E402
from services.edge.transcript import Segment, joined  # noqa: E402

DEFAULT_DATA = ROOT.parent / "shared" / "data" / "dev"
CONVERSATIONS = ("real-conversation", "synthetic-conversation")
EXACT_SECONDS = 5.0
"""Speech of each speaker in a recording whose number of speakers must be met exactly."""
SINGLE_FILES = 20
SINGLE_SECONDS = 30.0
LONG_HOURS = 4
PAUSE_SECONDS = 0.4


@dataclass
class Bench:
    """What all parts work with."""

    service: DiarizeService
    recordings: Sequence[Recording]
    words: dict[str, tuple[Segment, ...]]
    """What asr heard, by recording."""
    numbers: dict[str, Any] = field(default_factory=dict)
    """What goes into the JSON file."""

    def conversations(self) -> list[Recording]:
        """Return the recordings of which it is known who spoke when, and the one in which nobody does."""
        return [r for r in self.recordings if r.turns is not None]


@dataclass
class Side:
    """The scores of one way of doing it; they add up over recordings."""

    seconds: float = 0.0
    audio: float = 0.0
    strict: Turns = field(default_factory=Turns)
    lenient: Turns = field(default_factory=Turns)
    right: int = 0
    off: int = 0
    """Speakers too many or too few, summed."""

    def add(self, recording: Recording, turns: Sequence[Utterance], seconds: float) -> None:
        """Score one recording."""
        assert recording.turns is not None
        found = len({turn.speaker for turn in turns})
        self.seconds += seconds
        self.audio += recording.duration
        self.strict += turn_errors(recording.turns, turns, recording.duration)
        self.lenient += turn_errors(recording.turns, turns, recording.duration, collar=0.25)
        self.right += found == recording.speaker_count
        self.off += abs(found - recording.speaker_count)


async def conversations(bench: Bench) -> str:
    """Who spoke when, and who said which word, in all conversations."""
    plain = PlainPyannote()
    plain.turns(bytes(SAMPLE_RATE * SAMPLE_BYTES))
    ours, theirs = Side(), Side()
    rows: list[list[Cell]] = []
    told: dict[str, Told] = {}
    for recording in bench.conversations():
        print(recording.id, file=sys.stderr, flush=True)
        pcm = PlainWhisper.pcm(recording.path)
        told[recording.id] = await bench.service.diarize(pcm)
        began = time.monotonic()
        turns = plain.turns(pcm)
        row = []
        for side, found, seconds in (
            (ours, _named(told[recording.id]), told[recording.id].seconds),
            (theirs, turns, time.monotonic() - began),
        ):
            one = Side()
            for sums in (side, one):
                sums.add(recording, found, seconds)
            row += [one.strict.rate, len({turn.speaker for turn in found}), seconds / recording.duration]
        rows.append([recording.id, recording.speaker_count, *row])
    headers = ["recording", "speakers", "DER", "found", "RTF", "DER (a)", "found (a)", "RTF (a)"]
    parts = [
        table("Who spoke when: diarize and (a) pyannote's own pipeline, step 0.1, the same weights", headers, rows),
        _sides(bench, ours, theirs, len(rows)),
        _attribution(bench, told),
    ]
    return "\n".join(parts)


def _named(told: Told) -> list[Utterance]:
    return [Utterance(str(turn.speaker), "", turn.start, turn.end) for turn in told.diarization.turns]


def _sides(bench: Bench, ours: Side, theirs: Side, count: int) -> str:
    rows: list[list[Cell]] = []
    for name, side in (("diarize", ours), ("(a) pyannote", theirs)):
        of = side.strict
        parts = [100 * seconds / of.total for seconds in (of.missed, of.false_alarm, of.confusion)]
        factor = side.seconds / side.audio
        rows.append([name, of.rate, side.lenient.rate, *parts, f"{side.right}/{count}", side.off / count, factor])
        bench.numbers[name] = {"der": of.rate, "der_collar": side.lenient.rate, "right": side.right, "rtf": factor}
    headers = ["", "DER", "DER 0.25 s", "missed", "false alarm", "confused", "count right", "off by", "RTF"]
    ratio = (theirs.seconds / theirs.audio) / (ours.seconds / ours.audio)
    return f"{table('All of them', headers, rows)}\ndiarize is {ratio:.1f} times as fast as (a)"


def _attribution(bench: Bench, told: dict[str, Told]) -> str:
    ways = ("merge", "(b) largest overlap")
    sums: dict[str, list[Tally]] = {way: [Tally(), Tally(), Tally()] for way in ways}
    rows: list[list[Cell]] = []
    unlabelled = dict.fromkeys(ways, 0)
    for recording in bench.recordings:
        if recording.utterances is None or recording.id not in told or recording.silent:
            continue
        row: list[Cell] = [recording.id]
        segments, diarization = bench.words[recording.id], told[recording.id].diarization
        merged, _ = merge(segments, diarization.turns, diarization.exclusive_turns, diarization.activity)
        for way, said in (
            (ways[0], _said(merged)),
            (ways[1], largest_overlap(segments, diarization.turns)),
        ):
            cp, orc = attributed_errors(recording.utterances, said, recording.language)
            timed = timed_errors(recording.utterances, said, recording.language)
            sums[way] = [one + other for one, other in zip(sums[way], (cp, orc, timed), strict=True)]
            unlabelled[way] += sum(len(part.words.split()) for part in said if part.speaker == "unknown")
            row += [cp.rate, orc.rate, timed.rate]
        rows.append(row)
    total: list[Cell] = ["all"]
    for way in ways:
        total += [tally.rate for tally in sums[way]]
        cp, orc, timed = (tally.rate or 0.0 for tally in sums[way])
        bench.numbers[way] = {"cpwer": cp, "orcwer": orc, "tcpwer": timed, "cost": cp - orc}
    rows.append(total)
    headers = ["recording", "cpWER", "ORC-WER", "tcpWER", "cpWER (b)", "ORC-WER (b)", "tcpWER (b)"]
    lines = [
        f"attribution cost (cpWER - ORC-WER): {way} {bench.numbers[way]['cost']:.2f} points, "
        f"words without a speaker: {unlabelled[way]}"
        for way in ways
    ]
    title = "Who said which word: merge and (b) the largest overlap, as whisperX does, on the same words and turns"
    return "\n".join([table(title, headers, rows), *lines])


def _said(segments: Sequence[Segment]) -> list[Utterance]:
    return [
        Utterance(
            "unknown" if segment.speaker is None else str(segment.speaker),
            joined([segment], translated=False),
            segment.start,
            segment.end,
        )
        for segment in segments
    ]


async def exact(bench: Bench) -> str:
    """The number of speakers told, wherever each of them speaks for long enough."""
    rows: list[list[Cell]] = []
    for recording in bench.conversations():
        spoken: dict[str, float] = {}
        for turn in recording.turns or ():
            spoken[turn.speaker] = spoken.get(turn.speaker, 0.0) + turn.end - turn.start
        if not spoken or min(spoken.values()) < EXACT_SECONDS:
            continue
        told = await bench.service.diarize(PlainWhisper.pcm(recording.path), speakers=len(spoken))
        rate = turn_errors(recording.turns or (), _named(told), recording.duration).rate
        rows.append([recording.id, len(spoken), told.speakers, rate])
    met = sum(row[1] == row[2] for row in rows)
    bench.numbers["exact"] = {"files": len(rows), "met": met}
    title = f"Number of speakers told, {EXACT_SECONDS:g} s of each at least"
    return f"{table(title, ['recording', 'told', 'found', 'DER'], rows)}\nmet in {met} of {len(rows)}"


async def single(bench: Bench) -> str:
    """Clips of one speaker, joined to half a minute: one speaker."""
    by_speaker: dict[str, list[bytes]] = {}
    for recording in bench.recordings:
        if recording.kind == "single" and recording.speaker:
            by_speaker.setdefault(recording.speaker, []).append(PlainWhisper.pcm(recording.path))
    shuffled = random.Random(0)
    files: list[tuple[str, bytes]] = []
    pause = bytes(int(PAUSE_SECONDS * SAMPLE_RATE) * SAMPLE_BYTES)
    while len(files) < SINGLE_FILES and by_speaker:
        before = len(files)
        for speaker, clips in by_speaker.items():
            shuffled.shuffle(clips)
            audio = b""
            for clip in clips:
                audio += clip + pause
                if len(audio) >= SINGLE_SECONDS * SAMPLE_RATE * SAMPLE_BYTES:
                    files.append((speaker, audio))
                    break
        if len(files) == before:
            break
    found = [(speaker, (await bench.service.diarize(audio)).speakers) for speaker, audio in files[:SINGLE_FILES]]
    right = sum(count == 1 for _, count in found)
    bench.numbers["single"] = {"files": len(found), "right": right}
    wrong = ", ".join(f"{speaker}: {count}" for speaker, count in found if count != 1)
    return f"\nOne speaker in {right} of {len(found)} files of {SINGLE_SECONDS:g} s and more of one speaker. {wrong}"


async def long(bench: Bench) -> str:
    """Four hours: memory, and how soon a cancelled request is over."""
    recording = max(bench.conversations(), key=lambda r: r.duration)
    pcm = PlainWhisper.pcm(recording.path)
    begun = bench.service.process.resident_bytes()
    repetitions = round(LONG_HOURS * 3600 / recording.duration)
    told = await bench.service.diarize(pcm, repetitions=repetitions)
    peak = bench.service.process.peak_bytes()
    left = await _after_cancelling(bench.service, pcm)
    bench.numbers["long"] = {"peak_bytes": peak, "seconds": told.seconds, "busy_after_cancel_seconds": left}
    return (
        f"\n{recording.id} {repetitions} times, {repetitions * recording.duration / 3600:.1f} h: "
        f"{told.speakers} speakers, {told.seconds:.0f} s, memory {begun / 2**20:.0f} MiB before, "
        f"{peak / 2**20:.0f} MiB at most\n"
        f"processor time used after a cancellation in the middle: {left:.2f} s"
    )


async def _after_cancelling(service: DiarizeService, pcm: bytes) -> float:
    """Cancel a request in the middle; return the processor time that the service used afterwards, in seconds."""
    process = psutil.Process(service.process.process)
    call = asyncio.ensure_future(service.diarize(pcm, repetitions=100))
    await asyncio.sleep(3.0)
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled(), "the request was over before it could be cancelled"
    before = sum(process.cpu_times()[:2])
    await asyncio.sleep(10.0)
    return float(sum(process.cpu_times()[:2]) - before)


PARTS: dict[str, Callable[[Bench], Awaitable[str]]] = {
    "conversations": conversations,
    "exact": exact,
    "single": single,
    "long": long,
}


async def heard(recordings: Sequence[Recording]) -> dict[str, tuple[Segment, ...]]:
    """Return what the asr service hears in the recordings of which the words are known."""
    options = TranscribeOptions(
        model="",
        language=None,
        diarize=False,
        diarize_asked=True,
        speakers=0,
        response_format="json",
        task="transcribe",
        prompt="",
        hotwords=(),
        beam_size=0,
        word_timestamps=True,
    )
    words: dict[str, tuple[Segment, ...]] = {}
    async with running_asr(models="base") as asr:
        tier = Tier("asr", asr.target)
        client = AsrClient(tier, 3600.0)
        for recording in recordings:
            answer = await client.recognize(
                chunks(PlainWhisper.pcm(recording.path)), options, caller="", request_id="", progress=lambda _: None
            )
            words[recording.id] = answer.segments
        await tier.close()
    return words


async def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    recordings = manifest_recordings(options.data)
    wanted = options.only or list(PARTS)
    spoken = [r for r in recordings if r.kind in CONVERSATIONS and r.utterances is not None]
    words = await heard(spoken) if "conversations" in wanted else {}
    async with running_diarize() as service:
        bench = Bench(service, recordings, words)
        for part in wanted:
            print(await PARTS[part](bench), flush=True)
    if options.json:
        options.json.write_text(json.dumps(bench.numbers, indent=1) + "\n", encoding="utf-8")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help="run these parts only")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, metavar="DIR", help="folder with manifest.json")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
