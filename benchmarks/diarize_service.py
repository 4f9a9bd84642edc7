"""The diarize service alone, as a process of its own, and calls to it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.service_process import ServiceProcess, running
from services.edge.clients import Diarization, DiarizeClient
from services.edge.tiers import Tier

CHUNK_BYTES = 256 * 1024
_REQUEST_SECONDS = 7200.0


@dataclass(frozen=True)
class Told:
    """Who the service says spoke when."""

    diarization: Diarization
    seconds: float
    """From the call to its end."""

    @property
    def speakers(self) -> int:
        """How many there are."""
        return len({turn.speaker for turn in self.diarization.turns})


@dataclass(frozen=True)
class DiarizeService:
    """A running service."""

    process: ServiceProcess
    client: DiarizeClient

    async def diarize(self, pcm: bytes, *, speakers: int = 0, repetitions: int = 1) -> Told:
        """Send 16 kHz mono s16 PCM, as often as wanted, as fast as it is taken."""
        began = time.monotonic()
        told = await self.client.diarize(
            chunks(pcm, repetitions),
            speakers=speakers,
            caller="",
            request_id="benchmark",
            progress=lambda _: None,
        )
        return Told(told, time.monotonic() - began)


async def chunks(pcm: bytes, repetitions: int = 1) -> AsyncIterator[bytes]:
    for _ in range(repetitions):
        for place in range(0, len(pcm), CHUNK_BYTES):
            yield pcm[place : place + CHUNK_BYTES]


@asynccontextmanager
async def running_diarize(**settings: str) -> AsyncIterator[DiarizeService]:
    """Run the service with these settings; see `service_process.running`."""
    async with running("diarize", **settings) as process:
        tier = Tier("diarize", process.target)
        try:
            yield DiarizeService(process, DiarizeClient(tier, _REQUEST_SECONDS))
        finally:
            await tier.close()
