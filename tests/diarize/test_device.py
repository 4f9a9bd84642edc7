import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from services.diarize.device import Device
from services.diarize.engine import Diarization, LocalSpeakers, SpeakerBounds
from services.diarize.windows import Block
from services.runtime.fair_queue import Request
from tests.diarize.fake_engine import FakeDiarizer
from tests.diarize.recordings import blocks_of, heard_in, said

SECONDS_OF_A_BLOCK = 2.0


def blocks(voice: int, number: int) -> list[Block]:
    """Return so many blocks of one voice."""
    found = blocks_of(FakeDiarizer(), said((voice, SECONDS_OF_A_BLOCK * number + 1)))
    assert len(found) == number
    return found


def voices_in(heard: Sequence[LocalSpeakers]) -> set[int]:
    return {int(row.argmax()) for window in heard for row in window.embeddings if not np.isnan(row).any()}


async def test_blocks_of_several_requests_are_computed_together_and_each_gets_its_own_answer() -> None:
    diarizer = FakeDiarizer()
    device = Device(diarizer, workers=1)

    answers = [device.listen(Request(f"{voice}"), block) for voice in (3, 5, 7) for block in blocks(voice, 1)]
    heard = await asyncio.gather(*answers)

    assert [len(call) for call in diarizer.calls] == [2, 1]
    assert [voices_in(windows) for windows in heard] == [{3}, {5}, {7}]


async def test_nothing_waits_for_a_batch_to_fill() -> None:
    diarizer = FakeDiarizer()
    device = Device(diarizer, workers=1)

    for _ in range(3):
        await asyncio.wait_for(device.listen(Request("a"), blocks(3, 1)[0]), 10)

    assert [len(call) for call in diarizer.calls] == [1, 1, 1]


async def test_what_a_cancelled_request_has_waiting_is_never_computed() -> None:
    diarizer = FakeDiarizer(gate=threading.Event())
    device = Device(diarizer, workers=1)
    left, other = Request("left"), Request("other")
    answers = [device.listen(left, block) for block in blocks(3, 6)]
    assert await asyncio.to_thread(diarizer.started.wait, 10)
    stays = device.listen(other, blocks(5, 1)[0])

    device.end(left)
    assert diarizer.gate is not None
    diarizer.gate.set()
    await asyncio.wait(answers)

    assert voices_in(await stays) == {5}
    assert [answer.cancelled() for answer in answers] == [False] * 2 + [True] * 4
    assert [len(call) for call in diarizer.calls] == [2, 1]


async def test_a_block_that_cannot_be_computed_fails_alone() -> None:
    device = Device(FakeDiarizer(broken_by=9), workers=1)

    answers = [device.listen(Request(f"{voice}"), blocks(voice, 1)[0]) for voice in (9, 4, 3, 9)]
    heard = await asyncio.gather(*answers, return_exceptions=True)

    assert [isinstance(answer, RuntimeError) for answer in heard] == [True, False, False, True]
    assert voices_in(await answers[1]) == {4}
    assert voices_in(await device.listen(Request("later"), blocks(5, 1)[0])) == {5}


class Meeting(FakeDiarizer):
    """Computes nothing unless so many calls are made at once."""

    blocks_at_once = 1

    def __init__(self, workers: int) -> None:
        super().__init__()
        self._all_there = threading.Barrier(workers)

    def listen(self, blocks: Sequence[Block]) -> list[list[LocalSpeakers]]:
        self._all_there.wait(10)
        return super().listen(blocks)


async def test_no_worker_is_idle_while_something_waits() -> None:
    device = Device(Meeting(workers=3), workers=3)

    # Again and again: those who went away for want of work come back.
    for _ in range(4):
        waiting = [device.listen(Request(f"{number % 2}"), block) for number, block in enumerate(blocks(3, 6))]
        heard = await asyncio.gather(*waiting)
        assert all(voices_in(windows) == {3} for windows in heard)


async def test_never_more_is_computed_at_once_than_there_are_workers() -> None:
    diarizer = FakeDiarizer(gate=threading.Event())
    device = Device(diarizer, workers=2)

    answers = [device.listen(Request("a"), block) for block in blocks(3, 10)]
    for _ in range(200):
        await asyncio.sleep(0.01)
        if len(diarizer.calls) > 1:
            break
    await asyncio.sleep(0.05)

    assert [len(call) for call in diarizer.calls] == [2, 2]
    assert diarizer.gate is not None
    diarizer.gate.set()
    await asyncio.gather(*answers)
    assert sum(len(call) for call in diarizer.calls) == 10


async def test_the_expected_wait_follows_the_pace_and_what_waits() -> None:
    now = 0.0

    class Slow(FakeDiarizer):
        blocks_at_once = 1

        def listen(self, blocks: Sequence[Block]) -> list[list[LocalSpeakers]]:
            nonlocal now
            now += 3 * SECONDS_OF_A_BLOCK
            return super().listen(blocks)

    diarizer = Slow()
    device = Device(diarizer, workers=1, clock=lambda: now)
    assert device.expected_wait_seconds() == 0
    await device.listen(Request("a"), blocks(3, 1)[0])
    assert device.expected_wait_seconds() == 0

    diarizer.gate = threading.Event()
    diarizer.started.clear()
    answers = [device.listen(request, block) for request in (Request("a"), Request("b")) for block in blocks(3, 3)]
    assert await asyncio.to_thread(diarizer.started.wait, 10)

    # Five blocks of two seconds wait, of two requests; each takes three times as long as it lasts.
    assert device.expected_wait_seconds() == pytest.approx(5 * SECONDS_OF_A_BLOCK * 3 / 2)
    diarizer.gate.set()
    await asyncio.gather(*answers)
    assert device.expected_wait_seconds() == 0


async def test_who_spoke_when_is_concluded_from_all_windows() -> None:
    diarizer = FakeDiarizer()
    device = Device(diarizer, workers=1)

    diarization = await device.conclude(heard_in(diarizer, said((3, 2), (6, 3))), 5.0, SpeakerBounds(maximum=4))

    assert [turn.speaker for turn in diarization.turns] == [0, 1]
    assert diarization.turns[0].end == pytest.approx(2, abs=0.1)


async def test_the_diarizer_is_told_how_many_speakers_there_are_when_it_does_not_find_them_alone() -> None:
    diarizer = FakeDiarizer()
    bounds = SpeakerBounds(minimum=3)

    await Device(diarizer, workers=1).conclude(heard_in(diarizer, said((3, 2), (6, 3))), 5.0, bounds)

    assert diarizer.bounds[-1] == bounds


@pytest.mark.parametrize("seconds", [0, 5])
async def test_without_a_voice_nothing_is_grouped(seconds: float) -> None:
    diarizer = FakeDiarizer()
    windows = heard_in(diarizer, said((0, seconds)))

    assert await Device(diarizer, workers=1).conclude(windows, seconds, SpeakerBounds(exact=2)) == Diarization((), ())
    assert diarizer.bounds == []
