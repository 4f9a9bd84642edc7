"""How far a pull is, told to whoever shows it."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

_POLL_SECONDS = 0.2


class Phase(Enum):
    """What a pull is doing."""

    WAITING = "waiting for another pull"
    DOWNLOADING = "downloading"
    VERIFYING = "verifying"
    PREPARING = "preparing"
    DONE = "done"


@dataclass(frozen=True)
class Progress:
    """How far one model is: bytes of this phase that are done, of how many."""

    model_id: str
    phase: Phase
    done_bytes: int = 0
    total_bytes: int = 0
    note: str = ""
    """A sentence for the user, where there is something to be said."""


Report = Callable[[Progress], None]
"""Hears of every step; may be called from another thread than the pull's."""


def ignore_progress(_: Progress) -> None:
    """Be told, and show nothing."""


class Counter:
    """Counts the bytes of one phase and reports them, at most once a megabyte."""

    def __init__(self, report: Report, model_id: str, phase: Phase, total_bytes: int) -> None:
        self._report = report
        self._start = Progress(model_id, phase, 0, total_bytes)
        self._done = 0
        self._reported = 0
        report(self._start)

    def add(self, byte_count: int) -> None:
        """Count `byte_count` more bytes."""
        self._done += byte_count
        total = self._start.total_bytes
        if self._done - self._reported >= 1_000_000 or self._done >= total:
            self._reported = self._done
            self._report(Progress(self._start.model_id, self._start.phase, min(self._done, total), total))


@contextmanager
def watching(folders: Sequence[Path], start: Progress, report: Report) -> Iterator[None]:
    """Report the growth of `folders` while the body runs.

    pip has no byte callback and the hub's client has one only for its own bars, so both are watched from
    outside: what lies in the folders counts as done. The count never runs backwards, nor past the total.
    """
    stop = threading.Event()

    def poll() -> None:
        most = start.done_bytes
        while not stop.wait(_POLL_SECONDS):
            size = sum(folder_bytes(folder) for folder in folders)
            if size > most:
                most = min(size, start.total_bytes)
                report(Progress(start.model_id, start.phase, most, start.total_bytes))

    report(start)
    thread = threading.Thread(target=poll, name="pull-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def folder_bytes(folder: Path) -> int:
    """Return how many bytes the files under `folder` have, which may change meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # Gone since it was listed.
                total += os.path.getsize(os.path.join(parent, name))
    return total
