"""One suite for every engine: the fake one, and Whisper with real weights."""

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.asr.engine import Encoding, Engine, Hypothesis, Prompt, Task
from services.audio.pcm import SAMPLE_RATE
from tests.asr.fake_engine import FakeEngine, tone

_SECONDS = 15


@pytest.fixture(scope="module", params=["fake", pytest.param("whisper", marks=[pytest.mark.model, pytest.mark.slow])])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "fake":
        return FakeEngine(languages=("en",))
    from services.asr.whisper import WhisperEngine

    folder: Path = request.getfixturevalue("tiny_en")
    return WhisperEngine("tiny.en", folder, device="cpu", compute_type="int8", workers=2, threads=1)


@pytest.fixture(scope="module")
def windows(request: pytest.FixtureRequest, engine: Engine) -> list[NDArray[np.int16]]:
    if isinstance(engine, FakeEngine):
        return [tone((seconds, 9000), (1.0, 0)) for seconds in (2.0, 4.0, 7.0)]
    with wave.open(str(request.getfixturevalue("two_speakers"))) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return [pcm[7 * SAMPLE_RATE : 13 * SAMPLE_RATE], pcm[12 * SAMPLE_RATE : 22 * SAMPLE_RATE], pcm[-8 * SAMPLE_RATE :]]


def _prompts(engine: Engine, count: int, *, timestamps: bool = False) -> list[Prompt]:
    return [engine.prompt("en", Task.TRANSCRIBE, (), timestamps=timestamps)] * count


def _decode_alone(engine: Engine, encodings: Sequence[Encoding], prompts: Sequence[Prompt]) -> list[Hypothesis]:
    return [
        hypothesis
        for encoding, prompt in zip(encodings, prompts, strict=True)
        for hypothesis in engine.decode([encoding], [prompt], 5)
    ]


@pytest.mark.parametrize("timestamps", [False, True])
def test_a_window_gives_the_same_alone_and_in_a_batch(
    engine: Engine, windows: list[NDArray[np.int16]], timestamps: bool
) -> None:
    encodings = engine.encode(windows, _SECONDS)
    prompts = _prompts(engine, len(windows), timestamps=timestamps)

    together = engine.decode(encodings, prompts, 5)

    assert together == _decode_alone(engine, encodings, prompts)
    assert all(hypothesis.text for hypothesis in together)


def test_encoding_does_not_depend_on_the_batch(engine: Engine, windows: list[NDArray[np.int16]]) -> None:
    together = engine.encode(windows, _SECONDS)
    alone = [encoding for window in windows for encoding in engine.encode([window], _SECONDS)]
    prompts = _prompts(engine, len(windows))

    assert _decode_alone(engine, together, prompts) == _decode_alone(engine, alone, prompts)


def test_words_lie_inside_the_window_and_say_the_text(engine: Engine, windows: list[NDArray[np.int16]]) -> None:
    for window in windows:
        (encoding,) = engine.encode([window], _SECONDS)
        (prompt,) = _prompts(engine, 1)
        (hypothesis,) = engine.decode([encoding], [prompt], 5)

        words = engine.align(encoding, len(window) / SAMPLE_RATE, prompt, hypothesis)

        times = [time for word in words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert times[0] >= 0
        assert times[-1] <= len(window) / SAMPLE_RATE + 0.02
        assert all(0 <= word.probability <= 1 for word in words)
        assert "".join(word.text for word in words).split() == hypothesis.text.split()


def test_evidence_is_in_range(engine: Engine, windows: list[NDArray[np.int16]]) -> None:
    encodings = engine.encode(windows, _SECONDS)

    for hypothesis in engine.decode(encodings, _prompts(engine, len(windows)), 5):
        assert hypothesis.average_log_probability <= 0
        assert 0 <= hypothesis.no_speech_probability <= 1
        assert hypothesis.compression_ratio > 0
        assert hypothesis.complete


def test_odds_of_languages_sum_up_to_one(engine: Engine, windows: list[NDArray[np.int16]]) -> None:
    (encoding,) = engine.encode(windows[:1], _SECONDS)

    odds = engine.detect_language(encoding, 0.0, 5.0)

    assert set(odds) <= set(engine.languages)
    assert sum(odds.values()) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("temperature", [0.4, 1.0])
def test_sampling_depends_on_the_window_alone(
    engine: Engine, windows: list[NDArray[np.int16]], temperature: float
) -> None:
    encodings = engine.encode(windows, _SECONDS)
    (prompt,) = _prompts(engine, 1)
    first = engine.sample(encodings[0], prompt, temperature)
    engine.sample(encodings[1], prompt, temperature)

    assert engine.sample(encodings[0], prompt, temperature) == first


def test_context_is_counted_in_tokens(engine: Engine) -> None:
    context = engine.context("Nuzhat al-Zaman, Zau al-Makan")

    with_context = engine.prompt("en", Task.TRANSCRIBE, context, timestamps=False)

    assert 2 < len(context) <= engine.longest_context
    assert engine.context("  ") == ()
    assert len(with_context.tokens) > len(engine.prompt("en", Task.TRANSCRIBE, (), timestamps=False).tokens)
