import numpy as np
import pytest
from numpy.typing import NDArray

from services.diarize.regrouping import regrouped


def around(direction: int, number: int = 40) -> NDArray[np.float32]:
    """Return so many moments, of unit length, that sound like one of eight voices."""
    random = np.random.default_rng(direction)
    moments = np.eye(8)[direction] + random.normal(0, 0.1, (number, 8))
    unit: NDArray[np.float32] = (moments / np.linalg.norm(moments, axis=1, keepdims=True)).astype(np.float32)
    return unit


def voices_after(*speakers: NDArray[np.float32], fewest: int = 1, most: int = 50) -> list[int] | None:
    """Return which directions the voices have after those of some speakers, given by their moments, were looked at."""
    voices = np.stack([moments.mean(axis=0) for moments in speakers])
    speaker_of = np.repeat(np.arange(len(speakers)), [len(moments) for moments in speakers])
    better = regrouped(voices, np.concatenate(speakers), speaker_of, fewest, most)
    return None if better is None else sorted(better.argmax(axis=1).tolist())


def test_voices_of_one_speaker_each_stay_as_they_are() -> None:
    assert voices_after(around(0), around(1), around(2)) is None


def test_a_voice_that_is_two_is_parted() -> None:
    assert voices_after(np.concatenate([around(0), around(1)]), around(2)) == [0, 1, 2]


def test_two_voices_that_are_one_are_joined() -> None:
    assert voices_after(around(0), around(0), around(1)) == [0, 1]


def test_an_odd_moment_is_no_voice() -> None:
    assert voices_after(np.concatenate([around(0), around(1, number=3)]), around(2)) is None


def test_no_more_voices_are_parted_than_there_may_be() -> None:
    assert voices_after(np.concatenate([around(0), around(1)]), around(2), most=2) is None


def test_voices_that_are_too_many_are_joined_and_those_that_must_be_are_kept() -> None:
    found = voices_after(around(0), around(1), around(2), most=2)

    assert found is not None
    assert len(found) == 2
    assert voices_after(around(0), around(0), fewest=2) is None


def test_with_too_few_the_least_alike_halves_are_parted() -> None:
    found = voices_after(around(0), around(1), fewest=3)

    assert found is not None
    assert len(found) == 3


def test_voices_of_whom_nothing_is_heard_alone_are_joined_too() -> None:
    nothing = np.empty((0, 8), np.float32)

    better = regrouped(np.eye(3, 8, dtype=np.float32), nothing, np.empty(0, int), fewest=2, most=2)

    assert better is not None
    assert np.allclose(np.linalg.norm(better, axis=1), 1.0)
    assert len(better) == 2


@pytest.mark.parametrize("number", [0, 1])
def test_of_hardly_anything_heard_nothing_follows(number: int) -> None:
    assert (
        regrouped(np.eye(2, dtype=np.float32), np.ones((number, 2), np.float32), np.zeros(number, int), 1, 50) is None
    )
