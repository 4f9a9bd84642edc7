"""Whether left and right of a recording are each other's negative, so that a mix of both would be silence. Pure."""

from collections.abc import Sequence
from typing import Final

_FEWEST_PAIRS: Final = 40
_HALF_LIFE_PAIRS: Final = 100
"""Of what was heard: a speaker whose microphone is right may follow one whose is not."""

_LEAST_MAGNITUDE: Final = 0.01
_MOST_MAGNITUDE: Final = 4.0
"""More than full scale four times is no sound, and its square may be no number."""

_OPPOSITE_RATIO: Final = 50.0
"""How much more energy is in the difference than in the sum: 17 dB, to which no two microphones come by chance."""

_ALIKE_RATIO: Final = 4.0
"""How much more is in it at least as long as they are still taken for opposites."""


class Polarity:
    """Compares left and right: a microphone that is wired the wrong way round gives the negative.

    By energy, so that what is loud decides, not the noise around it; and without the mean, as a constant that a cheap
    sound card adds is no sound.
    """

    def __init__(self) -> None:
        self._pairs = 0
        self._sum = 0.0
        self._difference = 0.0
        self._kept_sum = 0.0
        self._kept_difference = 0.0
        self.are_opposite = False
        """Of what was heard last."""

    @property
    def is_settled(self) -> bool:
        """Whether enough was heard, and nothing of late that speaks for opposites."""
        return self._pairs >= _FEWEST_PAIRS and self._difference < _ALIKE_RATIO * self._sum

    @property
    def were_opposite(self) -> bool:
        """Whether most of what was heard was opposite."""
        return self._kept_difference > self._kept_sum

    def hear(self, left: Sequence[float], right: Sequence[float]) -> None:
        """Take samples of both, -1 to 1, each pair of the same moment; what is quiet is passed over."""
        loud = _loud(left, right)
        if not loud:
            return
        decay = 0.5 ** (len(loud) / _HALF_LIFE_PAIRS)
        sums = sum((one + other) * (one + other) for one, other in loud)
        differences = sum((one - other) * (one - other) for one, other in loud)
        self._pairs += len(loud)
        self._sum = self._sum * decay + sums
        self._difference = self._difference * decay + differences
        ratio = _ALIKE_RATIO if self.are_opposite else _OPPOSITE_RATIO
        self.are_opposite = self._pairs >= _FEWEST_PAIRS and self._difference > ratio * self._sum
        if self.are_opposite:
            self._kept_difference += differences
        else:
            self._kept_sum += sums


def _loud(left: Sequence[float], right: Sequence[float]) -> list[tuple[float, float]]:
    """Return the pairs that are neither quiet nor beyond all measure, without what each side is off by."""
    pairs = [pair for pair in zip(left, right, strict=True) if all(abs(side) < _MOST_MAGNITUDE for side in pair)]
    if not pairs:
        return []
    left_mean, right_mean = (sum(side) / len(pairs) for side in zip(*pairs, strict=True))
    centred = [(one - left_mean, other - right_mean) for one, other in pairs]
    return [(one, other) for one, other in centred if abs(one) + abs(other) > _LEAST_MAGNITUDE]
