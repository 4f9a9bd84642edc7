"""A text while the model writes it: shaped, judged sentence by sentence, and only then shown. No I/O.

What is shown is never taken back, so nothing is shown before it is judged: a delta is a whole sentence or line.
"""

from collections.abc import Callable, Sequence

from services.summarize.detokenizer import Detokenizer
from services.summarize.style import Style
from services.summarize.tidy import Tidier
from services.summarize.transcript import split_sentences
from services.text.punctuation import ends_sentence

MOST_REFUSED = 8
"""Refused units in a row after which the model is stopped: it will not come to reason."""


class Draft:
    """Tokens in, accepted units out: sentences, or lines of a list.

    Args:
        style: the shape.
        decode: the tokenizer's decoding of a list of tokens.
        judge: returns a unit as it may be shown (perhaps mended), or None when it may not.
        most: accepted units after which the model is stopped.
        show: takes each accepted unit at once.
    """

    def __init__(
        self,
        style: Style,
        decode: Callable[[Sequence[int]], str],
        judge: Callable[[str], str | None],
        most: int,
        show: Callable[[str], None] = lambda unit: None,
    ) -> None:
        self._is_list = style.is_list
        self._detokenizer = Detokenizer(decode)
        self._tidier = Tidier(style)
        self._judge = judge
        self._most = most
        self._show = show
        self._line = ""
        self._taken = 0  # units of the line
        self._refused_in_a_row = 0
        self.units: list[str] = []
        self.refused = 0

    def take(self, token: int) -> bool:
        """Take the next token; return whether another one is wanted."""
        self._feed(self._tidier.feed(self._detokenizer.feed(token)), whole=False)
        return not (self._is_over or self._tidier.done)

    def finish(self, *, complete: bool = True) -> list[str]:
        """Take that nothing more comes; return all accepted units.

        Args:
            complete: whether the text came to its end; where not, a last sentence without a closing mark is left out.
        """
        rest = self._tidier.feed(self._detokenizer.finish()) + self._tidier.finish()
        if complete or ends_sentence(self._line + rest):
            self._feed(rest, whole=True)
        else:
            self._feed(rest, whole=False)
        return self.units

    @property
    def _is_over(self) -> bool:
        return len(self.units) >= self._most or self._refused_in_a_row >= MOST_REFUSED

    def _feed(self, text: str, *, whole: bool) -> None:
        if not text and not whole:
            return
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._take_line(line, whole=True)
            self._taken = 0
        self._take_line(self._line, whole=whole)

    def _take_line(self, line: str, *, whole: bool) -> None:
        # Always the whole line: what of it was taken can tell whether a full stop ends a sentence.
        units = [line] if self._is_list else split_sentences(line, longest=None)
        # The space behind a full stop may still come, and with it the rest of "3.5".
        ready = units if whole else units[:-1]
        for unit in ready[self._taken :]:
            self._take_unit(unit)
        self._taken = max(self._taken, len(ready))

    def _take_unit(self, unit: str) -> None:
        if not unit.strip() or self._is_over:
            return
        accepted = self._judge(unit.removeprefix("- ") if self._is_list else unit)
        if accepted is None:
            self.refused += 1
            self._refused_in_a_row += 1
            return
        self._refused_in_a_row = 0
        self.units.append(accepted)
        self._show(accepted)
