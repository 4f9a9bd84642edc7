"""The model and those who share it: rows that write, step by step, and texts that are read in between.

A round is the shortest stretch of work: every row that is writing gets its next token, and a chunk of what waits
to be read is read. So nobody who writes waits for longer than a chunk, however long a text another one brings,
and a request that is cancelled is rid of its rows before the next round.

Everything but the model runs on the event loop, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from services.runtime import metrics
from services.runtime.fair_queue import FairQueue, Request
from services.runtime.logs import get_logger
from services.summarize.engine import CHUNK_TOKENS, Chunk, LanguageModel, Step

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Vectors: TypeAlias = "NDArray[np.float32]"

_FORGETTING = 0.98
_TOKENS_OF_A_CHUNK = 30


@dataclass(frozen=True)
class Written:
    """What came of a prompt."""

    tokens: int
    """How many were written, that of the end among them."""
    complete: bool
    """Whether the model ended it, or who took its tokens; not the limit."""


@dataclass(eq=False)
class _Writing:
    """A prompt and what is written after it."""

    request: Request
    prompt: Sequence[int]
    most: int
    take: Callable[[int], bool]
    done: asyncio.Future[Written]
    since: float
    row: int = -1
    read: int = 0
    written: list[int] = field(default_factory=list)
    vocabulary: set[int] = field(default_factory=set)

    @property
    def writes(self) -> bool:
        """Whether all of the prompt but its last token has been read, so that the next token can be written."""
        return self.row >= 0 and self.read == len(self.prompt) - 1

    def chunk(self) -> Chunk:
        """Return what is read next; another time, when this has been read."""
        end = min(self.read + CHUNK_TOKENS, len(self.prompt) - 1)
        return Chunk(self.row, self.read, self.prompt[self.read : end])

    def step(self) -> Step:
        token = self.written[-1] if self.written else self.prompt[-1]
        return Step(self.row, self.read + len(self.written), token, self.vocabulary)


@dataclass(eq=False)
class _Embedding:
    """Texts that get vectors at once."""

    request: Request
    texts: Sequence[Sequence[int]]
    done: asyncio.Future[Vectors]


class Device:
    """One language model, shared.

    Args:
        model: what computes.
        thread: in which it computes: the one in which it was loaded. Each thread that uses OpenMP has a team of its
            own, and where there are more of them than cores, all of them sleep between any two products (seen: 34 ms
            a step become 44).
        clock: tells the time in seconds.
    """

    def __init__(
        self,
        model: LanguageModel,
        thread: ThreadPoolExecutor | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model = model
        self._clock = clock
        self._waiting: FairQueue[_Writing] = FairQueue()
        self._reading: FairQueue[_Writing | _Embedding] = FairQueue()
        self._rows: dict[int, _Writing] = {}
        self._free = list(range(model.rows))
        # Of each row that is free: the beginning of what it holds.
        self._held: dict[int, Sequence[int]] = {}
        self._thread = thread or ThreadPoolExecutor(1, thread_name_prefix="summarize-model")
        self._now: _Writing | _Embedding | None = None
        self._working: asyncio.Task[None] | None = None
        self._tokens, self._seconds = 0.0, 0.0

    async def embed(self, request: Request, texts: Sequence[Sequence[int]]) -> Vectors:
        """Return the vectors of some texts, together about a chunk; see `LanguageModel.embed`."""
        done: asyncio.Future[Vectors] = asyncio.get_running_loop().create_future()
        self._reading.add(request, _Embedding(request, texts, done))
        self._wake()
        return await done

    async def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of some texts; see `LanguageModel.encode`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.model.encode, texts)

    async def write(self, request: Request, prompt: Sequence[int], most: int, take: Callable[[int], bool]) -> Written:
        """Write after `prompt`.

        Args:
            request: whose turn it takes.
            prompt: at least one token; with `most` they fit into the model's window.
            most: tokens after which it ends.
            take: takes each token but that of the end, and says whether it wants another.
        """
        assert prompt
        assert len(prompt) + most <= self.model.window, "this does not fit into a row"
        done: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        self._waiting.add(request, _Writing(request, prompt, most, take, done, self._clock()))
        self._wake()
        return await done

    def end(self, request: Request) -> None:
        """Forget a request: what it waits for is cancelled, its rows are free for others from the next round on."""
        for piece in [*self._waiting.end(request), *self._reading.end(request), self._now]:
            if piece is not None and piece.request is request:
                piece.done.cancel()
        for writing in [writing for writing in self._rows.values() if writing.request is request]:
            self._leave(writing)
            writing.done.cancel()

    def expected_wait_seconds(self) -> float:
        """Return when one of the requests that are under way should be done, judged by the pace so far."""
        pace = self._seconds / self._tokens if self._tokens else 0.05
        tokens = sum(writing.most - len(writing.written) for writing in self._rows.values())
        # Of what waits nobody knows the length; a chunk of anything takes as long as a few written tokens.
        waiting = len(self._waiting) * self.model.window // CHUNK_TOKENS + len(self._reading)
        requests = {writing.request for writing in self._rows.values()}
        return pace * (tokens + _TOKENS_OF_A_CHUNK * waiting) / max(1, len(requests))

    def _wake(self) -> None:
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while True:
            self._admit()
            reading = self._reading.take(1)
            writing = [held for held in self._rows.values() if held.writes]
            if not reading and not writing:
                # Here and not when the task is over: what comes in between would find nobody.
                self._working = None
                return
            self._now = reading[0][1] if reading else None
            await self._round(self._now, writing)
            self._now = None

    def _admit(self) -> None:
        """Give free rows to the prompts whose turn it is."""
        while self._free and (taken := self._waiting.take(1)):
            writing = taken[0][1]
            writing.row = max(self._free, key=lambda row: (self._known(row, writing.prompt), -row))
            self._free.remove(writing.row)
            writing.read = self._known(writing.row, writing.prompt)
            self._rows[writing.row] = writing
            metrics.QUEUE_WAIT_SECONDS.labels("summarize").observe(self._clock() - writing.since)
            if not writing.writes:
                self._reading.add(writing.request, writing)
        metrics.SUMMARIZE_ROWS.set(len(self._rows))
        metrics.SUMMARIZE_QUEUE_PROMPTS.set(len(self._waiting))

    def _known(self, row: int, prompt: Sequence[int]) -> int:
        """Return how much of a prompt a free row has read already: the instructions that many prompts begin with.

        Whole chunks only: read in others, the same tokens might be rounded otherwise.
        """
        held = self._held.get(row, ())
        most = min(len(held), len(prompt) - 1) // CHUNK_TOKENS * CHUNK_TOKENS
        chunks = range(0, most, CHUNK_TOKENS)
        return next((at for at in chunks if held[at : at + CHUNK_TOKENS] != prompt[at : at + CHUNK_TOKENS]), most)

    async def _round(self, reading: _Writing | _Embedding | None, writing: Sequence[_Writing]) -> None:
        began = self._clock()
        steps = [held.step() for held in writing]
        chunk = reading.chunk() if isinstance(reading, _Writing) else None
        loop = asyncio.get_running_loop()
        try:
            if steps:
                tokens = await loop.run_in_executor(self._thread, self.model.write, steps)
                assert len(tokens) == len(steps)
                self._measure(len(tokens), self._clock() - began)
                for held, token in zip(writing, tokens, strict=True):
                    self._took(held, token)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is these requests' and nobody else's
            self._failed(error, writing)
        try:
            if isinstance(reading, _Embedding) and not reading.done.done():
                vectors = await loop.run_in_executor(self._thread, self.model.embed, reading.texts)
                metrics.SUMMARIZE_TOKENS.labels("read").inc(sum(map(len, reading.texts)))
                if not reading.done.done():
                    reading.done.set_result(vectors)
            elif isinstance(reading, _Writing) and chunk is not None and self._holds(reading):
                await loop.run_in_executor(self._thread, self.model.read, chunk)
                self._was_read(reading, chunk)
        except Exception as error:  # noqa: BLE001 - as above
            assert reading is not None
            self._failed(error, [reading])
        metrics.BUSY_SECONDS.labels("summarize").inc(self._clock() - began)

    def _was_read(self, writing: _Writing, chunk: Chunk) -> None:
        metrics.SUMMARIZE_TOKENS.labels("read").inc(len(chunk.tokens))
        writing.read += len(chunk.tokens)
        if self._holds(writing) and not writing.writes:
            self._reading.add(writing.request, writing)

    def _took(self, writing: _Writing, token: int) -> None:
        if not self._holds(writing):
            return  # cancelled while its token was computed
        writing.written.append(token)
        writing.vocabulary.add(token)
        if len(writing.written) == 1:
            metrics.SUMMARIZE_FIRST_TOKEN_SECONDS.observe(self._clock() - writing.since)
        try:
            complete = token in self.model.ends or not writing.take(token)
        except Exception as error:  # noqa: BLE001 - who reads along can fail, too
            self._failed(error, [writing])
            return
        if complete or len(writing.written) >= writing.most:
            self._leave(writing)
            if not writing.done.done():
                writing.done.set_result(Written(len(writing.written), complete))

    def _holds(self, writing: _Writing) -> bool:
        return self._rows.get(writing.row) is writing

    def _leave(self, writing: _Writing) -> None:
        del self._rows[writing.row]
        self._free.append(writing.row)
        self._held[writing.row] = writing.prompt[: writing.read]
        metrics.SUMMARIZE_ROWS.set(len(self._rows))

    def _failed(self, error: Exception, pieces: Sequence[_Writing | _Embedding]) -> None:
        get_logger().error("round_failed", pieces=len(pieces), exc_info=error)
        for piece in pieces:
            if isinstance(piece, _Writing) and self._holds(piece):
                self._leave(piece)
                self._held.pop(piece.row, None)  # who knows what it holds now
            if not piece.done.done():
                piece.done.set_exception(error)

    def _measure(self, tokens: int, seconds: float) -> None:
        self._tokens = self._tokens * _FORGETTING + tokens
        self._seconds = self._seconds * _FORGETTING + seconds
        metrics.SUMMARIZE_STEP_SECONDS.observe(seconds)
        metrics.SUMMARIZE_TOKENS.labels("written").inc(tokens)
        metrics.SUMMARIZE_TOKENS_PER_SECOND.set(self._tokens / self._seconds if self._seconds else 0)
