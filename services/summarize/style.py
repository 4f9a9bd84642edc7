"""The shapes of summaries."""

from enum import Enum


class Style(Enum):
    """Shape of a summary."""

    BRIEF = "brief"
    """One paragraph of up to three sentences."""
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
