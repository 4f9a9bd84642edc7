"""Whether left and right of a recording are each other's negative, so that a mix of both would be silence. Pure."""

from collections.abc import Sequence
from typing import Final

_FEWEST_PAIRS: Final = 100
_MOST_PAIRS: Final = 4_000
_LEAST_MAGNITUDE: Final = 0.0005
_OPPOSITE_RATIO: Final = 50.0
"""How much more energy is in the difference than in the sum: 17 dB, to which no two microphones come by chance."""


class Polarity:
    """Compares left and right until it knows: a microphone that is wired the wrong way round gives the negative.

    By energy, so that what is loud decides, not the noise before it.
    """

    def __init__(self) -> None:
        self._pairs = 0
        self._sum = 0.0
        self._difference = 0.0
        self.are_opposite: bool | None = None
        """None as long as too little was heard."""

    def hear(self, left: Sequence[float], right: Sequence[float]) -> None:
        """Take samples of both, -1 to 1, each pair of the same moment; silence is passed over."""
        loud = [pair for pair in zip(left, right, strict=True) if abs(pair[0]) + abs(pair[1]) > _LEAST_MAGNITUDE]
        self._pairs += len(loud)
        self._sum += sum((one + other) ** 2 for one, other in loud)
        self._difference += sum((one - other) ** 2 for one, other in loud)
        if self._pairs >= _FEWEST_PAIRS and self._difference > _OPPOSITE_RATIO * self._sum:
            self.are_opposite = True
        elif self._pairs >= _MOST_PAIRS:
            self.are_opposite = False
