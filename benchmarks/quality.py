"""How good the transcripts are, measured through the public HTTP API.

    python benchmarks/quality.py [--server URL --key KEY | --start] [--data DIR] [--limit N] [--json FILE]
                                 [--reference [--all-languages]] [--grpc-diarize ADDRESS] [--detect]

Sends recordings to POST /v1/transcribe (verbose_json; diarize=true for conversations) and prints WER by
language, DER, cpWER, ORC-WER and the words invented where nobody speaks. See README.md beside this file.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# Run as a script, Python looks for modules in this folder only.
sys.path[:0] = [str(ROOT), str(ROOT / "protos")]

from benchmarks.baselines import PlainWhisper, diarize_turns  # noqa: E402 - needs the path above
from benchmarks.recordings import Recording, manifest_recordings, wheel_sample  # noqa: E402
from benchmarks.scoring import (  # noqa: E402
    CHARACTER_LANGUAGES,
    Tally,
    Turns,
    Utterance,
    attributed_errors,
    broken_laws,
    invented_words,
    turn_errors,
    utterances_of,
    word_errors,
)
from benchmarks.server import Server, ServerError, started  # noqa: E402
from benchmarks.tables import Cell, table  # noqa: E402

DEFAULT_DATA = ROOT.parent / "shared" / "data" / "dev"
CONVERSATIONS = ("real-conversation", "synthetic-conversation", "two-channel")

OwnTurns = Callable[[Path], list[Utterance]]


@dataclass(frozen=True)
class Result:
    """One recording, transcribed and scored; what does not apply to it is None."""

    recording: Recording
    text: str
    model: str
    seconds: float
    """How long the request took."""
    broken_laws: int
    speakers: int
    """How many the answer names."""
    words: Tally | None = None
    """Word (or character) errors of a single clip."""
    cp: Tally | None = None
    orc: Tally | None = None
    turns: Turns | None = None
    """From the times of the answer's segments."""
    own_turns: Turns | None = None
    """From the diarize service's own turns."""
    invented: int | None = None
    """Words, where nobody speaks."""


def score(recording: Recording, answer: Mapping[str, Any], seconds: float, own: OwnTurns | None) -> Result:
    """Return the scores of one answer."""
    result = Result(
        recording,
        answer["text"],
        answer.get("model", "?"),
        seconds,
        broken_laws(answer),
        len(answer["speakers"]),
    )
    if recording.silent:
        return replace(result, invented=invented_words(answer["text"], answer["language"]))
    if recording.kind == "single":
        words = word_errors(recording.transcript or "", answer["text"], recording.language)
        return replace(result, words=words)
    said = utterances_of(answer)
    if recording.utterances is not None:
        cp, orc = attributed_errors(recording.utterances, said, recording.language)
        result = replace(result, cp=cp, orc=orc)
    if recording.turns is not None:
        known = [utterance for utterance in said if utterance.speaker != "unknown"]
        result = replace(result, turns=turn_errors(recording.turns, known, recording.duration))
        if own:
            turns = turn_errors(recording.turns, own(recording.path), recording.duration)
            result = replace(result, own_turns=turns)
    return result


def limited(recordings: Iterable[Recording], limit: int | None) -> list[Recording]:
    """Return the first `limit` recordings of each kind and language."""
    seen: dict[tuple[str, str | None], int] = {}
    chosen: list[Recording] = []
    for recording in recordings:
        group = (recording.kind, recording.language)
        seen[group] = seen.get(group, 0) + 1
        if limit is None or seen[group] <= limit:
            chosen.append(recording)
    return chosen


def run(
    server: Server, recordings: Sequence[Recording], *, detect: bool, own: OwnTurns | None
) -> tuple[list[Result], list[str]]:
    """Transcribe and score the recordings one after another; return the results and what went wrong."""
    results: list[Result] = []
    failures: list[str] = []
    for number, recording in enumerate(recordings, start=1):
        print(f"[{number}/{len(recordings)}] {recording.id}", file=sys.stderr, flush=True)
        single = recording.kind == "single"
        language = recording.language if single and not detect else None
        begun = time.monotonic()
        try:
            answer = server.transcribe(recording.path, diarize=not single, language=language)
            results.append(score(recording, answer, time.monotonic() - begun, own))
        except ServerError as error:
            failures.append(str(error))
    return results, failures


