"""The gRPC skin of summarize: protobuf to values and back, nothing decided."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING

import grpc

from services.runtime import metrics
from services.runtime.admission import Admission
from services.runtime.callers import turns_of
from services.runtime.errors import Fault, MeshError, invalid_field
from services.runtime.lifecycle import Loading
from services.runtime.spans import to_seconds, to_span
from services.summarize.languages import NAMES
from services.summarize.style import Style
from services.summarize.summary import NoteKind, Summary, Wishes
from services.summarize.transcript import Segment, Transcript, from_segments, from_text, same_words
from speechmesh.summarize.v1 import summarize_pb2, summarize_pb2_grpc

if TYPE_CHECKING:
    from services.summarize.summarizer import Summarizer

    SummarizeContext = grpc.aio.ServicerContext[summarize_pb2.SummarizeRequest, summarize_pb2.SummarizeResponse]

_STYLES = {
    summarize_pb2.SUMMARY_STYLE_UNSPECIFIED: Style.BRIEF,
    summarize_pb2.SUMMARY_STYLE_BRIEF: Style.BRIEF,
    summarize_pb2.SUMMARY_STYLE_DETAILED: Style.DETAILED,
    summarize_pb2.SUMMARY_STYLE_ACTION_ITEMS: Style.ACTION_ITEMS,
    summarize_pb2.SUMMARY_STYLE_BULLET_POINTS: Style.BULLET_POINTS,
    summarize_pb2.SUMMARY_STYLE_HEADLINE: Style.HEADLINE,
}
_NOTE_KINDS = {
    NoteKind.POINT: summarize_pb2.NOTE_KIND_POINT,
    NoteKind.TASK: summarize_pb2.NOTE_KIND_TASK,
}

_Response = summarize_pb2.SummarizeResponse


class SummarizeServicer(summarize_pb2_grpc.SummarizeServiceServicer):
    """Serves `SummarizeService`.

    Args:
        summarizer: the loaded model, once it is.
        admission: how many requests are taken.
        max_characters: longest transcript that is taken.
    """

    def __init__(self, summarizer: Loading[Summarizer], admission: Admission, *, max_characters: int) -> None:
        self._summarizer = summarizer
        self._admission = admission
        self._max_characters = max_characters

    async def Summarize(
        self, request: summarize_pb2.SummarizeRequest, context: SummarizeContext
    ) -> AsyncIterator[_Response]:
        """Stream a summary, then send the whole of it."""
        summarizer = self._summarizer.get()
        began = time.monotonic()
        with self._admission.place(), _counting_cancellation():
            # Cutting three hours into sentences takes a while, in which others want their tokens.
            wishes, segments = await asyncio.to_thread(self._read, request)
            answers: asyncio.Queue[_Response | None] = asyncio.Queue()
            summing = asyncio.ensure_future(
                summarizer.summarize(
                    wishes,
                    lambda piece: answers.put_nowait(_Response(text_delta=piece)),
                    lambda share: answers.put_nowait(_Response(completed_ratio=share)),
                )
            )
            # Everything else was put into the queue before.
            summing.add_done_callback(lambda _: answers.put_nowait(None))
            waiting = True
            try:
                while (answer := await answers.get()) is not None:
                    if waiting and answer.WhichOneof("event") == "text_delta":
                        metrics.SUMMARIZE_FIRST_TEXT_SECONDS.observe(time.monotonic() - began)
                        waiting = False
                    yield answer
                yield await asyncio.to_thread(
                    _to_response, summing.result(), wishes.transcript, segments, summarizer.model
                )
            finally:
                summing.cancel()
                await asyncio.wait([summing])
                if not summing.cancelled():
                    summing.exception()  # who has left need not hear of it

    def _read(self, request: summarize_pb2.SummarizeRequest) -> tuple[Wishes, list[Segment]]:
        length = max(len(request.text), sum(len(segment.text) for segment in request.segments))
        if length > self._max_characters:
            raise MeshError(
                Fault.TOO_LARGE,
                f"The transcript has {length} characters; up to {self._max_characters} are taken.",
                code="text_too_long",
                field="segments" if request.segments else "text",
            )
        segments = [_to_segment(segment) for segment in request.segments]
        return _to_wishes(request, segments), segments


@contextlib.contextmanager
def _counting_cancellation() -> Iterator[None]:
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        metrics.SUMMARIZE_CANCELLED.inc()
        raise


def _to_wishes(request: summarize_pb2.SummarizeRequest, segments: Sequence[Segment]) -> Wishes:
    style = _STYLES.get(request.style)
    if style is None:
        known = ", ".join(summarize_pb2.SummaryStyle.keys())
        raise invalid_field("style", f"There is no style {request.style}; there are: {known}.")
    if request.language_code and request.language_code not in NAMES:
        raise invalid_field("language_code", f"The language must be one of: {', '.join(NAMES)}.")
    turns_of(request.caller)  # refuses a name that is too long before any work
    return Wishes(_to_transcript(request.text, segments), style, request.language_code or None, request.caller)


def _to_transcript(text: str, segments: Sequence[Segment]) -> Transcript:
    if not segments:
        transcript = from_text(text)
        if not transcript.sentences:
            raise invalid_field("text", "`text` must not be empty.")
        return transcript
    if text.strip() and not same_words(text, segments):
        raise invalid_field("text", "`text` says what `segments` do not; send either, or the same in both.")
    transcript = from_segments(segments)
    if not transcript.sentences:
        raise invalid_field("segments", "Nothing is said in `segments`.")
    return transcript


def _to_segment(segment: summarize_pb2.TranscriptSegment) -> Segment:
    if not segment.HasField("span"):
        return Segment(segment.text, segment.speaker)
    start, end = to_seconds(segment.span.start_offset), to_seconds(segment.span.end_offset)
    if not 0 <= start <= end:
        raise invalid_field("segments", "The times of a segment must be 0 or more, and its end not before its start.")
    return Segment(segment.text, segment.speaker, start, end)


def _to_response(summary: Summary, transcript: Transcript, segments: Sequence[Segment], model: str) -> _Response:
    def sources(numbers: Sequence[int]) -> list[summarize_pb2.Source]:
        found = [_to_source(transcript, segments, (number,)) for number in numbers]
        return [source for source in found if source is not None]

    whole = summarize_pb2.Summary(
        text=summary.text,
        model=model,
        input_token_count=summary.input_tokens,
        output_token_count=summary.output_tokens,
        coverage=summary.coverage,
        language_code=summary.language,
        sections=[
            summarize_pb2.Section(text=section.text, sources=sources(section.sentences)) for section in summary.sections
        ],
        parts=[
            summarize_pb2.Part(
                token_count=part.tokens,
                notes=[
                    summarize_pb2.Note(
                        text=note.text,
                        kind=_NOTE_KINDS[note.kind],
                        source=_to_source(transcript, segments, note.sentences),
                    )
                    for note in part.notes
                ],
            )
            for part in summary.parts
        ],
        warnings=summary.warnings,
    )
    return _Response(summary=whole)


def _to_source(
    transcript: Transcript, segments: Sequence[Segment], numbers: Sequence[int]
) -> summarize_pb2.Source | None:
    """Return the segments from the first to the last of some sentences; None where the request had no segments."""
    places = [transcript.sentences[number] for number in numbers]
    firsts = [place.first_segment for place in places if place.first_segment is not None]
    lasts = [place.last_segment for place in places if place.last_segment is not None]
    if not firsts or not lasts:
        return None
    first, last = min(firsts), max(lasts)
    source = summarize_pb2.Source(first_segment_index=first, last_segment_index=last)
    starts = [segment.start for segment in segments[first : last + 1] if segment.start is not None]
    ends = [segment.end for segment in segments[first : last + 1] if segment.end is not None]
    if starts and ends:
        source.span.CopyFrom(to_span(min(starts), max(ends)))
    return source
