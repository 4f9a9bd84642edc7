"""A language model without weights: it writes what a function says."""

import dataclasses
import re
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from services.summarize.engine import CHUNK_TOKENS, Chunk, Message, Step
from services.summarize.transcript import from_text

END, MESSAGE, ANSWER = 0, 1, 2
"""Tokens that no text has: the end, the beginning of a message, and that of the answer."""

WIDTH = 1024
"""Of vectors: from fewer trigrams `SentenceKinds` does not become sure enough of anything."""

MESSAGE_MARK = "\x02"
"""What `reply` is given stands in messages that begin so: mark, role, line end, content."""

_OFFSET = 3
_MARKED = re.compile(r"<(transcript|notes)>\n(.*)\n</\1>", re.DOTALL)


@dataclass(frozen=True)
class Texts:
    """Texts that were embedded at once."""

    tokens: tuple[tuple[int, ...], ...]


Call = tuple[Step, ...] | Chunk | Texts
"""What the model was asked: to write, to read, or to embed."""


def first_sentences(prompt: str) -> str:
    """Answer a prompt of `prompts`: with the first sentences of what stands between its marks.

    As a list or a headline where that is asked for; without marks, the last message of the user.
    """
    marked = _MARKED.search(prompt)
    if marked is None:
        return prompt.rpartition(f"{MESSAGE_MARK}user\n")[2]
    task = prompt[marked.end() :]
    lines = "\n".join(line.removeprefix("- ") for line in marked[2].split("\n"))
    sentences = [sentence.text for sentence in from_text(lines).sentences]
    if "list" in task:
        return "\n".join(f"- {sentence}" for sentence in sentences[:4])
    return sentences[0] if "headline" in task else " ".join(sentences[:3])


class FakeModel:
    """Obeys the contract of `LanguageModel`; a character is a token.

    Args:
        reply: what it writes after a chat, which it is given as text (see `MESSAGE_MARK`).
        rows: how many rows there are.
        window: tokens that a row holds.
        hold: when given, every `write`, `read` and `embed` waits for this event.

    `calls` are all that it was asked, in order; `is_held` tells whether the last one waits for `hold`.
    """

    name = "fake"
    embedding = "trigrams"

    def __init__(
        self,
        reply: Callable[[str], str] = first_sentences,
        *,
        rows: int = 4,
        window: int = 16_384,
        hold: threading.Event | None = None,
    ) -> None:
        self.rows = rows
        self.window = window
        self.ends: Set[int] = frozenset({END})
        self.calls = list[Call]()
        self.is_held = False
        self._reply = reply
        self._hold = hold
        self._held = [_Row() for _ in range(rows)]
        self._fails: Callable[[Call], bool] = lambda call: False
        self._turn = threading.Lock()

    @property
    def steps(self) -> list[tuple[Step, ...]]:
        """What was written at once, in order."""
        return [call for call in self.calls if isinstance(call, tuple)]

    @property
    def chunks(self) -> list[Chunk]:
        """What was read, in order."""
        return [call for call in self.calls if isinstance(call, Chunk)]

    @property
    def embedded(self) -> list[Texts]:
        """What was embedded at once, in order."""
        return [call for call in self.calls if isinstance(call, Texts)]

    def fail_when(self, fails: Callable[[Call], bool]) -> None:
        """Raise RuntimeError from now on for calls of which `fails` is true."""
        self._fails = fails

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [[ord(character) + _OFFSET for character in text] for text in texts]

    def chat(self, messages: Sequence[Message]) -> list[int]:
        said = self.encode([f"{message.role}\n{message.content}" for message in messages])
        return [token for message in said for token in [MESSAGE, *message]] + [ANSWER]

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(chr(token - _OFFSET) for token in tokens if token >= _OFFSET)

    def read(self, chunk: Chunk) -> None:
        assert 0 < len(chunk.tokens) <= CHUNK_TOKENS
        with self._called(dataclasses.replace(chunk, tokens=tuple(chunk.tokens))):
            self._hear(chunk.row, chunk.position, chunk.tokens)

    def write(self, steps: Sequence[Step]) -> list[int]:
        assert 0 < len(steps) <= self.rows
        assert len({step.row for step in steps}) == len(steps)
        with self._called(tuple(dataclasses.replace(step, written=frozenset(step.written)) for step in steps)):
            for step in steps:
                self._hear(step.row, step.position, [step.token])
            return [self._next(self._held[step.row]) for step in steps]

    def embed(self, texts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        assert texts
        assert all(texts)
        with self._called(Texts(tuple(tuple(text) for text in texts))):
            return np.stack([_vector(self.decode(text)) for text in texts])

    @contextmanager
    def _called(self, call: Call) -> Iterator[None]:
        assert self._turn.acquire(blocking=False), "one call at a time"
        try:
            self.calls.append(call)
            self._wait()
            if self._fails(call):
                raise RuntimeError("the model failed")
            yield
        finally:
            self._turn.release()

    def _wait(self) -> None:
        if self._hold is None or self._hold.is_set():
            return
        self.is_held = True
        let_go = self._hold.wait(10)
        self.is_held = False
        assert let_go, "held for too long"

    def _hear(self, row: int, position: int, tokens: Sequence[int]) -> None:
        held = self._held[row]
        assert position <= len(held.tokens), "it never read so far"
        assert position + len(tokens) <= self.window
        del held.tokens[position:]
        if position < held.begin:
            held.begin = 0
        if ANSWER in tokens:
            held.begin = position + len(tokens) - list(tokens)[::-1].index(ANSWER)
            prompt = [MESSAGE_MARK if token == MESSAGE else self.decode([token]) for token in held.tokens]
            before = tokens[: held.begin - position]
            held.reply = self._reply("".join([*prompt, self.decode(before)]))
        held.tokens.extend(tokens)

    def _next(self, held: "_Row") -> int:
        if not held.begin:
            # No chat: something that depends on all that it read.
            return zlib.crc32(repr(held.tokens).encode()) % 128 + _OFFSET
        reply, written = held.reply, len(held.tokens) - held.begin
        return ord(reply[written]) + _OFFSET if written < len(reply) else END


@dataclass
class _Row:
    tokens: list[int] = dataclasses.field(default_factory=list)
    begin: int = 0  # where the answer begins; 0 for nowhere
    reply: str = ""


def _vector(text: str) -> NDArray[np.float32]:
    vector = np.zeros(WIDTH, np.float32)
    padded = f" {text.casefold()} "
    for at in range(len(padded) - 2):
        place, sign = _trigram(padded[at : at + 3])
        vector[place] += sign
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


@lru_cache(maxsize=1 << 16)
def _trigram(text: str) -> tuple[int, int]:
    # Not `hash`, which another process makes otherwise.
    number = zlib.crc32(text.encode(errors="surrogatepass"))
    return number % WIDTH, 1 if number & 1024 else -1
