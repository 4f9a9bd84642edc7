import math
import random

import pytest

from services.edge.polarity import Polarity

VOICE = [0.3 * math.sin(number / 3) for number in range(600)]
SILENCE = [0.0] * 600


def heard(left: list[float], right: list[float]) -> bool | None:
    polarity = Polarity()
    for _ in range(10):
        polarity.hear(left, right)
    return polarity.are_opposite


@pytest.mark.parametrize("share", [-1.0, -0.8])
def test_a_side_that_is_the_negative_is_noticed(share: float) -> None:
    assert heard(VOICE, [share * value for value in VOICE]) is True


@pytest.mark.parametrize("share", [-0.5, -0.1, 0.0, 0.5, 1.0])
def test_other_pairs_are_mixed(share: float) -> None:
    assert heard(VOICE, [share * value for value in VOICE]) is False


def test_two_sources_are_no_opposites() -> None:
    chance = random.Random(1)
    assert heard(VOICE, [chance.uniform(-0.3, 0.3) for _ in VOICE]) is False


def test_noise_before_the_voice_decides_nothing() -> None:
    chance = random.Random(2)
    polarity = Polarity()
    for _ in range(3):
        polarity.hear(*([chance.uniform(-0.003, 0.003) for _ in VOICE] for _ in range(2)))
    assert polarity.are_opposite is None
    polarity.hear(VOICE, [-value for value in VOICE])
    assert polarity.are_opposite is True


def test_of_silence_nothing_is_known() -> None:
    assert heard(SILENCE, SILENCE) is None


def test_a_sample_alone_decides_nothing() -> None:
    polarity = Polarity()
    polarity.hear([0.5], [-0.5])
    assert polarity.are_opposite is None
