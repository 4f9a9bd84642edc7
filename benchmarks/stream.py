"""How soon, how steady and how complete live captions are, through WS /v1/stream.

    python benchmarks/stream.py [--model ID] [--only PART …] [--streams N …] [--seconds S] [--data DIR] [--json FILE]

Starts asr and the edge on this machine's cores and replays conversations in real time. Parts: one, many, quiet,
silence, pushed. See README.md beside this file.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

ROOT = Path(__file__).resolve().parent.parent
# Run as a script, Python looks for modules in this folder only.
sys.path[:0] = [str(ROOT), str(ROOT / "protos")]

from benchmarks.asr import DEFAULT_DATA, percentile  # noqa: E402 - needs the path above
from benchmarks.asr_service import AsrService, running_asr  # noqa: E402
from benchmarks.baselines import PlainWhisper  # noqa: E402
from benchmarks.captions import (  # noqa: E402
    Message,
    WordShown,
    finalisation_seconds,
    first_seconds,
    plain_words,
    revised_words,
    words_shown,
)
from benchmarks.recordings import Recording, manifest_recordings  # noqa: E402
from benchmarks.scoring import Tally, Utterance, attributed_errors  # noqa: E402
from benchmarks.tables import Cell, table  # noqa: E402
from services.accounts.schema import upgrade  # noqa: E402
from services.accounts.store import Store, sqlite_url  # noqa: E402
from services.audio.pcm import SAMPLE_BYTES, SAMPLE_RATE  # noqa: E402
from services.cli.ports import free_ports  # noqa: E402

FRAME_SAMPLES = 4096
"""What the documented browser example sends at once: 0.256 s."""

_READY_SECONDS = 60.0
_PUSHED = 20.0
_LONGEST = 200.0
"""Longer conversations are left out: all runs in real time."""


@dataclass(frozen=True)
class Edge:
    """A running edge."""

    url: str
    process: int


@dataclass
class Bench:
    """What all parts work with."""

    service: AsrService
    edge: Edge
    session: aiohttp.ClientSession
    conversations: Sequence[Recording]
    silent: Sequence[Recording]
    streams: Sequence[int]
    seconds: float
    language: str
    numbers: dict[str, Any] = field(default_factory=dict)

    def processor_seconds(self) -> float:
        """Return the processor time that asr and the edge have used."""
        times = [psutil.Process(number).cpu_times() for number in (self.service.process, self.edge.process)]
        return sum(time.user + time.system for time in times)

    async def caption(self, pcm: bytes, *, speed: float = 1.0) -> list[Message]:
        """Replay audio as the documented client sends it, `speed` times as fast as it was spoken."""
        messages: list[Message] = []
        async with self.session.ws_connect(f"{self.edge.url}/v1/stream") as socket:
            await socket.send_json({"language": self.language})
            assert (await socket.receive_json())["status"] == "ready"
            began = time.monotonic()
            sending = asyncio.create_task(_send(socket, pcm, speed))
            async for frame in socket:
                messages.append(Message(time.monotonic() - began, json.loads(frame.data)))
            await sending
        assert messages[-1].body.get("is_final"), messages[-1].body
        return messages


async def _send(socket: aiohttp.ClientWebSocketResponse, pcm: bytes, speed: float) -> None:
    began = time.monotonic()
    step = FRAME_SAMPLES * SAMPLE_BYTES
    for start in range(0, len(pcm), step):
        # A frame is there once its last sample was spoken.
        due = began + (start + step) / (SAMPLE_RATE * SAMPLE_BYTES) / speed
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await socket.send_bytes(pcm[start : start + step])
    await socket.send_json({"action": "stop"})


async def one(bench: Bench) -> str:
    """Each conversation as one stream, nothing beside it; and its words beside those of the file."""
    rows: list[list[Cell]] = []
    sums = [Tally(), Tally()]
    all_words: list[WordShown] = []
    ends: list[float] = []
    firsts: list[float] = []
    revised = 0
    for recording in bench.conversations:
        pcm = PlainWhisper.pcm(recording.path)
        before = bench.processor_seconds()
        messages = await bench.caption(pcm)
        used = (bench.processor_seconds() - before) / recording.duration
        answer = await bench.service.recognize(pcm, language_code="en")
        spoken = recording.utterances or ()
        words = words_shown(messages)
        live = _errors(
            spoken, [(m.body["text"], m.body["start"], m.body["end"]) for m in messages if m.body.get("text")]
        )
        file = _errors(spoken, [(s.text, s.start, s.end) for s in answer.segments])
        sums = [sums[0] + live, sums[1] + file]
        changed = revised_words(messages)
        revised += changed
        all_words += words
        ends += finalisation_seconds(words, spoken)
        firsts += first_seconds(words, spoken)
        rows.append([recording.id, len(words), live.rate, file.rate, changed / max(1, len(words)), used])
    report = table(
        "One stream at a time",
        ["recording", "words", "WER % live", "WER % file", "revised words", "cores"],
        [*rows, ["all", len(all_words), sums[0].rate, sums[1].rate, revised / max(1, len(all_words)), None]],
    )
    rates = {"live": sums[0].rate, "file": sums[1].rate, "revised": revised / max(1, len(all_words))}
    bench.numbers["one"] = {**rates, **_latencies(all_words, ends, firsts)}
    return report + _latency_table(all_words, ends, firsts)


async def many(bench: Bench) -> str:
    """Streams of continuous conversation at once."""
    rows: list[list[Cell]] = []
    for count in bench.streams:
        before, began = bench.processor_seconds(), time.monotonic()
        streams = [stream_of(bench.conversations, bench.seconds, number) for number in range(count)]
        all_messages = await asyncio.gather(*(bench.caption(pcm) for pcm, _ in streams))
        cores = (bench.processor_seconds() - before) / (time.monotonic() - began)
        shown = [words_shown(messages) for messages in all_messages]
        pairs = [(words, spoken) for words, (_, spoken) in zip(shown, streams, strict=True)]
        ends = [seconds for words, spoken in pairs for seconds in finalisation_seconds(words, spoken)]
        firsts = [seconds for words, spoken in pairs for seconds in first_seconds(words, spoken)]
        all_words = [word for words in shown for word in words]
        bench.numbers[f"many {count}"] = {"cores": cores, **_latencies(all_words, ends, firsts)}
        rows.append([count, *_percentiles(ends), *_percentiles(firsts), len(all_words), cores, cores / count])
    headers = ["streams", "final p50 s", "p95", "first p50 s", "p95", "words", "cores", "a stream"]
    return table(f"Streams at once, {bench.seconds:.0f} s each: after the end and the start of speech", headers, rows)


def stream_of(conversations: Sequence[Recording], seconds: float, number: int) -> tuple[bytes, list[Utterance]]:
    """Return so many seconds of conversation, another one for every number, and what is said in it."""
    pcm, spoken, length = bytearray(), list[Utterance](), 0.0
    place = number
    while length < seconds:
        recording = conversations[place % len(conversations)]
        pcm += PlainWhisper.pcm(recording.path)
        spoken += [Utterance(u.speaker, u.words, u.start + length, u.end + length) for u in recording.utterances or ()]
        length = len(pcm) / (SAMPLE_RATE * SAMPLE_BYTES)
        place += 1
    whole = int(seconds * SAMPLE_RATE) * SAMPLE_BYTES
    return bytes(pcm[:whole]), [utterance for utterance in spoken if utterance.end < seconds - 1.0]


async def quiet(bench: Bench) -> str:
    """3 streams of conversation, and the same beside 27 silent ones."""
    silence = bytes(int(bench.seconds * SAMPLE_RATE) * SAMPLE_BYTES)
    used: list[float] = []
    for silent in (0, 27):
        before, began = bench.processor_seconds(), time.monotonic()
        pcm = [stream_of(bench.conversations, bench.seconds, number)[0] for number in range(3)] + [silence] * silent
        await asyncio.gather(*(bench.caption(one) for one in pcm))
        used.append((bench.processor_seconds() - before) / (time.monotonic() - began))
    bench.numbers["quiet"] = used
    more = 100 * (used[1] / used[0] - 1)
    return f"\n3 streams: {used[0]:.2f} cores; beside 27 silent ones: {used[1]:.2f}, {more:.0f} % more"


async def silence(bench: Bench) -> str:
    """Recordings without speech, and a minute of silence."""
    lines: list[str] = []
    recordings = [(recording.id, PlainWhisper.pcm(recording.path)) for recording in bench.silent]
    for name, pcm in [("a minute of silence", bytes(60 * SAMPLE_RATE * SAMPLE_BYTES)), *recordings]:
        messages = await bench.caption(pcm, speed=_PUSHED)
        texts = [m.body.get("text") or m.body.get("partial") for m in messages]
        shown = [text for text in texts if text]
        lines.append(f"{name}: {len(shown)} texts {shown[:3]}")
    return "\n" + "\n".join(lines)


async def pushed(bench: Bench) -> str:
    """A conversation in real time, and pushed at 20 times that speed."""
    pcm = stream_of(bench.conversations, bench.seconds, 0)[0]
    slow, fast = await bench.caption(pcm), await bench.caption(pcm, speed=_PUSHED)
    same = slow[-1].body["transcript"] == fast[-1].body["transcript"]
    words = len(plain_words(slow[-1].body["transcript"]))
    return f"\npushed at {_PUSHED:.0f} x: {words} words, the same text: {same}, in {fast[-1].at:.1f} s"


PARTS: dict[str, Callable[[Bench], Awaitable[str]]] = {
    part.__name__: part for part in (one, many, quiet, silence, pushed)
}


def _errors(spoken: Sequence[Utterance], said: Sequence[tuple[str, float, float]]) -> Tally:
    return attributed_errors(spoken, [Utterance("all", text, start, end) for text, start, end in said], "en")[1]


def _percentiles(seconds: Sequence[float]) -> list[float | None]:
    return [percentile(seconds, share) if seconds else None for share in (0.5, 0.95)]


def _latencies(words: Sequence[WordShown], ends: Sequence[float], firsts: Sequence[float]) -> dict[str, Any]:
    measured = {
        "speech end to final": ends,
        "speech start to first word": firsts,
        "word end to shown": [word.first - word.end for word in words],
        "word end to stable": [word.stable - word.end for word in words],
        "word end to final": [word.final - word.end for word in words],
    }
    return {name: _percentiles(seconds) for name, seconds in measured.items()}


def _latency_table(words: Sequence[WordShown], ends: Sequence[float], firsts: Sequence[float]) -> str:
    rows: list[list[Cell]] = [[name, *both] for name, both in _latencies(words, ends, firsts).items()]
    return "\n" + table("Seconds from … to …", ["what", "p50", "p95"], rows)


@asynccontextmanager
async def running_edge(asr: str) -> AsyncIterator[Edge]:
    """Start `python -m services.edge` before an asr, wait until it serves, and stop it afterwards."""
    listen, metrics = (f"127.0.0.1:{port}" for port in free_ports(2))
    folder = Path(tempfile.mkdtemp(prefix="speechmesh-stream-"))
    environ = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}",
        "SPEECHMESH_EDGE_LISTEN": listen,
        "SPEECHMESH_EDGE_METRICS_LISTEN": metrics,
        "SPEECHMESH_EDGE_ASR_TARGET": asr,
        "SPEECHMESH_LOG_LEVEL": "warning",
        **await _open_to_all(folder),
    }
    command = [sys.executable, "-m", "services.edge"]
    process = subprocess.Popen(command, cwd=ROOT, env=environ)  # noqa: ASYNC220
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(_READY_SECONDS):
            while not await _serves(session, f"http://{listen}"):  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.2)
        yield Edge(f"http://{listen}", process.pid)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)
        shutil.rmtree(folder)


async def _open_to_all(folder: Path) -> dict[str, str]:
    """Return the settings of an edge that needs no key and has no limits, its database in `folder`."""
    url, plans = sqlite_url(folder / "accounts.db"), folder / "plans.toml"
    store = Store(url)
    await upgrade(store)
    await store.close()
    anonymous = ('funding = "open"', 'unit = "minutes"', "max_file_bytes = 2_000_000_000", "at_once = 0")
    await asyncio.to_thread(plans.write_text, "\n".join(["[plans.anonymous]", *anonymous]))
    return {"SPEECHMESH_DATABASE_URL": url, "SPEECHMESH_EDGE_PLANS_FILE": str(plans)}


async def _serves(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/health") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def run(args: argparse.Namespace) -> None:
    """Run the parts that were asked for."""
    recordings = manifest_recordings(args.data)
    conversations = [
        recording
        for recording in recordings
        if recording.kind == "synthetic-conversation" and recording.language == "en" and recording.duration < _LONGEST
    ]
    async with (
        running_asr(models=args.model) as service,
        running_edge(service.target) as edge,
        aiohttp.ClientSession() as session,
    ):
        silent = [r for r in recordings if r.silent]
        bench = Bench(
            service, edge, session, conversations[: args.limit], silent, args.streams, args.seconds, args.language
        )
        print(f"{os.cpu_count()} cores, {args.model} int8")
        for part in args.only or PARTS:
            print(await PARTS[part](bench), flush=True)
        if args.json:
            args.json.write_text(json.dumps(bench.numbers, indent=1))


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="base", help="what asr serves")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts to run; all by default")
    parser.add_argument("--streams", nargs="+", type=int, default=[1, 5, 10], help="how many at once, for `many`")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the streams of many, quiet, pushed are")
    parser.add_argument("--language", default="en", help="what streams ask for; auto to have it detected")
    parser.add_argument("--limit", type=int, help="only so many conversations")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder with manifest.json")
    parser.add_argument("--json", type=Path, help="where the numbers go")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