def language_report(results: Sequence[Result]) -> str:
    """Return the table of single clips by language."""
    sums: dict[str, tuple[int, Tally]] = {}
    for result in results:
        if result.words is not None:
            clips, tally = sums.get(result.recording.language or "?", (0, Tally()))
            sums[result.recording.language or "?"] = (clips + 1, tally + result.words)
    rows: list[list[Cell]] = [
        [
            language,
            "CER" if language in CHARACTER_LANGUAGES else "WER",
            clips,
            tally.length,
            tally.rate,
            tally.substitutions,
            tally.deletions,
            tally.insertions,
        ]
        for language, (clips, tally) in sorted(sums.items())
    ]
    headers = ["language", "score", "clips", "length", "%", "sub", "del", "ins"]
    return table("Single speakers", headers, rows) if rows else ""


def conversation_report(title: str, results: Sequence[Result]) -> str:
    """Return the table of conversations, one a row, and their micro-average."""
    rows = [
        _conversation_row(
            result.recording.id,
            f"{result.speakers}/{result.recording.speaker_count}",
            [result],
        )
        for result in results
    ]
    if len(results) > 1:
        off = sum(abs(result.speakers - result.recording.speaker_count) for result in results) / len(results)
        rows.append(_conversation_row("all", f"±{off:.2f}", results))
    headers = ["recording", "speakers", "DER", "DER own turns", "cpWER", "ORC-WER", "cp-ORC"]
    return table(title, headers, rows) if rows else ""


def _conversation_row(name: str, speakers: str, results: Sequence[Result]) -> list[Cell]:
    turns = sum((r.turns for r in results if r.turns), Turns()).rate
    own = sum((r.own_turns for r in results if r.own_turns), Turns()).rate
    cp = sum((r.cp for r in results if r.cp), Tally()).rate
    orc = sum((r.orc for r in results if r.orc), Tally()).rate
    cost = cp - orc if cp is not None and orc is not None else None
    return [name, speakers, turns, own, cp, orc, cost]


def silence_report(results: Sequence[Result]) -> str:
    """Return the table of recordings without speech."""
    rows: list[list[Cell]] = [
        [result.recording.id, result.recording.duration, result.invented, result.text[:60]]
        for result in results
        if result.invented is not None
    ]
    return table("No speech: invented words", ["recording", "seconds", "words", "text"], rows) if rows else ""


def reference_report(results: Sequence[Result], transcribe: Callable[[Path, str | None], str], detect: bool) -> str:
    """Run plain faster-whisper over the same clips and return the table that compares both."""
    sums: dict[str, tuple[Tally, Tally]] = {}
    for result in results:
        recording = result.recording
        if result.words is None:
            continue
        print(f"[reference] {recording.id}", file=sys.stderr, flush=True)
        text = transcribe(recording.path, None if detect else recording.language)
        theirs = word_errors(recording.transcript or "", text, recording.language)
        ours, plain = sums.get(recording.language or "?", (Tally(), Tally()))
        sums[recording.language or "?"] = (ours + result.words, plain + theirs)
    rows: list[list[Cell]] = [
        [language, ours.length, ours.rate, plain.rate, (ours.rate or 0.0) - (plain.rate or 0.0)]
        for language, (ours, plain) in sorted(sums.items())
    ]
    headers = ["language", "length", "served %", "plain %", "points"]
    return table("Served and plain faster-whisper (beam 5, vad_filter, word times)", headers, rows) if rows else ""


def reports(results: Sequence[Result]) -> list[str]:
    """Return all tables of a run that have rows."""
    sample = [result for result in results if result.recording.id == "pyannote-sample-wheel"]
    listed = [result for result in results if result not in sample]
    parts = [
        conversation_report("Two speakers on the telephone (pyannote.audio's own sample)", sample),
        language_report(listed),
        *(
            conversation_report(f"Conversations: {kind}", [r for r in listed if r.recording.kind == kind])
            for kind in CONVERSATIONS
        ),
        silence_report(listed),
    ]
    return [part for part in parts if part]


