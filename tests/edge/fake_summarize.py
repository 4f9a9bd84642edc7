"""A summarize service that writes down the first words it reads."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from services.runtime.errors import invalid_field
from services.runtime.spans import to_seconds, to_span
from speechmesh.common.v1 import common_pb2
from speechmesh.summarize.v1 import summarize_pb2, summarize_pb2_grpc

MODEL = "qwen-of-the-tests"

_LANGUAGES = {"", "en", "de", "ko"}
_LONGEST_WORD = 100
_LISTS = (summarize_pb2.SUMMARY_STYLE_ACTION_ITEMS, summarize_pb2.SUMMARY_STYLE_BULLET_POINTS)


class FakeSummarize(summarize_pb2_grpc.SummarizeServiceServicer):
    """Repeats the first words in the style's shape, a word at a time, and keeps what it was asked.

    Every segment is a part of its own, of which one thing is noted: a task where it has the word "must". A section
    comes from the first segments, the last of them with the end.

    Args:
        failure: when given, how every request ends after its first word.
        hold: whether every request waits after its first word, until `released`.
        warnings: of every summary.
    """

    def __init__(self, *, failure: Exception | None = None, hold: bool = False, warnings: tuple[str, ...] = ()) -> None:
        self._failure = failure
        self._warnings = warnings
        self.requests: list[summarize_pb2.SummarizeRequest] = []
        self.running = asyncio.Event()
        self.released = asyncio.Event()
        self.cancelled = asyncio.Event()
        if not hold:
            self.released.set()

    async def Summarize(self, request: summarize_pb2.SummarizeRequest, context: Any) -> AsyncIterator[Any]:
        self.requests.append(request)
        if request.language_code not in _LANGUAGES:
            raise invalid_field("language_code", f"There is no language {request.language_code!r}.")
        sections = _sections(request)
        text = ("\n" if request.style in _LISTS else "\n\n").join(section.text for section in sections)
        yield summarize_pb2.SummarizeResponse(completed_ratio=0.25)
        for number, word in enumerate(text.split(" ")):
            yield summarize_pb2.SummarizeResponse(text_delta=f" {word}" if number else word)
            if not number:
                await self._linger()
        yield summarize_pb2.SummarizeResponse(completed_ratio=1.0)
        yield summarize_pb2.SummarizeResponse(
            summary=summarize_pb2.Summary(
                text=text,
                model=MODEL,
                input_token_count=len(_words(request)),
                output_token_count=len(text.split()),
                coverage=1.0,
                language_code=request.language_code or "en",
                sections=sections,
                parts=_parts(request),
                warnings=self._warnings,
            )
        )

    async def _linger(self) -> None:
        self.running.set()
        if self._failure is not None:
            raise self._failure
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def _words(request: summarize_pb2.SummarizeRequest) -> list[str]:
    texts = [segment.text for segment in request.segments] or [request.text]
    return [word[:_LONGEST_WORD] for word in " ".join(texts).split()]


def _sections(request: summarize_pb2.SummarizeRequest) -> list[summarize_pb2.Section]:
    words = _words(request)
    texts = [" ".join(words[:4]), " ".join(words[4:8])]
    if request.style == summarize_pb2.SUMMARY_STYLE_HEADLINE:
        texts = texts[:1]
    mark = "- " if request.style in _LISTS else ""
    sources = [_source(request, 0, min(1, len(request.segments) - 1))] if request.segments else []
    return [summarize_pb2.Section(text=mark + text, sources=sources) for text in texts if text]


def _parts(request: summarize_pb2.SummarizeRequest) -> list[summarize_pb2.Part]:
    if not request.segments:
        note = summarize_pb2.Note(text=" ".join(_words(request)[:3]), kind=summarize_pb2.NOTE_KIND_POINT)
        return [summarize_pb2.Part(token_count=len(_words(request)), notes=[note])]
    return [
        summarize_pb2.Part(
            token_count=len(segment.text.split()),
            notes=[
                summarize_pb2.Note(
                    text=segment.text,
                    kind=summarize_pb2.NOTE_KIND_TASK if "must" in segment.text else summarize_pb2.NOTE_KIND_POINT,
                    source=_source(request, number, number),
                )
            ],
        )
        for number, segment in enumerate(request.segments)
    ]


def _source(request: summarize_pb2.SummarizeRequest, first: int, last: int) -> summarize_pb2.Source:
    return summarize_pb2.Source(first_segment_index=first, last_segment_index=last, span=_span(request, first, last))


def _span(request: summarize_pb2.SummarizeRequest, first: int, last: int) -> common_pb2.TimeSpan | None:
    begin, end = request.segments[first], request.segments[last]
    if not begin.HasField("span") or not end.HasField("span"):
        return None
    return to_span(to_seconds(begin.span.start_offset), to_seconds(end.span.end_offset))
