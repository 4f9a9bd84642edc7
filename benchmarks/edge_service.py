"""The edge as a process of its own, in front of engines that need no models, and ordinary requests to it."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.load import helper
from benchmarks.uploads import form_around
from services.accounts.plans import UNLIMITED
from tests.edge.accounts import AUTH, new_database, plans_file
from tests.edge.edge_process import EdgeProcess
from tests.edge.fake_mesh import spooled, tone

MODELS = "GET /v1/models"
TRANSCRIBE = "POST /v1/transcribe"

_CLIP_SECONDS = 5.0
_MODELS_IN_A_TURN = 4
"""Requests of `MODELS` for each clip, which takes so much longer."""
_WARMING_TURNS = 20
_SETTLE_SECONDS = 1.0
_MOST_SETTLE_SECONDS = 30.0


@dataclass(frozen=True)
class Asked:
    """One request, its answer read."""

    kind: str
    began: float
    """As `time.monotonic` says."""
    seconds: float


class EdgeService:
    """A running edge.

    Args:
        process: its process.
        session: to ask it with.
        spool: folder of its uploads.
    """

    def __init__(self, process: "_Process", session: aiohttp.ClientSession, spool: Path) -> None:
        self.url, self.pid = process.url, process.pid
        self._session = session
        self._spool = spool
        self._clip = wav_form(tone(_CLIP_SECONDS))

    async def transcribe(self, form: tuple[bytes, str]) -> Asked:
        """Have a form with a recording transcribed; see `wav_form`."""
        body, content_type = form
        return await self._ask(TRANSCRIBE, body, content_type)

    async def turn(self) -> list[Asked]:
        """Make ordinary requests of both kinds, one after the other."""
        asked = [await self._ask(MODELS) for _ in range(_MODELS_IN_A_TURN)]
        return [*asked, await self.transcribe(self._clip)]

    async def turns(self, count: int) -> list[Asked]:
        """Make so many turns of ordinary requests."""
        return [asked for _ in range(count) for asked in await self.turn()]

    async def settle(self) -> None:
        """Wait until no upload is left, and a moment longer.

        Raises:
            RuntimeError: one is left after half a minute.
        """
        give_up_at = time.monotonic() + _MOST_SETTLE_SECONDS
        while spooled(self._spool, self.pid):
            if time.monotonic() > give_up_at:
                raise RuntimeError("the edge holds on to uploads whose senders have gone")
            await asyncio.sleep(0.1)
        await asyncio.sleep(_SETTLE_SECONDS)

    async def _ask(self, kind: str, body: bytes | None = None, content_type: str = "") -> Asked:
        method, path = kind.split()
        headers = {**AUTH, "Content-Type": content_type} if body is not None else AUTH
        began = time.monotonic()
        async with self._session.request(method, self.url + path, data=body, headers=headers) as answer:
            said = await answer.read()
        seconds = time.monotonic() - began
        if answer.status != 200:
            raise RuntimeError(f"{kind}: {answer.status} {said[:200]!r}")
        return Asked(kind, began, seconds)


class _Process(EdgeProcess):
    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid


def wav_form(file: bytes) -> tuple[bytes, str]:
    """Return a form with a file whose speakers nobody asks for, and the form's content type."""
    before, after, content_type = form_around({"diarize": "false"})
    return before + file + after, content_type


@asynccontextmanager
async def running_edge(folder: Path, max_file_bytes: int, engine_speed: float = 0.0) -> AsyncIterator[EdgeService]:
    """Run an edge on a new database, and have it answer some requests; stop it afterwards.

    Args:
        folder: where it keeps everything.
        max_file_bytes: the largest file that it takes.
        engine_speed: how many seconds of a long recording are recognized in a second; 0 for as many as come.
    """
    with tempfile.TemporaryDirectory(prefix="edge-", dir=folder) as name:
        own = Path(name)
        async with helper("mesh", engine_speed=engine_speed) as mesh, aiohttp.ClientSession() as session:
            settings = {
                **await mesh.hear(),
                "database_url": await new_database(own),
                "plans_file": plans_file(own, **{UNLIMITED: {"max_file_bytes": max_file_bytes}}),
                "spool_dir": own / "spool",
                "drain_seconds": 5,
            }
            process = _Process(settings, own / "edge.log")
            try:
                await process.start()
                edge = EdgeService(process, session, own / "spool")
                await edge.turns(_WARMING_TURNS)
                yield edge
            finally:
                await asyncio.to_thread(process.stop)
