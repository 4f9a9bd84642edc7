from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.asr.vad import VoiceActivity
from services.asr.windows import FRAME_SAMPLES, Frame


class Recurrent:
    """A network like Silero's: what it says of a frame depends on the state and on the samples before the frame."""

    def __init__(self) -> None:
        self.most_frames = 0

    def run(self, _: None, inputs: Mapping[str, NDArray[np.float32]]) -> tuple[NDArray[np.float32], ...]:
        rows, hidden, cell = inputs["input"], inputs["h"], inputs["c"]
        assert rows.dtype == hidden.dtype == cell.dtype == np.float32
        assert rows.shape[1:] == (64 + FRAME_SAMPLES,)
        assert hidden.shape == cell.shape == (1, 1, 128)
        self.most_frames = max(self.most_frames, len(rows))
        speech = []
        for row in rows:
            hidden = np.float32(0.5) * hidden + np.abs(row).max() + np.float32(0.1) * cell
            cell = np.float32(0.9) * cell + row[:64].sum() * np.float32(1e-3)
            speech.append([1 / (1 + np.exp(-hidden[0, 0, 0] + cell[0, 0, 0]))])
        return np.array(speech, np.float32), hidden, cell


def frames(pcm: NDArray[np.int16], edges: list[int] | None = None, network: Recurrent | None = None) -> list[Frame]:
    voice = VoiceActivity(network or Recurrent())
    pieces = pairwise([0, *(edges or []), len(pcm)])
    return [frame for first, last in pieces for frame in voice.feed(pcm[first:last])] + voice.finish()


def noise(samples: int, seed: int = 0) -> NDArray[np.int16]:
    swell = 8000 * np.sin(np.arange(samples) / 3000) ** 2
    return (np.random.default_rng(seed).normal(0, 1, samples) * swell).astype(np.int16)


def test_without_audio_there_are_no_frames() -> None:
    assert frames(noise(0)) == []
    assert VoiceActivity(Recurrent()).feed(noise(0)) == []


def test_a_frame_is_given_as_soon_as_it_is_complete() -> None:
    voice = VoiceActivity(Recurrent())
    pcm = noise(1024)

    assert [len(voice.feed(pcm[first : first + 128])) for first in range(0, 1024, 128)] == [0, 0, 0, 1, 0, 0, 0, 1]
    assert voice.finish() == []


def test_the_last_frame_is_filled_up_with_silence() -> None:
    pcm = noise(1000)

    assert frames(pcm) == frames(np.pad(pcm, (0, 24)))


def test_the_end_comes_once() -> None:
    voice = VoiceActivity(Recurrent())
    voice.feed(noise(100))

    assert len(voice.finish()) == 1
    assert voice.finish() == []


@pytest.mark.parametrize(("sample", "level"), [(0, 0.0), (16384, 0.25), (-32768, 1.0)])
def test_the_level_is_the_mean_square(sample: int, level: float) -> None:
    assert [frame.level for frame in frames(np.full(1024, sample, np.int16))] == [level, level]


def test_recordings_do_not_hear_each_other() -> None:
    network = Recurrent()
    voices = [VoiceActivity(network), VoiceActivity(network)]
    recordings = [noise(5120, 1), noise(5120, 2)]
    heard: list[list[Frame]] = [[], []]
    for first in range(0, 5120, 640):
        for each, voice, pcm in zip(heard, voices, recordings, strict=True):
            each += voice.feed(pcm[first : first + 640])

    assert heard == [frames(pcm) for pcm in recordings]


def test_a_long_recording_is_judged_in_blocks_that_join_without_a_seam() -> None:
    pcm = noise(1500 * FRAME_SAMPLES)
    network = Recurrent()

    assert frames(pcm, network=network) == frames(pcm, list(range(0, len(pcm), 100_000)))
    assert network.most_frames == 1000


def test_the_network_of_these_tests_is_recurrent() -> None:
    pcm = noise(5120)
    alone = [frame for first in range(0, 5120, 512) for frame in frames(pcm[first : first + 512])]

    assert alone != frames(pcm)


@given(st.integers(0, 8000), st.lists(st.integers(0, 8000), max_size=12))
def test_any_division_of_the_audio_gives_the_same_frames(samples: int, edges: list[int]) -> None:
    pcm = noise(samples)

    assert frames(pcm, sorted(min(edge, samples) for edge in edges)) == frames(pcm)
    assert len(frames(pcm)) == -(-samples // FRAME_SAMPLES)


@given(st.integers(0, 5000), st.integers(0, 2000))
def test_another_listener_goes_on_from_a_state(place: int, known: int) -> None:
    pcm = noise(6000)
    first = VoiceActivity(Recurrent())
    before = first.feed(pcm[:place])
    # It gets some samples again that the first one has heard.
    known = min(known, place)
    second = VoiceActivity(Recurrent(), first.state, known)

    assert before + second.feed(pcm[place - known :]) + second.finish() == frames(pcm)