def summary(results: Sequence[Result], failures: Sequence[str]) -> str:
    """Return the closing lines: what ran, how fast, which laws were broken."""
    audio = sum(result.recording.duration for result in results)
    spent = sum(result.seconds for result in results)
    speed = f"{audio / spent:.1f} times real time" if spent else "-"
    models = ", ".join(sorted({result.model for result in results})) or "-"
    broken = sum(result.broken_laws for result in results)
    lines = [
        "",
        f"models that ran: {models}",
        f"{len(results)} recordings, {audio / 60:.1f} minutes, one at a time at {speed}",
        f"times that break the contract: {broken}",
        *(f"FAILED {failure}" for failure in failures),
    ]
    return "\n".join(lines)


def as_json(result: Result) -> dict[str, Any]:
    """Return a result as plain values."""
    values = {key: value for key, value in asdict(result).items() if key != "recording" and value is not None}
    about = result.recording
    return {
        "id": about.id,
        "kind": about.kind,
        "language": about.language,
        "duration": about.duration,
        **values,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    recordings = _recordings(options)
    given = Server(options.server, options.key, options.model)
    try:
        with started(options.model) if options.start else nullcontext(given) as server:
            print(_header(server))
            address = options.grpc_diarize or server.diarize_address
            own: OwnTurns | None = (lambda path: diarize_turns(address, path)) if address else None
            results, failures = run(server, recordings, detect=options.detect, own=own)
    except ServerError as error:
        print(f"quality: {error}", file=sys.stderr)
        return 1
    parts = reports(results)
    if options.reference:
        compared = [r for r in results if options.all_languages or r.recording.language == "en"]
        # Built after the server's work is done, so that the two do not share the processor.
        whisper = PlainWhisper(options.reference_model, options.compute_type, options.device)

        def plain(path: Path, language: str | None) -> str:
            return whisper.sequential(whisper.pcm(path), language)

        parts.append(reference_report(compared, plain, options.detect))
    parts.append(summary(results, failures))
    print("\n".join(parts))
    if options.json:
        content = {"results": [as_json(result) for result in results], "failures": failures}
        options.json.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 1 if failures or not results else 0


def _header(server: Server) -> str:
    return (
        f"Speechmesh at {server.url}\n"
        "All numbers are percent, micro-averaged over normalised text. The API gives no raw turns: DER is\n"
        "computed from the segments' times and speakers (collar 0, overlap scored), so it counts what was\n"
        "not transcribed as missed and pauses inside a segment as false alarm. 'own turns' are those of\n"
        "the diarize service, with --start or --grpc-diarize."
    )


def _recordings(options: argparse.Namespace) -> list[Recording]:
    recordings: list[Recording] = []
    try:
        recordings.append(wheel_sample())
    except FileNotFoundError as error:
        print(f"quality: {error}", file=sys.stderr)
    if (options.data / "manifest.json").exists():
        recordings += limited(manifest_recordings(options.data), options.limit)
    else:
        print(
            f"quality: no manifest.json in {options.data}: only the sample in the wheel is scored (--data).",
            file=sys.stderr,
        )
    return recordings


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--server", default="http://127.0.0.1:8080", metavar="URL", help="a running server")
    where.add_argument("--start", action="store_true", help="start one on a free port and stop it afterwards")
    parser.add_argument("--key", default=os.environ.get("SPEECHMESH_API_KEY"), help="or SPEECHMESH_API_KEY")
    parser.add_argument("--model", help="model to ask for; the server's default unless given")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, metavar="DIR", help="folder with manifest.json")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N recordings of each kind and language")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every result there")
    parser.add_argument("--detect", action="store_true", help="do not tell the language of single clips")
    parser.add_argument("--reference", action="store_true", help="compare with plain faster-whisper")
    parser.add_argument("--all-languages", action="store_true", help="compare in all languages, not English alone")
    parser.add_argument("--reference-model", default="base", metavar="ID", help="its weights (default: base)")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="where the reference runs")
    parser.add_argument("--compute-type", default="int8", help="of the reference, as the asr service's")
    parser.add_argument("--grpc-diarize", metavar="ADDRESS", help="host:port of the diarize service")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
