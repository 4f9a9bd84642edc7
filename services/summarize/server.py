"""The gRPC skin of summarize: protobuf to values and back, nothing decided."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING

import grpc

from services.runtime.admission import Admission
from services.runtime.errors import invalid_field
from services.runtime.lifecycle import Loading
from services.runtime.worker import Work, stream_from_thread
from services.summarize.engine import Style, Summarizer
from speechmesh.summarize.v1 import summarize_pb2, summarize_pb2_grpc

if TYPE_CHECKING:
    SummarizeContext = grpc.aio.ServicerContext[summarize_pb2.SummarizeRequest, summarize_pb2.SummarizeResponse]

_STYLES = {
    summarize_pb2.SUMMARY_STYLE_UNSPECIFIED: Style.BRIEF,
    summarize_pb2.SUMMARY_STYLE_BRIEF: Style.BRIEF,
    summarize_pb2.SUMMARY_STYLE_DETAILED: Style.DETAILED,
    summarize_pb2.SUMMARY_STYLE_ACTION_ITEMS: Style.ACTION_ITEMS,
    summarize_pb2.SUMMARY_STYLE_BULLET_POINTS: Style.BULLET_POINTS,
    summarize_pb2.SUMMARY_STYLE_HEADLINE: Style.HEADLINE,
}


class SummarizeServicer(summarize_pb2_grpc.SummarizeServiceServicer):
    """Serves `SummarizeService`.

    Args:
        summarizer: the loaded model, once it is.
        admission: how many requests are taken, and that one runs at a time.
    """

    def __init__(self, summarizer: Loading[Summarizer], admission: Admission) -> None:
        self._summarizer = summarizer
        self._admission = admission

    async def Summarize(
        self, request: summarize_pb2.SummarizeRequest, context: SummarizeContext
    ) -> AsyncIterator[summarize_pb2.SummarizeResponse]:
        """Stream a summary, then send the whole of it."""
        summarizer = self._summarizer.get()
        if not request.text.strip():
            raise invalid_field("text", "`text` must not be empty.")
        style = _STYLES.get(request.style)
        if style is None:
            known = ", ".join(summarize_pb2.SummaryStyle.keys())
            raise invalid_field("style", f"There is no style {request.style}; there are: {known}.")
        with self._admission.place():
            async with self._admission.slot():
                responses = _run(summarizer, request.text, style)
                async with contextlib.aclosing(responses):
                    async for response in responses:
                        yield response


def _run(summarizer: Summarizer, text: str, style: Style) -> AsyncGenerator[summarize_pb2.SummarizeResponse, None]:
    def run(work: Work[summarize_pb2.SummarizeResponse]) -> None:
        summary = summarizer.summarize(
            text,
            style,
            lambda piece: work.emit(summarize_pb2.SummarizeResponse(text_delta=piece)),
            work.cancelled,
        )
        whole = summarize_pb2.Summary(
            text=summary.text,
            model=summarizer.model,
            input_token_count=summary.input_tokens,
            output_token_count=summary.output_tokens,
        )
        work.emit(summarize_pb2.SummarizeResponse(summary=whole))

    return stream_from_thread(run)
