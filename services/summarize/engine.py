"""What a language model is to this service: rows that read and write tokens, and vectors of texts."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNK_TOKENS = 128
"""Most tokens that are read at once: the longest that anybody waits for the next step, and long enough to be as
quick per token as longer ones."""


@dataclass(frozen=True)
class Message:
    """One message of a chat."""

    role: str
    """`system`, `user` or `assistant`."""
    content: str
    """Its text."""


@dataclass(frozen=True)
class Chunk:
    """Tokens that a row reads."""

    row: int
    """Which row, 0 to `rows` - 1."""
    position: int
    """How many tokens the row has read before; what it held beyond them is forgotten."""
    tokens: Sequence[int]
    """1 to `CHUNK_TOKENS` tokens."""


@dataclass(frozen=True)
class Step:
    """A token that a row reads in order to write the next one."""

    row: int
    """Which row; once in a batch of steps."""
    position: int
    """How many tokens the row has read before; what it held beyond them is forgotten."""
    token: int
    """The token: the last of the prompt, or the last one written."""
    written: Set[int]
    """Which tokens the row has written so far: they become a little less likely."""


class LanguageModel(Protocol):
    """A loaded model with a fixed number of rows, each of which holds one text.

    Promises: what a row writes depends on what it has read and on nothing else, not on what the other rows do
    at the same time; of equally likely tokens always the same is taken. One call at a time.
    """

    @property
    def name(self) -> str:
        """Id of the model that really runs."""

    @property
    def embedding(self) -> str:
        """How vectors are made: another text here says that vectors made before are of no use."""

    @property
    def rows(self) -> int:
        """How many rows there are."""

    @property
    def window(self) -> int:
        """How many tokens a row holds."""

    @property
    def ends(self) -> Set[int]:
        """The tokens that end a text."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of every text, without any special ones: what looks like one is only text."""

    def chat(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens of a chat up to where the model's answer begins."""

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, special ones left out; an unfinished character as U+FFFD."""

    def read(self, chunk: Chunk) -> None:
        """Let a row read."""

    def write(self, steps: Sequence[Step]) -> list[int]:
        """Return the next token of every step's row, greedily; up to `rows` steps."""

    def embed(self, texts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return a vector for the tokens of every text, shape (texts, width); none of the texts is empty."""
