"""What taking recordings in costs the edge: its memory, its other callers' time, and decoding beside plain PyAV.

    .venv/bin/python benchmarks/intake.py
    .venv/bin/python benchmarks/intake.py --only large --bytes 100000000 --bodies form raw --sound 16k-mono

Starts the edge as it is started in service, on SQLite, in front of engines that need no models. Parts: large, slow,
short, decode. See README.md beside this file.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# Run as a script, Python looks for modules in this folder only.
sys.path[:0] = [str(ROOT), str(ROOT / "protos")]

from benchmarks.asr import percentile  # noqa: E402 - needs the path above
from benchmarks.decoders import FORMATS, MP3, WAV, alternately, make_file  # noqa: E402
from benchmarks.edge_service import MODELS, TRANSCRIBE, Asked, EdgeService, running_edge, wav_form  # noqa: E402
from benchmarks.load import helper  # noqa: E402
from benchmarks.tables import Cell, table  # noqa: E402
from benchmarks.uploads import Sent, Upload  # noqa: E402
from services.edge.decoders import Decoders  # noqa: E402
from tests.edge.accounts import KEY  # noqa: E402

SOUNDS = {"48k-stereo": (48_000, 2), "16k-mono": (16_000, 1)}
"""Sample rates and channels of large files: 2 GB are 2.9 or 17 hours."""

_MOST_BYTES = 2_000_000_000
_SLOW_FILE_BYTES = 100_000_000
_IDLE_SECONDS = 2.0

Look = tuple[float, Sequence[tuple[int, int, int]]]
"""When it was looked, and of each process its id, its depth below the edge and its resident bytes."""


@dataclass
class Bench:
    """What all parts work with."""

    folder: Path
    bytes: int
    bodies: Sequence[str]
    sound: tuple[int, int]
    engine_speed: float
    requests: int
    rounds: int
    uploads: int
    rate: float
    seconds: float
    numbers: dict[str, Any] = field(default_factory=dict)
    """What goes into the JSON file."""
    unexpected: list[str] = field(default_factory=list)
    """Answers that should have been others."""

    def expect(self, what: str, status: int, sent: Sent) -> None:
        """Note it when an upload was answered otherwise."""
        if sent.status != status:
            self.unexpected.append(f"{what}: {sent.status} {sent.code} instead of {status}")


async def large(bench: Bench) -> str:
    """Uploads as large as may be, as fast as they are taken, with ordinary requests beside them; then a byte more."""
    reports = list[str]()
    for body in bench.bodies:
        async with running_edge(bench.folder, bench.bytes, bench.engine_speed) as edge:
            rate, channels = bench.sound
            upload = Upload(edge.url, KEY, bench.bytes, raw=body == "raw", sample_rate=rate, channels=channels)
            reports += [await _most(bench, edge, upload), await _more(bench, edge, upload)]
    return "\n".join(reports)


async def _most(bench: Bench, edge: EdgeService, upload: Upload) -> str:
    before, beside, uploads = list[Asked](), list[Asked](), list[Sent]()
    async with helper("watch", process=edge.pid) as watch:
        await asyncio.sleep(_IDLE_SECONDS)
        for _ in range(bench.rounds):
            before += await edge.turns(bench.requests)
            async with helper("send", **asdict(upload)) as sender:
                answering = asyncio.ensure_future(sender.hear())
                while not answering.done():
                    beside += await edge.turn()
                uploads.append(Sent(**await answering))
            await edge.settle()
        watch.tell_to_end()
        looks: list[Look] = await watch.hear()
    for sent in uploads:
        bench.expect(f"{upload.size} bytes", 200, sent)
    coming = [one for one in beside if any(sent.began <= one.began < sent.sent for sent in uploads)]
    decoding = [one for one in beside if any(sent.sent <= one.began < sent.answered for sent in uploads)]
    phases = {"before": before, "while it comes in": coming, "while it is decoded": decoding}
    memory, latencies = _memory(looks, uploads), _latencies({**phases, "both": coming + decoding})
    bench.numbers[f"large {_way(upload)}"] = {
        "uploads": [asdict(sent) for sent in uploads],
        "asked": {phase: [asdict(one) for one in asked] for phase, asked in phases.items()},
        "memory": memory,
    }
    size = f"{upload.size:,} bytes, {upload.audio_seconds:.0f} s of audio, as a {_way(upload)}, {bench.rounds} times"
    seconds = statistics.median(sent.answered - sent.sent for sent in uploads)
    resting = (_edge_after(looks, sent.answered + 0.5) for sent in uploads)
    return "\n".join(
        [
            table(f"{size}: memory, MB resident", *memory),
            f"the edge before the first and after each one: {_edge_after(looks, 0.0):.0f}, "
            + ", ".join(f"{megabytes:.0f}" for megabytes in resting),
            f"taken at {statistics.median(sent.rate for sent in uploads) / 1e6:.0f} MB/s beside the ordinary requests, "
            f"answered {seconds:.1f} s after it, at {upload.audio_seconds / seconds:.0f} x real time (medians)",
            table("Ordinary requests beside it", *latencies),
        ]
    )


async def _more(bench: Bench, edge: EdgeService, upload: Upload) -> str:
    """Send more than is taken, with nothing beside it."""
    rows: list[list[Cell]] = []
    for told_by, size, chunked in (
        ("Content-Length, one byte more", upload.size + 1, False),
        ("chunked, one byte more", upload.size + 1, True),
        ("Content-Length, twice as much", 2 * upload.size, False),
    ):
        async with helper("send", **asdict(replace(upload, size=size, chunked=chunked))) as sender:
            sent = Sent(**await sender.hear())
        await edge.settle()
        bench.expect(f"{size} bytes, {told_by}", 413, sent)
        rows.append([told_by, sent.status, sent.code, sent.file_bytes, sent.answered - sent.began, sent.rate / 1e6])
    bench.numbers[f"large {_way(upload)}, more"] = rows
    headers = ["told by", "status", "code", "bytes sent", "answered after s", "MB/s"]
    return table("More than is taken, nothing beside it", headers, rows)


def _way(upload: Upload) -> str:
    return "raw body" if upload.raw else "form"


def _memory(looks: Sequence[Look], uploads: Sequence[Sent]) -> tuple[list[str], list[list[Cell]]]:
    """Return the memory of the edge and of its descendants, by how far they are from it; in MB."""
    rows: list[list[Cell]] = []
    for depth, name in enumerate(("edge", "its children", "their children")):
        sizes = [(time, [resident / 1e6 for _, far, resident in look if far == depth]) for time, look in looks]
        if not any(held for _, held in sizes):
            continue
        idle = [held for time, held in sizes if time < looks[0][0] + _IDLE_SECONDS / 2]
        coming = [held for time, held in sizes if any(sent.began <= time < sent.sent for sent in uploads)]
        decoding = [held for time, held in sizes if any(sent.sent <= time < sent.answered for sent in uploads)]
        idle_peak, peak_coming, peak_decoding = (
            max((max(held, default=0.0) for held in span), default=0.0) for span in (idle, coming, decoding)
        )
        rows.append(
            [
                name,
                len({pid for _, look in looks for pid, far, _ in look if far == depth}),
                len(sizes[-1][1]),
                idle_peak,
                peak_coming,
                peak_decoding,
                max(peak_coming, peak_decoding) - idle_peak,
                max((sum(held) for held in [*coming, *decoding]), default=0.0),
            ]
        )
    headers = [
        "process",
        "seen",
        "left",
        "idle",
        "most while it comes in",
        "most while it is decoded",
        "most above idle",
        "all together",
    ]
    return headers, rows


def _edge_after(looks: Sequence[Look], moment: float) -> float:
    """Return what the edge holds at the first look after a moment, in MB."""
    look = next(look for time, look in looks if time >= moment)
    return next(resident / 1e6 for _, depth, resident in look if depth == 0)


def _latencies(phases: dict[str, list[Asked]]) -> tuple[list[str], list[list[Cell]]]:
    """Return medians and 95th percentiles of both kinds of request, and their ratios to those of the first phase."""
    rows: list[list[Cell]] = []
    for kind in (MODELS, TRANSCRIBE):
        normal: tuple[float, float] | None = None
        for phase, asked in phases.items():
            seconds = [one.seconds for one in asked if one.kind == kind]
            if not seconds:
                rows.append([kind, phase, 0, *[None] * 5])
                continue
            found = statistics.median(seconds), percentile(seconds, 0.95)
            normal = normal or found
            ratios = (value / usual for value, usual in zip(found, normal, strict=True))
            rows.append([kind, phase, len(seconds), *(1000 * value for value in (*found, max(seconds))), *ratios])
    return ["request", "when", "times", "median ms", "p95 ms", "most ms", "median to first", "p95 to first"], rows


async def slow(bench: Bench) -> str:
    """Ordinary requests without and with many slow uploads, in turns."""
    phases: dict[str, list[Asked]] = {"without": [], "with": []}
    dripped: list[Any] = []
    async with running_edge(bench.folder, bench.bytes) as edge:
        upload = Upload(edge.url, KEY, min(bench.bytes, _SLOW_FILE_BYTES), chunked=True)
        for _ in range(bench.rounds):
            await edge.settle()
            phases["without"] += await edge.turns(bench.requests)
            async with helper("drip", count=bench.uploads, bytes_a_second=bench.rate, **asdict(upload)) as drip:
                await drip.hear()
                phases["with"] += await edge.turns(bench.requests)
                drip.tell_to_end()
                dripped.append(await drip.hear())
    answered = [answer for one in dripped for answer in one["answered"]]
    bench.unexpected += [f"a slow upload was answered: {status} {code}" for status, code in answered]
    bench.numbers["slow"] = {
        "asked": {phase: [asdict(one) for one in asked] for phase, asked in phases.items()},
        "dripped": dripped,
    }
    rate = statistics.median(one["rate"] for one in dripped) / bench.uploads
    title = f"Ordinary requests beside {bench.uploads} uploads of {rate / 1000:.1f} kB/s each, {bench.rounds} rounds"
    return table(title, *_latencies(phases))


async def short(bench: Bench) -> str:
    """What a short clip costs: the whole request, and its decoding alone beside plain PyAV."""
    clips = [("WAV, 1 s", make_file(bench.folder, WAV, 1.0)), ("MP3, 5 s", make_file(bench.folder, MP3, 5.0))]
    rows: list[list[Cell]] = []
    for name, path in clips:
        form = wav_form(path.read_bytes())
        async with running_edge(bench.folder, bench.bytes) as edge:
            asked = [(await edge.transcribe(form)).seconds for _ in range(bench.requests)]
        async with Decoders() as decoders:
            runs = await alternately(decoders, path, bench.requests)
        decoded, plain = ([run.seconds for run in one] for one in runs)
        bench.numbers[f"short {name}"] = {"asked": asked, "decoded": decoded, "plain": plain}
        medians = [statistics.median(one) for one in (asked, decoded, plain)]
        rows.append(
            [
                name,
                len(asked),
                *(1000 * value for value in (medians[0], percentile(asked, 0.95), medians[1])),
                *(1000 * value for value in (percentile(decoded, 0.95), medians[2], medians[1] - medians[2])),
            ]
        )
    headers = ["clip", "times", "request ms", "p95 ms", "decoding ms", "p95 ms", "plain PyAV ms", "decoding more by ms"]
    return table("Short clips, one after the other", headers, rows)


async def decode(bench: Bench) -> str:
    """Whole files by our decoder and by plain PyAV in one thread, in turns."""
    rows: list[list[Cell]] = []
    async with Decoders() as decoders:
        for kind in FORMATS:
            runs = await alternately(decoders, make_file(bench.folder, kind, bench.seconds), bench.rounds)
            seconds = [[run.seconds for run in one] for one in runs]
            bench.numbers[f"decode {kind.name}"] = dict(zip(("ours", "plain"), seconds, strict=True))
            lengths = [one[0].audio_seconds for one in runs]
            if abs(lengths[0] - lengths[1]) > 0.1:
                bench.unexpected.append(f"{kind.name}: {lengths[0]:.2f} s instead of {lengths[1]:.2f}")
            rates = [length / statistics.median(one) for length, one in zip(lengths, seconds, strict=True)]
            rows.append([kind.name, *rates, rates[0] / rates[1], min(seconds[0]), max(seconds[0])])
    headers = ["file", "ours, x real time", "plain PyAV, x real time", "ours to plain", "ours, least s", "ours, most s"]
    return table(f"Files of {bench.seconds:g} s, medians of {bench.rounds}", headers, rows)


PARTS: dict[str, Callable[[Bench], Awaitable[str]]] = {part.__name__: part for part in (large, slow, short, decode)}


async def run(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="speechmesh-intake-", dir=options.folder) as folder:
        bench = Bench(
            Path(folder),
            options.bytes,
            options.bodies,
            SOUNDS[options.sound],
            options.engine_speed,
            options.requests,
            options.rounds,
            options.uploads,
            options.rate,
            options.seconds,
        )
        for name in options.only or PARTS:
            print(await PARTS[name](bench), flush=True)
    if options.json:
        options.json.write_text(json.dumps(bench.numbers) + "\n", encoding="utf-8")
    for line in bench.unexpected:
        print(f"UNEXPECTED: {line}")
    return 1 if bench.unexpected else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), help="run these parts only")
    parser.add_argument("--bytes", type=int, default=_MOST_BYTES, help="largest file that is taken (%(default)s)")
    parser.add_argument(
        "--bodies", nargs="+", choices=["form", "raw"], default=["form"], help="how large files are sent"
    )
    parser.add_argument("--sound", choices=list(SOUNDS), default="48k-stereo", help="in large files (%(default)s)")
    parser.add_argument(
        "--engine-speed",
        type=float,
        default=0,
        metavar="X",
        help="x real time at which large files are recognized, as by an engine that computes; 0: as fast as they come",
    )
    parser.add_argument("--requests", type=int, default=100, metavar="N", help="ordinary ones at a time (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of what takes turns (%(default)s)")
    parser.add_argument("--uploads", type=int, default=50, metavar="N", help="slow ones at once (%(default)s)")
    parser.add_argument("--rate", type=float, default=10_000, help="bytes a second of a slow one (%(default)s)")
    parser.add_argument("--seconds", type=float, default=600, help="length of the files decoded (%(default)s)")
    parser.add_argument(
        "--folder", type=Path, help="where the spool and all files are; the usual one for temporary files"
    )
    parser.add_argument("--json", type=Path, help="write all numbers there")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores")
    return asyncio.run(run(options))


if __name__ == "__main__":
    sys.exit(main())
