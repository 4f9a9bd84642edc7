"""The summarize service alone, as a process of its own, calls to it, and what its metrics say."""

import asyncio
import time
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.meetings import Said
from benchmarks.service_process import ServiceProcess, running
from services.runtime.spans import to_span
from services.summarize.style import Style
from speechmesh.summarize.v1 import summarize_pb2, summarize_pb2_grpc

_REQUEST_SECONDS = 4 * 3600.0


@dataclass(frozen=True)
class Answer:
    """A summary, and how it came."""

    summary: summarize_pb2.Summary
    streamed: str
    """Its pieces, joined."""
    seconds: float
    """From the call to its end."""
    first_seconds: float
    """From the call to the first piece."""

    @property
    def text(self) -> str:
        """The summary."""
        return self.summary.text

    @property
    def notes(self) -> list[summarize_pb2.Note]:
        """What was noted while reading, of all parts."""
        return [note for part in self.summary.parts for note in part.notes]

    @property
    def lines(self) -> list[str]:
        """The items of a list; none of a list that has nothing but "none"."""
        return [line.removeprefix("- ") for line in self.text.split("\n") if line != "none"]


@dataclass(frozen=True)
class Measured:
    """What the metrics of the service say."""

    rows: int
    """Rows of the model in use."""
    steps: int
    """Steps in which tokens were written, since the start."""
    step_seconds: float
    """Time of all of them."""
    written: int
    """Tokens written, since the start."""
    cancelled: int
    """Requests cancelled, since the start."""


@dataclass(frozen=True)
class SummarizeService(ServiceProcess):
    """A running service."""

    async def summarize(self, transcript: str | Sequence[Said], style: Style, caller: str = "") -> Answer:
        """Have a transcript summed up, a text or segments with their times."""
        began = time.monotonic()
        first: float | None = None
        pieces = list[str]()
        summary: summarize_pb2.Summary | None = None
        async for response in self.call(transcript, style, caller):
            if response.HasField("text_delta"):
                first = first or time.monotonic() - began
                pieces.append(response.text_delta)
            elif response.HasField("summary"):
                summary = response.summary
        assert summary is not None
        seconds = time.monotonic() - began
        return Answer(summary, "".join(pieces), seconds, first or seconds)

    def call(self, transcript: str | Sequence[Said], style: Style, caller: str = "") -> Any:
        """Return a call that has begun; iterate over it for its answers, or cancel it."""
        request = summarize_pb2.SummarizeRequest(
            style=summarize_pb2.SummaryStyle.Value(f"SUMMARY_STYLE_{style.name}"), caller=caller
        )
        if isinstance(transcript, str):
            request.text = transcript
        else:
            request.segments.extend(_segment(said) for said in transcript)
        stub: Any = summarize_pb2_grpc.SummarizeServiceStub(self.channel)
        return stub.Summarize(request, timeout=_REQUEST_SECONDS)

    async def measured(self) -> Measured:
        """Return what the metrics say now."""
        return await asyncio.to_thread(self._measured)

    def _measured(self) -> Measured:
        with urllib.request.urlopen(f"http://{self.metrics}/metrics") as answer:
            return parse_metrics(answer.read().decode())


def _segment(said: Said) -> summarize_pb2.TranscriptSegment:
    return summarize_pb2.TranscriptSegment(text=said.text, speaker=said.speaker, span=to_span(said.start, said.end))


def parse_metrics(text: str) -> Measured:
    """Read the metrics that matter here from Prometheus' text; what nobody has counted yet is 0."""
    values = dict[str, float]()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if "le" not in sample.labels:
                values[" ".join([sample.name, *sample.labels.values()])] = sample.value

    def value(name: str) -> float:
        return values.get(f"speechmesh_summarize_{name}", 0.0)

    return Measured(
        rows=int(value("rows")),
        steps=int(value("step_seconds_count")),
        step_seconds=value("step_seconds_sum"),
        written=int(value("tokens_total written")),
        cancelled=int(value("cancelled_total")),
    )


@asynccontextmanager
async def running_summarize(**settings: str) -> AsyncIterator[SummarizeService]:
    """Run the service with these settings; see `service_process.running`."""
    async with running("summarize", **settings) as service:
        yield SummarizeService(service.channel, service.process, service.target, service.metrics)
