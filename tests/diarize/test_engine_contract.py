"""What every diarizer promises, held against the fake and, with its model, the real one."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from services.diarize.engine import Diarization, Diarizer, LocalSpeakers, SpeakerBounds
from services.diarize.reconstruction import SPEAKS
from tests.diarize.fake_engine import FakeDiarizer
from tests.diarize.recordings import RATE, blocks_of, diarized, heard_in, speakers_of

ENGINES = ["fake", pytest.param("pyannote", marks=[pytest.mark.model, pytest.mark.timeout(300)])]


@pytest.fixture(params=ENGINES)
def diarizer(request: pytest.FixtureRequest) -> Diarizer:
    if request.param == "fake":
        return FakeDiarizer()
    real: Diarizer = request.getfixturevalue("pyannote_diarizer")
    return real


def assert_same(some: list[LocalSpeakers], others: list[LocalSpeakers]) -> None:
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        assert (one.start, one.first_moment) == (other.start, other.first_moment)
        # One step of float16 near 1.
        assert np.allclose(one.activity, other.activity, atol=2e-3)
        assert np.allclose(one.embeddings, other.embeddings, rtol=1e-3, atol=1e-3, equal_nan=True)
        assert np.allclose(one.moments, other.moments, rtol=1e-3, atol=1e-3, equal_nan=True)


def test_a_diarizer_names_its_model(diarizer: Diarizer) -> None:
    assert diarizer.model


def test_turns_are_ordered_inside_the_recording_and_numbered(
    diarizer: Diarizer, two_speaker_samples: NDArray[np.int16]
) -> None:
    diarization = diarized(diarizer, two_speaker_samples)

    assert diarization.turns
    for turns in (diarization.turns, diarization.exclusive_turns):
        assert all(0 <= turn.start < turn.end <= 30 for turn in turns)
        assert list(turns) == sorted(turns, key=lambda turn: turn.start)
    first_heard = list(dict.fromkeys(turn.speaker for turn in diarization.turns))
    assert first_heard == list(range(len(first_heard)))


def test_exclusive_turns_never_overlap(diarizer: Diarizer, two_speaker_samples: NDArray[np.int16]) -> None:
    turns = diarized(diarizer, two_speaker_samples).exclusive_turns

    assert len(turns) > 1
    assert all(one.end <= other.start + 1e-9 for one, other in pairwise(turns))


def test_every_speaker_has_a_row_of_activity_that_covers_the_recording(
    diarizer: Diarizer, two_speaker_samples: NDArray[np.int16]
) -> None:
    diarization = diarized(diarizer, two_speaker_samples)

    activity = diarization.activity
    assert len(activity.probabilities) == len(speakers_of(diarization))
    assert {len(row) for row in activity.probabilities} == {round(30 / activity.step)}
    assert all(isinstance(row, bytes) and max(row) > 127 for row in activity.probabilities)


@pytest.mark.parametrize("seconds", [0, 1 / RATE, 0.03, 1, 12])
def test_silence_of_any_length_has_no_turns(diarizer: Diarizer, seconds: float) -> None:
    silence = np.zeros(round(seconds * RATE), np.int16)

    assert diarized(diarizer, silence, SpeakerBounds(exact=2)) == Diarization((), ())


@pytest.mark.parametrize("samples", [1, 160, 1_600, 1_601, 8_000, 15_999, 40_000])
def test_short_recordings_give_turns_inside_themselves_or_none(
    diarizer: Diarizer, two_speaker_samples: NDArray[np.int16], samples: int
) -> None:
    short = two_speaker_samples[11 * RATE : 11 * RATE + samples]

    turns = diarized(diarizer, short, SpeakerBounds(minimum=2)).turns

    assert all(0 <= turn.start < turn.end <= samples / RATE for turn in turns)


@pytest.mark.parametrize("exact", [1, 2, 3])
def test_an_exact_number_of_speakers_is_found(
    diarizer: Diarizer, two_speaker_samples: NDArray[np.int16], exact: int
) -> None:
    diarization = diarized(diarizer, two_speaker_samples, SpeakerBounds(exact=exact))

    assert speakers_of(diarization) == set(range(exact))


def test_the_number_of_speakers_keeps_to_its_bounds(diarizer: Diarizer, two_speaker_samples: NDArray[np.int16]) -> None:
    assert len(speakers_of(diarized(diarizer, two_speaker_samples, SpeakerBounds(maximum=1)))) == 1
    assert len(speakers_of(diarized(diarizer, two_speaker_samples, SpeakerBounds(minimum=3, maximum=4)))) in {3, 4}


def test_every_window_is_heard_once_and_only_who_speaks_is_embedded(
    diarizer: Diarizer, two_speaker_samples: NDArray[np.int16]
) -> None:
    windows = heard_in(diarizer, two_speaker_samples)

    blocks = blocks_of(diarizer, two_speaker_samples)
    assert [window.start for window in windows] == [
        (block.start + offset) / RATE for block in blocks for offset in block.offsets
    ]
    silent = [~(window.activity > SPEAKS).any(axis=0) for window in windows]
    assert any(row.any() for row in silent)
    for window, row in zip(windows, silent, strict=True):
        assert np.array_equal(np.isnan(window.embeddings).any(axis=1), row)
        assert np.array_equal(np.isnan(window.embeddings).all(axis=1), row)


def test_probabilities_lie_between_0_and_1_in_frames_that_fill_a_window(
    diarizer: Diarizer, two_speaker_samples: NDArray[np.int16]
) -> None:
    window = heard_in(diarizer, two_speaker_samples)[0]

    assert window.activity.min() >= 0
    assert window.activity.max() <= 1
    frames = len(window.activity)
    assert frames * diarizer.frames.step == pytest.approx(diarizer.rules.length / RATE, abs=0.1)


def test_blocks_of_several_recordings_are_heard_together_as_each_alone(
    diarizer: Diarizer, two_speaker_samples: NDArray[np.int16]
) -> None:
    first = blocks_of(diarizer, two_speaker_samples)[0]
    other = blocks_of(diarizer, two_speaker_samples[11 * RATE : 16 * RATE])[-1]

    together = diarizer.listen([first, other])

    assert_same(together[0], diarizer.listen([first])[0])
    assert_same(together[1], diarizer.listen([other])[0])


def test_a_recording_is_left_as_it_was_and_gives_the_same_again(
    diarizer: Diarizer, two_speaker_samples: NDArray[np.int16]
) -> None:
    samples = two_speaker_samples[: 12 * RATE].copy()
    before = samples.copy()

    first = diarized(diarizer, samples)

    assert np.array_equal(samples, before)
    assert diarized(diarizer, samples) == first
