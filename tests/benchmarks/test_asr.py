import asyncio

import pytest

from benchmarks.asr import at_once, lies_in, own_utterances, percentile, seconds_of
from benchmarks.asr_service import Word, running_asr
from benchmarks.scoring import Utterance


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(20, 0, -1)]

    assert percentile(values, 0.95) == 19
    assert percentile(values, 0.5) == 10
    assert percentile([3.0], 0.95) == 3


def test_words_belong_to_the_utterance_that_says_them() -> None:
    spoken = [Utterance("b", "who was it", 5, 8), Utterance("a", "it was me", 1, 4)]
    words = [Word(" It", 1, 1.2), Word(" was", 1.2, 1.5), Word(" Mee", 2, 3), Word(" who", 5, 5.5), Word(" was", 3, 4)]

    own = own_utterances(words, spoken)

    assert [(word.text, utterance.speaker) for word, utterance in own] == [
        (" It", "a"),
        (" was", "a"),
        (" who", "b"),
        (" was", "b"),
    ]
    assert [lies_in(word, utterance) for word, utterance in own] == [True, True, True, False]


def test_an_utterance_has_a_collar() -> None:
    spoken = Utterance("a", "yes", 1.0, 2.0)

    assert lies_in(Word("yes", 0.8, 2.2), spoken)
    assert not lies_in(Word("yes", 0.7, 1.5), spoken)


async def test_calls_are_made_a_few_at_a_time_and_answered_in_order() -> None:
    running = most = 0

    async def call(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return number

    results = await at_once(3, [lambda number=number: call(number) for number in range(10)])

    assert results == list(range(10))
    assert most == 3


def test_pcm_lasts_as_long_as_its_samples() -> None:
    assert seconds_of(bytes(64_000)) == 2.0


@pytest.mark.slow
async def test_a_service_that_cannot_start_says_why() -> None:
    with pytest.raises(RuntimeError, match="huge"):
        async with running_asr(models="huge"):
            pass
