from random import Random

import numpy as np
import pytest
from faster_whisper.vad import get_vad_model
from numpy.typing import NDArray

from services.asr.silero import Silero
from services.asr.windows import FRAME_SAMPLES, Frame

SECONDS = 40
"""More than is judged at once."""


@pytest.fixture(scope="module")
def silero() -> Silero:
    return Silero()


@pytest.fixture(scope="module")
def voice() -> NDArray[np.int16]:
    """Something that the network takes for a voice: a buzz in syllables, with a vowel's resonances, and pauses."""
    moments = np.arange(SECONDS * 16_000) / 16_000
    pitch = 2 * np.pi * np.cumsum(120 + 15 * np.sin(2 * np.pi * 0.7 * moments)) / 16_000
    harmonics = np.arange(1, 30)[:, np.newaxis]
    resonance = sum(np.exp(-(((120 * harmonics - peak) / 120) ** 2)) for peak in (600, 1200, 2500)) + 0.05
    buzz = (resonance * np.sin(harmonics * pitch)).sum(axis=0)
    syllables = np.maximum(0, np.sin(2 * np.pi * 4 * moments)) * (np.sin(2 * np.pi * 0.2 * moments) > 0)
    noise = np.random.default_rng(0).normal(0, 30, len(moments))
    # Its end is silent: faster-whisper blanks the end of the last frame.
    noise[-FRAME_SAMPLES:] = 0
    syllables[-FRAME_SAMPLES:] = 0
    return (3000 * buzz * syllables + noise).astype(np.int16)


def frames(silero: Silero, pcm: NDArray[np.int16], edges: list[int]) -> list[Frame]:
    ear = silero.listen()
    pieces = np.split(pcm, sorted(edges))
    return [frame for piece in pieces for frame in ear.feed(piece)] + ear.finish()


def test_it_hears_what_faster_whisper_hears(silero: Silero, voice: NDArray[np.int16]) -> None:
    expected = np.ravel(get_vad_model()(voice.astype(np.float32) / 32768))

    heard = [frame.speech for frame in frames(silero, voice, [])]

    assert expected.max() > 0.5
    assert expected.min() < 0.1
    np.testing.assert_allclose(heard, expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_it_hears_the_same_in_any_division_of_the_audio(silero: Silero, voice: NDArray[np.int16], seed: int) -> None:
    random = Random(seed)
    edges = [random.randrange(len(voice)) for _ in range(10 ** (seed + 1))]

    whole = frames(silero, voice, [])
    divided = frames(silero, voice, edges)

    np.testing.assert_allclose([f.speech for f in divided], [f.speech for f in whole], atol=1e-5)
    assert [f.level for f in divided] == pytest.approx([f.level for f in whole])


def test_silence_is_no_speech(silero: Silero) -> None:
    assert all(frame.speech < 0.1 for frame in frames(silero, np.zeros(16_000, np.int16), []))
