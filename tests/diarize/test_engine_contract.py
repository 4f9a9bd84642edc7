"""What every diarizer promises, held against the fake and, with its model, the real one."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from services.diarize.engine import Diarization, Diarizer, SpeakerBounds
from services.runtime.worker import Cancelled
from tests.diarize.fake_engine import FakeDiarizer

RATE = 16_000
ENGINES = ["fake", pytest.param("pyannote", marks=[pytest.mark.model, pytest.mark.timeout(300)])]


@pytest.fixture(params=ENGINES)
def diarizer(request: pytest.FixtureRequest) -> Diarizer:
    if request.param == "fake":
        return FakeDiarizer()
    real: Diarizer = request.getfixturevalue("pyannote_diarizer")
    return real


def run(diarizer: Diarizer, samples: NDArray[np.float32], bounds: SpeakerBounds | None = None) -> Diarization:
    return diarizer.diarize(samples, bounds or SpeakerBounds(), lambda _: None, lambda: False)


def speakers_of(diarization: Diarization) -> set[int]:
    return {turn.speaker for turn in diarization.turns}


def test_a_diarizer_names_its_model(diarizer: Diarizer) -> None:
    assert diarizer.model


def test_turns_are_ordered_inside_the_recording_and_numbered(
    diarizer: Diarizer, two_speaker_samples: NDArray[np.float32]
) -> None:
    diarization = run(diarizer, two_speaker_samples)

    assert diarization.turns
    for turns in (diarization.turns, diarization.exclusive_turns):
        assert all(0 <= turn.start <= turn.end <= 30 for turn in turns)
        assert list(turns) == sorted(turns, key=lambda turn: turn.start)
    first_heard = list(dict.fromkeys(turn.speaker for turn in diarization.turns))
    assert first_heard == list(range(len(first_heard)))


def test_exclusive_turns_never_overlap(diarizer: Diarizer, two_speaker_samples: NDArray[np.float32]) -> None:
    turns = run(diarizer, two_speaker_samples).exclusive_turns

    assert len(turns) > 1
    assert all(one.end <= other.start + 1e-9 for one, other in pairwise(turns))


@pytest.mark.parametrize("seconds", [0, 1 / RATE, 0.03, 1, 12])
def test_silence_of_any_length_has_no_turns(diarizer: Diarizer, seconds: float) -> None:
    silence = np.zeros(round(seconds * RATE), np.float32)

    assert run(diarizer, silence, SpeakerBounds(exact=2)) == Diarization((), ())


@pytest.mark.parametrize("samples", [1, 160, 1_600, 1_601, 8_000, 15_999, 40_000])
def test_short_recordings_give_turns_inside_themselves_or_none(
    diarizer: Diarizer, two_speaker_samples: NDArray[np.float32], samples: int
) -> None:
    short = two_speaker_samples[11 * RATE : 11 * RATE + samples]

    turns = run(diarizer, short, SpeakerBounds(minimum=2)).turns

    assert all(0 <= turn.start <= turn.end <= samples / RATE for turn in turns)


@pytest.mark.parametrize("exact", [1, 2, 3])
def test_an_exact_number_of_speakers_is_found(
    diarizer: Diarizer, two_speaker_samples: NDArray[np.float32], exact: int
) -> None:
    diarization = run(diarizer, two_speaker_samples, SpeakerBounds(exact=exact))

    assert speakers_of(diarization) == set(range(exact))


def test_the_number_of_speakers_keeps_to_its_bounds(
    diarizer: Diarizer, two_speaker_samples: NDArray[np.float32]
) -> None:
    assert len(speakers_of(run(diarizer, two_speaker_samples, SpeakerBounds(maximum=1)))) == 1
    assert len(speakers_of(run(diarizer, two_speaker_samples, SpeakerBounds(minimum=3, maximum=4)))) in {3, 4}


def test_progress_rises_to_one(diarizer: Diarizer, two_speaker_samples: NDArray[np.float32]) -> None:
    heard = list[float]()

    diarizer.diarize(two_speaker_samples, SpeakerBounds(), heard.append, lambda: False)

    assert heard == sorted(heard)
    assert len(heard) > 2
    assert heard[0] >= 0
    assert heard[-1] == 1


def test_progress_is_complete_also_without_speech(diarizer: Diarizer) -> None:
    for samples in (0, 5 * RATE):
        heard = list[float]()
        diarizer.diarize(np.zeros(samples, np.float32), SpeakerBounds(), heard.append, lambda: False)
        assert heard[-1] == 1


@pytest.mark.parametrize("questions", [0, 1, 3])
def test_a_cancelled_run_stops_at_its_next_question(
    diarizer: Diarizer, two_speaker_samples: NDArray[np.float32], questions: int
) -> None:
    asked = list[None]()

    def cancelled() -> bool:
        asked.append(None)
        return len(asked) > questions

    with pytest.raises(Cancelled):
        diarizer.diarize(two_speaker_samples, SpeakerBounds(), lambda _: None, cancelled)

    assert len(asked) == questions + 1


def test_a_run_leaves_the_recording_as_it_was(diarizer: Diarizer, two_speaker_samples: NDArray[np.float32]) -> None:
    samples = two_speaker_samples[: 12 * RATE].copy()
    before = samples.copy()

    first = run(diarizer, samples)

    assert np.array_equal(samples, before)
    assert run(diarizer, samples) == first
