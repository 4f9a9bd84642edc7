"""A clock that stands still until it is moved."""

from datetime import UTC, datetime


class Clock:
    """Tells the time in seconds since 1970, as `time.time` does.

    Args:
        at: what it shows first; noon of the 15th of November 2026 in UTC unless given.
    """

    def __init__(self, at: datetime = datetime(2026, 11, 15, 12, tzinfo=UTC)) -> None:
        self.now = at.timestamp()

    def __call__(self) -> float:
        """Return what it shows."""
        return self.now

    def move(self, seconds: float) -> None:
        """Move it on."""
        self.now += seconds

    def set(self, at: datetime) -> None:
        """Have it show another time."""
        self.now = at.timestamp()
