"""How fast our engine writes beside others on the same weights, without any summary being judged.

Every engine has a process of its own (`writers`), is loaded and warmed up, and then they take turns: ours, theirs,
ours, theirs. All write the same number of tokens after the same prompts, whatever they write: the end of a text ends
nothing on any side (ours and `generate` know no token that ends one, CTranslate2 may not write it). Ours makes tokens
that were written a little less likely; so do the others, except where it says "no penalty".
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.meetings import made_up_sentences
from benchmarks.tables import Cell, table
from benchmarks.writers import Job, Run, Writer, WriterProcess, running_writer

OURS = "speechmesh"
PEER = "generate"
QUIET_CORES = 0.15
"""Cores' worth of what else runs, up to which a run says something."""
_COLUMNS = ("ours_over_this", "first_seconds", "last_first_seconds", "others_cores")


@dataclass(frozen=True)
class Way:
    """A way of having some prompts written after."""

    name: str
    engine: str
    at_once: bool = True
    """All together; else one after the other."""
    penalty: bool = True

    def job(self, prompts: Sequence[Sequence[int]], tokens: int) -> Job:
        """Return the job of writing so many tokens after each prompt."""
        return Job(prompts, tokens, self.at_once, self.penalty)


def ways(requests: int, *, ctranslate2: bool) -> list[Way]:
    """Return the ways that are compared for so many requests at once, ours and the peer first."""
    compared = [
        Way(OURS, "speechmesh"),
        Way(PEER, "generate", at_once=False),
        Way("generate, threads as ours", "generate, calm", at_once=False),
    ]
    if requests == 1:
        compared.append(Way("generate, no penalty", "generate", penalty=False))
    else:
        compared.append(Way("generate, one batch", "generate"))
    if ctranslate2:
        compared.append(Way("CTranslate2 int8", "ctranslate2"))
    return compared


def measure(
    compared: Sequence[Way], writers: Mapping[str, Writer], prompts: Sequence[Sequence[int]], tokens: int, repeat: int
) -> dict[str, list[Run]]:
    """Return the runs of every way, by its name; in each of the repetitions, one way comes after the other."""
    runs: dict[str, list[Run]] = {way.name: [] for way in compared}
    for _ in range(repeat):
        for way in compared:
            runs[way.name].append(writers[way.engine].write(way.job(prompts, tokens)))
            print(f"{len(prompts)} at once, {way.name}: {runs[way.name][-1].seconds:.1f} s", file=sys.stderr)
    return runs


def summed_up(runs: Mapping[str, Sequence[Run]]) -> dict[str, dict[str, Any]]:
    """Return the numbers of every way: rates and times to the first token with their medians, ours over each."""
    ours = median(run.rate for run in runs[OURS])
    return {
        name: {
            "rates": [run.rate for run in of],
            "rate": median(run.rate for run in of),
            "ours_over_this": ours / median(run.rate for run in of),
            "first_seconds": median(first for run in of for first in run.firsts),
            "last_first_seconds": median(max(run.firsts) for run in of),
            "others_cores": max(run.others_cores for run in of),
        }
        for name, of in runs.items()
    }


def same_beginnings(ours: Run, theirs: Run) -> list[int]:
    """Return how many tokens are the same from the beginning, for each prompt."""
    pairs = zip(ours.written, theirs.written, strict=True)
    return [sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(*pair, strict=True))) for pair in pairs]


def compare(
    folder: Path, at_once: Iterable[int], *, prompt_tokens: int, tokens: int, repeat: int, ctranslate2: bool
) -> tuple[str, dict[str, Any]]:
    """Measure all ways for these numbers of requests at once; return the report and its numbers."""
    counts = sorted(set(at_once))
    engines = dict.fromkeys(way.engine for count in counts for way in ways(count, ctranslate2=ctranslate2))
    reports, numbers = list[str](), dict[str, Any]()
    with ExitStack() as stack:
        processes: dict[str, WriterProcess] = {}
        for engine in engines:
            print(f"loading {engine}", file=sys.stderr)
            processes[engine] = stack.enter_context(running_writer(engine, folder))
            processes[engine].wait_until_loaded()
        texts = [" ".join(made_up_sentences(prompt_tokens // 8, seed)) for seed in range(counts[-1])]
        prompts = processes["speechmesh"].prompts(texts, prompt_tokens)
        for count in counts:
            compared = ways(count, ctranslate2=ctranslate2)
            for way in compared:
                processes[way.engine].warm_up(way.job(prompts[:count], tokens))
            runs = measure(compared, processes, prompts[:count], tokens, repeat)
            numbers[str(count)] = summed_up(runs)
            reports.append(_report(runs, numbers[str(count)], f"prompts of {prompt_tokens} tokens"))
    return "\n".join(reports), numbers


def _report(runs: Mapping[str, Sequence[Run]], numbers: Mapping[str, Any], prompts: str) -> str:
    rows: list[list[Cell]] = [
        [name, of["rate"], min(of["rates"]), max(of["rates"]), *(of[key] for key in _COLUMNS)]
        for name, of in numbers.items()
    ]
    headers = [
        "way",
        "tokens/s",
        "least",
        "most",
        "ours to this",
        "first token s",
        "last one's first s",
        "others' cores",
    ]
    ours = runs[OURS][0]
    title = (
        f"{len(ours.written)} at once, {prompts}, {len(ours.written[0])} tokens written after each; medians of "
        f"{len(runs[OURS])}"
    )
    lines = [
        table(title, headers, rows),
        f"tokens that ours and {PEER} have in common from the beginning: {same_beginnings(ours, runs[PEER][0])}",
    ]
    if max(of["others_cores"] for of in numbers.values()) > QUIET_CORES:
        lines.append("NOT A QUIET MACHINE: something else kept cores busy meanwhile, or the host did not give them")
    return "\n".join(lines)
