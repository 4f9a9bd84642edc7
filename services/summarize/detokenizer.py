"""Turns tokens into text as they come, without ever showing half a character.

The way of text-generation-inference and vLLM: a short run of known tokens is decoded with and without the new
ones, and the difference is the new text. So what a tokenizer does at the start of a text (dropping a space) or
between tokens (one character spread over several) is done exactly as in one piece.
"""

from collections.abc import Callable, Sequence

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class Detokenizer:
    """Text of a growing list of tokens.

    Args:
        decode: the tokenizer's own decoding of a list of tokens, special ones left out.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._known = 0  # tokens from here on are decoded again, as context
        self._shown = 0  # tokens up to here have been shown

    def feed(self, token: int) -> str:
        """Take the next token; return the text it completes, empty while a character is unfinished."""
        self._tokens.append(token)
        text = self._fresh()
        if text.endswith(_UNFINISHED):
            return ""
        self._known, self._shown = self._shown, len(self._tokens)
        return text

    def finish(self) -> str:
        """Return what is left; a character that was never finished is left out."""
        return self._fresh().rstrip(_UNFINISHED)

    def _fresh(self) -> str:
        before = self._decode(self._tokens[self._known : self._shown])
        return self._decode(self._tokens[self._known :])[len(before) :]
