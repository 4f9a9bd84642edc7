"""A summarizer that repeats the first words of the text in the shape of the style."""

import threading
from collections.abc import Callable

from services.runtime.worker import Cancelled
from services.summarize.engine import Style, Summary, TextTooLong
from services.summarize.tidy import Tidier

MOST_WORDS = 1000


class FakeSummarizer:
    """Obeys the contract of `Summarizer` without a model; a word is a token.

    Args:
        model: id that it answers under.
        hold: when given, every word waits for this event (and for cancellation).
    """

    def __init__(self, model: str = "fake", hold: threading.Event | None = None) -> None:
        self.model = model
        self._hold = hold
        self._turn = threading.Lock()
        self.running = threading.Event()
        self.cancelled = threading.Event()

    def summarize(
        self, text: str, style: Style, on_text: Callable[[str], None], cancelled: Callable[[], bool]
    ) -> Summary:
        words = text.split()
        if len(words) > MOST_WORDS:
            raise TextTooLong(len(words), MOST_WORDS)
        tidier = Tidier(style)
        pieces: list[str] = []

        def show(piece: str) -> None:
            if piece:
                pieces.append(piece)
                on_text(piece)

        with self._turn:
            self.running.set()
            for word in words[:8]:
                self._wait(cancelled)
                show(tidier.feed(f"{word} "))
            show(tidier.finish())
        return Summary("".join(pieces), len(words), min(8, len(words)))

    def _wait(self, cancelled: Callable[[], bool]) -> None:
        while self._hold is not None and not self._hold.wait(0.01):
            if cancelled():
                break
        if cancelled():
            self.cancelled.set()
            raise Cancelled
