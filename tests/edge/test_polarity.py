import math
import random

import pytest

from services.edge.polarity import Polarity

VOICE = [0.3 * math.sin(number / 3) for number in range(60)]
SILENCE = [0.0] * 60


def heard(left: list[float], right: list[float], times: int = 10, polarity: Polarity | None = None) -> Polarity:
    polarity = polarity or Polarity()
    for _ in range(times):
        polarity.hear(left, right)
    return polarity


def times(share: float, values: list[float]) -> list[float]:
    return [share * value for value in values]


@pytest.mark.parametrize("share", [-1.0, -0.8])
def test_a_side_that_is_the_negative_is_noticed(share: float) -> None:
    polarity = heard(VOICE, times(share, VOICE))
    assert polarity.are_opposite
    assert polarity.were_opposite


@pytest.mark.parametrize("share", [-0.5, -0.1, 0.0, 0.5, 1.0])
def test_other_pairs_are_mixed(share: float) -> None:
    polarity = heard(VOICE, times(share, VOICE))
    assert not polarity.are_opposite
    assert not polarity.were_opposite
    assert polarity.is_settled is (share > -0.2)


def test_two_sources_are_no_opposites() -> None:
    chance = random.Random(1)
    polarity = Polarity()
    for _ in range(200):
        heard(VOICE, [chance.uniform(-0.3, 0.3) for _ in VOICE], 1, polarity)
        assert not polarity.are_opposite


def test_noise_before_the_voice_decides_nothing() -> None:
    chance = random.Random(2)
    polarity = Polarity()
    for _ in range(200):
        polarity.hear(*([chance.uniform(-0.02, 0.02) for _ in VOICE] for _ in range(2)))
    assert not polarity.are_opposite
    assert heard(VOICE, times(-1, VOICE), 2, polarity).are_opposite
    assert polarity.were_opposite


@pytest.mark.parametrize(
    "before",
    [
        [0.02] * 60,
        [0.004 * math.sin(number / 3) for number in range(60)],
        [0.1 * math.sin(number / 3) for number in range(60)],
    ],
    ids=["a constant", "hum", "music"],
)
def test_what_is_opposite_before_the_voice_is_forgotten(before: list[float]) -> None:
    polarity = heard(before, times(-1, before))
    assert not heard(VOICE, VOICE, 1, polarity).are_opposite
    assert not heard(VOICE, VOICE, 9, polarity).were_opposite


def test_one_who_speaks_after_another_is_heard_as_well() -> None:
    polarity = heard(VOICE, VOICE, 50)
    assert heard(VOICE, times(-1, VOICE), 12, polarity).are_opposite
    assert not heard(VOICE, VOICE, 5, polarity).are_opposite


def test_silence_a_single_sample_and_what_is_no_number_decide_nothing() -> None:
    polarity = heard(SILENCE, SILENCE)
    assert not polarity.is_settled
    polarity.hear([], [])
    polarity.hear([0.5], [-0.5])
    polarity.hear([math.nan, math.inf, 1e300, 0.1], [0.1, -math.inf, -1e300, math.nan])
    assert not polarity.are_opposite
    assert heard(VOICE, times(-1, VOICE), 2, polarity).are_opposite
