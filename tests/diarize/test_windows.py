import weakref
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.diarize.windows import Block, WindowedAudio, WindowRules

RULES = st.integers(1, 12).flatmap(
    lambda length: st.builds(WindowRules, st.just(length), st.integers(1, length), st.integers(1, 4))
)
CHUNKS = st.lists(st.integers(0, 30), max_size=12)


def recording(samples: int) -> NDArray[np.int16]:
    """Return samples that say where they are."""
    return np.arange(1, samples + 1, dtype=np.int16)


def cut(audio: NDArray[np.int16], rules: WindowRules, sizes: list[int]) -> list[Block]:
    windowed = WindowedAudio(rules)
    blocks = []
    for size in sizes:
        blocks += windowed.feed(audio[:size])
        audio = audio[size:]
    return [*blocks, *windowed.feed(audio), *windowed.finish()]


def alive(chunk: "weakref.ref[NDArray[np.int16]]") -> int:
    """Return how many samples of a chunk are still in memory."""
    samples = chunk()
    return 0 if samples is None else len(samples)


def starts_of(blocks: list[Block]) -> list[int]:
    return [block.start + offset for block in blocks for offset in block.offsets]


def as_values(blocks: list[Block]) -> list[tuple[int, tuple[int, ...], list[int]]]:
    return [(block.start, block.offsets, block.samples.tolist()) for block in blocks]


@given(RULES, st.integers(0, 120), CHUNKS)
def test_however_it_arrives_a_recording_has_the_same_blocks(rules: WindowRules, samples: int, sizes: list[int]) -> None:
    audio = recording(samples)

    assert as_values(cut(audio, rules, sizes)) == as_values(cut(audio, rules, []))


@given(RULES, st.integers(0, 120))
def test_windows_begin_every_step_but_one_that_ends_with_the_recording(rules: WindowRules, samples: int) -> None:
    starts = starts_of(cut(recording(samples), rules, []))

    regular = [number * rules.step for number in range(len(starts))]
    assert starts[:-1] == regular[:-1]
    if starts[-1:] != regular[-1:]:
        assert starts[-1] == samples - rules.length
        assert regular[-2] < starts[-1] < regular[-1]


@given(RULES, st.integers(0, 120))
def test_every_sample_is_in_some_window_and_no_window_is_useless(rules: WindowRules, samples: int) -> None:
    starts = starts_of(cut(recording(samples), rules, []))

    covered = {sample for start in starts for sample in range(start, start + rules.length)}
    assert covered.issuperset(range(samples))
    assert not starts or starts[0] == 0
    assert not starts[1:] or starts[-1] + rules.length <= samples
    assert not starts[1:] or starts[-2] + rules.length < samples


@given(RULES, st.integers(0, 120), CHUNKS)
def test_a_block_holds_the_audio_of_its_windows_and_nothing_else(
    rules: WindowRules, samples: int, sizes: list[int]
) -> None:
    audio = recording(samples)

    for block in cut(audio, rules, sizes):
        assert block.samples.dtype == np.int16
        assert block.offsets[0] == 0
        assert all(one < other for one, other in pairwise(block.offsets))
        assert len(block.offsets) <= rules.block_steps
        end = block.start + block.offsets[-1] + rules.length
        assert np.array_equal(block.samples, audio[block.start : end])


@pytest.mark.parametrize("samples", [1, 5, 9])
def test_a_recording_shorter_than_a_window_is_one_window_that_ends_with_it(samples: int) -> None:
    (block,) = cut(recording(samples), WindowRules(10, 2, 3), [])

    assert (block.start, block.offsets, len(block.samples)) == (0, (0,), samples)


def test_a_block_comes_as_soon_as_its_last_sample_is_there() -> None:
    windowed = WindowedAudio(WindowRules(length=10, step=4, block_steps=3))

    assert windowed.feed(recording(17)) == []
    (block,) = windowed.feed(recording(1))

    assert (block.start, block.offsets) == (0, (0, 4, 8))


@settings(max_examples=30)
@given(RULES, st.lists(st.integers(1, 20), max_size=40))
def test_no_more_audio_is_kept_than_the_next_blocks_need(rules: WindowRules, sizes: list[int]) -> None:
    windowed = WindowedAudio(rules)
    kept: list[weakref.ref[NDArray[np.int16]]] = []
    block = rules.length + (rules.block_steps - 1) * rules.step
    for size in sizes:
        chunk = recording(size)
        kept.append(weakref.ref(chunk))
        windowed.feed(chunk)
        del chunk

        # What the block that is coming has so far, a window before it, and the chunk that window begins in.
        assert sum(map(alive, kept)) < block + rules.length + max(sizes)


def test_it_tells_how_much_audio_has_come() -> None:
    windowed = WindowedAudio(WindowRules(10, 5, 1))

    for _ in range(3):
        windowed.feed(np.zeros(8_000, np.int16))

    assert windowed.seconds == 1.5
