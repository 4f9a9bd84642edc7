import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.diarize.resegmentation import relabelled

FRAMES_OF_A_MOMENT = 5


def segmented(*labels: int, speakers: int = 2, sure: float = 0.9) -> NDArray[np.float32]:
    """Return probabilities, (speakers, frames), by which one speaks in each moment."""
    everywhere = np.repeat(labels, FRAMES_OF_A_MOMENT)
    probabilities = np.full((speakers, len(everywhere)), 1 - sure, np.float32)
    probabilities[everywhere, np.arange(len(everywhere))] = sure
    return probabilities


def sounds_like(*labels: int, speakers: int = 2) -> NDArray[np.float32]:
    """Return likenesses, (moments, speakers), by which each moment sounds like one of them."""
    return np.where(np.arange(speakers) == np.array(labels)[:, None], 0.7, 0.2).astype(np.float32)


def labels_of(
    probabilities: NDArray[np.float32], likeness: NDArray[np.float32], one_speaks: NDArray[np.bool_] | None = None
) -> list[int]:
    """Return who is the likeliest at the end of each moment, after the second look."""
    frames = probabilities.shape[1]
    alone = np.ones(frames, bool) if one_speaks is None else one_speaks
    exchanged = relabelled(probabilities, alone, np.arange(frames) // FRAMES_OF_A_MOMENT, likeness)
    found: list[int] = exchanged[:, FRAMES_OF_A_MOMENT - 1 :: FRAMES_OF_A_MOMENT].argmax(axis=0).tolist()
    return found


def test_where_both_witnesses_agree_nothing_changes() -> None:
    labels = [0] * 10 + [1] * 10

    assert labels_of(segmented(*labels), sounds_like(*labels)) == labels


def test_where_nothing_is_known_of_how_it_sounds_nothing_changes() -> None:
    probabilities = segmented(*[0] * 6, *[1] * 6, *[0] * 6)
    unknown = np.full((18, 2), np.nan, np.float32)
    frames = probabilities.shape[1]

    exchanged = relabelled(probabilities, np.ones(frames, bool), np.arange(frames) // FRAMES_OF_A_MOMENT, unknown)

    assert np.array_equal(exchanged, probabilities)


def test_a_sentence_that_sounds_like_another_goes_to_him() -> None:
    sentence = [0] * 10 + [1] * 12 + [0] * 10

    assert labels_of(segmented(*[0] * 32), sounds_like(*sentence)) == sentence


def test_an_odd_likeness_moves_nothing() -> None:
    assert labels_of(segmented(*[0] * 20), sounds_like(*[0] * 10, 1, *[0] * 9))[:10] == [0] * 10


def test_where_several_speak_or_nobody_all_stays_as_it_was() -> None:
    probabilities = segmented(*[0] * 20)
    alone = np.arange(100) < 50

    exchanged = relabelled(probabilities, alone, np.arange(100) // FRAMES_OF_A_MOMENT, sounds_like(*[1] * 20))

    assert np.array_equal(exchanged[:, 50:], probabilities[:, 50:])
    assert set(exchanged[:, :50].argmax(axis=0)) == {1}


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 30), st.floats(0, 1))
def test_probabilities_are_only_exchanged_among_the_speakers_of_a_frame(
    seed: int, speakers: int, moments: int, unknown: float
) -> None:
    random = np.random.default_rng(seed)
    frames = moments * FRAMES_OF_A_MOMENT
    probabilities = random.random((speakers, frames)).astype(np.float32)
    before = probabilities.copy()
    likeness = random.uniform(-1, 1, (moments, speakers)).astype(np.float32)
    likeness[random.random(moments) < unknown] = np.nan
    alone = random.random(frames) < 0.7

    exchanged = relabelled(probabilities, alone, np.arange(frames) // FRAMES_OF_A_MOMENT, likeness)

    assert np.array_equal(probabilities, before)
    assert np.array_equal(np.sort(exchanged, axis=0), np.sort(before, axis=0))
    assert np.array_equal(exchanged[:, ~alone], before[:, ~alone])
