"""The decoders of an edge that runs as a process, from outside: how many there are, and how much memory they hold."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MIB = 1024 * 1024

_SAMPLE_SECONDS = 0.03
_PATIENCE_SECONDS = 10.0


def edge_process() -> psutil.Process:
    """Return the process of the one edge that the tests have started."""
    (edge,) = (child for child in psutil.Process().children() if child.cmdline()[-2:] == ["-m", "services.edge"])
    return edge


async def decoders_left(edge: psutil.Process) -> list[str]:
    """Return what is left of an edge's decoders beside one idle server without children, when they had time to end."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while left := await _left(edge):
        if time.monotonic() > until:
            break
        await asyncio.sleep(0.05)
    return left


async def _left(edge: psutil.Process) -> list[str]:
    processes = edge.children(recursive=True)
    if len(processes) == 1 and not await _is_busy(processes[0]):
        return []
    return [str(process) for process in processes]


async def _is_busy(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        before = process.cpu_times()
        await asyncio.sleep(0.1)
        return process.cpu_times() != before
    return False


@dataclass
class MemoryPeaks:
    """The most that an edge and its decoders held while they were watched, in bytes."""

    edge: int
    """What the edge had when the watch began, and then the most."""
    growth: int = 0
    """How much more than at the beginning the edge had at the most."""
    decoder: int = 0
    """Of the largest decoder."""
    decoder_at: float = 0.0
    """When it was seen, on `time.monotonic`."""


@asynccontextmanager
async def watched_memory(edge: psutil.Process) -> AsyncIterator[MemoryPeaks]:
    """Watch an edge and all of its descendants; the peaks are complete when the context is left."""
    peaks = MemoryPeaks(edge.memory_info().rss)
    watching = asyncio.create_task(_watch(edge, peaks))
    try:
        yield peaks
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch(edge: psutil.Process, peaks: MemoryPeaks) -> None:
    begun_with = peaks.edge
    while True:
        peaks.edge = max(peaks.edge, edge.memory_info().rss)
        peaks.growth = peaks.edge - begun_with
        for child in edge.children(recursive=True):
            most = _most_resident(child.pid)
            if most > peaks.decoder:
                peaks.decoder, peaks.decoder_at = most, time.monotonic()
        await asyncio.sleep(_SAMPLE_SECONDS)


def _most_resident(pid: int) -> int:
    """Return the most that a process ever held resident, in bytes; 0 when it has ended.

    The kernel remembers it, so a peak between two looks is seen too, and psutil does not tell it.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)
