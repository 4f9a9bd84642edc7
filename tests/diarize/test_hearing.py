import asyncio
import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from services.diarize.device import Device
from services.diarize.engine import Diarization, SpeakerBounds
from services.diarize.hearing import Hearing
from services.diarize.windows import Block
from services.runtime.fair_queue import Request
from tests.diarize.fake_engine import FakeDiarizer
from tests.diarize.recordings import diarized, said

TALK = said((3, 3), (6, 2.5), (0, 1), (3, 4), (8, 2.3))


async def heard(
    diarizer: FakeDiarizer, samples: NDArray[np.int16], chunk_seconds: float = 1.0, workers: int = 1
) -> tuple[Diarization, list[float]]:
    """Return who spoke when, and what was told of the progress on the way."""
    hearing = Hearing(Device(diarizer, workers), "somebody")
    size = round(chunk_seconds * 16_000)
    progress = []
    for start in range(0, len(samples), size):
        hearing.feed(samples[start : start + size].tobytes())
        progress.append(hearing.done_seconds)
        await asyncio.sleep(0)
        progress.append(hearing.done_seconds)
    hearing.finish()
    progress += await worked_through(hearing)
    return await hearing.conclude(SpeakerBounds()), progress


async def worked_through(hearing: Hearing) -> list[float]:
    """Wait until nothing of a recording waits any more; return what was told of the progress."""
    progress = []
    while hearing.waiting:
        await asyncio.wait_for(hearing.wait_for_change(), 10)
        progress.append(hearing.done_seconds)
    return [*progress, hearing.done_seconds]


@pytest.mark.parametrize("chunk_seconds", [0.1, 1.0, 60.0])
@pytest.mark.parametrize("workers", [1, 3])
async def test_in_parts_and_through_the_device_a_recording_gives_the_same(chunk_seconds: float, workers: int) -> None:
    diarization, _ = await heard(FakeDiarizer(), TALK, chunk_seconds, workers)

    assert diarization == await asyncio.to_thread(diarized, FakeDiarizer(), TALK)
    assert len(diarization.turns) == 4


async def test_a_recording_without_audio_has_nobody() -> None:
    assert await heard(FakeDiarizer(), said()) == (Diarization((), ()), [0.0])


@pytest.mark.parametrize("chunk_seconds", [0.1, 0.7, 3.0, 60.0])
async def test_progress_never_goes_back_and_ends_with_the_recording(chunk_seconds: float) -> None:
    _, progress = await heard(FakeDiarizer(), TALK, chunk_seconds)

    assert progress == sorted(progress)
    assert progress[0] == 0
    assert progress[-1] == len(TALK) / 16_000


async def test_work_begins_with_the_first_seconds() -> None:
    diarizer = FakeDiarizer()
    hearing = Hearing(Device(diarizer, 1), "somebody")

    hearing.feed(said((3, 5)).tobytes())
    assert hearing.waiting
    await asyncio.wait_for(hearing.wait_for_change(), 10)

    assert not hearing.waiting
    assert hearing.done_seconds > 0
    assert len(diarizer.calls) == 1


async def test_who_is_far_ahead_of_the_work_waits_until_it_comes_nearer() -> None:
    diarizer = FakeDiarizer(gate=threading.Event())
    hearing = Hearing(Device(diarizer, 1), "somebody")
    hearing.feed(said((3, 13)).tobytes())  # six blocks of two seconds, computed two by two

    await asyncio.wait_for(hearing.wait_until_behind(12), 10)
    ahead = asyncio.ensure_future(hearing.wait_until_behind(11))
    assert await asyncio.to_thread(diarizer.started.wait, 10)
    await asyncio.sleep(0.01)
    assert not ahead.done()

    assert diarizer.gate is not None
    diarizer.gate.set()
    await asyncio.wait_for(ahead, 10)


async def test_what_goes_wrong_is_raised_and_the_rest_is_not_computed() -> None:
    diarizer = FakeDiarizer(broken_by=9)
    device = Device(diarizer, 1)
    hearing = Hearing(device, "somebody")
    hearing.feed(said((9, 40)).tobytes())

    with pytest.raises(RuntimeError, match="secret"):
        await worked_through(hearing)

    # Nor does a sender wait any longer for work that will not be done.
    await asyncio.wait_for(hearing.wait_until_behind(0), 10)
    # The device works on for the next one; the first batch was tried once more, block by block.
    await device.listen(Request("next"), Block(0, said((3, 3)), (0, 16_000)))
    assert [len(blocks) for blocks in diarizer.calls] == [2, 1, 1, 1]


async def test_a_cancelled_hearing_leaves_the_device_to_the_others() -> None:
    diarizer = FakeDiarizer(gate=threading.Event())
    device = Device(diarizer, 1)
    left = Hearing(device, "somebody")
    left.feed(said((3, 41)).tobytes())
    assert await asyncio.to_thread(diarizer.started.wait, 10)
    stays = Hearing(device, "somebody")
    stays.feed(said((5, 4)).tobytes())
    stays.finish()

    left.cancel()
    assert diarizer.gate is not None
    diarizer.gate.set()
    await worked_through(stays)

    assert len((await stays.conclude(SpeakerBounds())).turns) == 1
    assert [len(call) for call in diarizer.calls] == [2, 2]


async def test_somebody_may_wake_who_waits_for_a_change() -> None:
    hearing = Hearing(Device(FakeDiarizer(), 1), "somebody")

    waiting = asyncio.ensure_future(hearing.wait_for_change())
    await asyncio.sleep(0)
    assert not waiting.done()

    hearing.wake()

    await asyncio.wait_for(waiting, 10)
    assert not hearing.waiting
