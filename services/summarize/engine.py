"""What a summarizer is: the values it takes and gives, and the promises that every engine keeps."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from services.runtime.errors import Fault, MeshError


class TextTooLong(MeshError):
    """The text is longer than the model may read at once; it is refused, never cut.

    Args:
        tokens: how many tokens the text has.
        limit: how many tokens of text fit.
    """

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(
            Fault.TOO_LARGE,
            f"The text has {tokens} tokens; up to {limit} fit.",
            code="text_too_long",
            field="text",
        )
        self.tokens = tokens
        self.limit = limit


class Style(Enum):
    """Shape of a summary."""

    BRIEF = "brief"
    """Two or three sentences."""
    DETAILED = "detailed"
    """A few paragraphs."""
    ACTION_ITEMS = "action_items"
    """A list of who has to do what."""
    BULLET_POINTS = "bullet_points"
    """A list of the main points."""
    HEADLINE = "headline"
    """One line."""

    @property
    def is_list(self) -> bool:
        """Whether every line of it begins with "- "."""
        return self in (Style.ACTION_ITEMS, Style.BULLET_POINTS)


@dataclass(frozen=True)
class Summary:
    """A finished summary."""

    text: str
    """The whole text, in the shape of its style; exactly the pieces that were reported, joined."""
    input_tokens: int
    """Tokens of the prompt: instructions, text and chat marks."""
    output_tokens: int
    """Tokens that the model wrote, its end mark and what was tidied away included."""


class Summarizer(Protocol):
    """A loaded model.

    Promises: equal requests give equal text; the pieces given to `on_text` are never empty and joined are the
    summary's text; no piece ends inside a character; one call at a time uses the model, others wait.
    """

    @property
    def model(self) -> str:
        """Id of the model that really runs."""

    def summarize(
        self, text: str, style: Style, on_text: Callable[[str], None], cancelled: Callable[[], bool]
    ) -> Summary:
        """Sum up `text`; blocks until done.

        Args:
            text: the transcript, not blank; its language is the summary's.
            style: shape of the summary.
            on_text: takes the next piece of the summary; called from the calling thread.
            cancelled: says whether to stop; asked at least once for every token.

        Raises:
            Cancelled: `cancelled` said so.
            TextTooLong: the text does not fit.
        """
