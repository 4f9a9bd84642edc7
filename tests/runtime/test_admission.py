import asyncio

import pytest

from services.runtime.admission import Admission
from services.runtime.errors import Fault, MeshError


def test_places_are_bounded_and_given_back() -> None:
    admission = Admission("trial", places=2, slots=1)

    with admission.place(), admission.place():
        with pytest.raises(MeshError) as refused, admission.place():
            pass
        assert refused.value.fault is Fault.OVERLOADED
        assert refused.value.retry_after_seconds is not None
        assert refused.value.retry_after_seconds >= 1
    with admission.place():
        pass


async def test_no_more_run_than_there_are_slots() -> None:
    admission = Admission("trial", places=10, slots=2)
    running = 0
    most = 0

    async def work() -> None:
        nonlocal running, most
        async with admission.slot():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(work() for _ in range(10)))

    assert most == 2


async def test_slots_go_in_the_order_of_arrival() -> None:
    admission = Admission("trial", places=10, slots=1)
    order: list[int] = []

    async def work(number: int) -> None:
        async with admission.slot():
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(number) for number in range(5)))

    assert order == [0, 1, 2, 3, 4]


async def test_who_waits_gets_a_place_in_the_order_of_arrival() -> None:
    admission = Admission("trial", places=2, slots=2)
    order: list[int] = []

    async def work(number: int) -> None:
        async with admission.place_within(5):
            order.append(number)
            await asyncio.sleep(0.001)

    first = [asyncio.create_task(work(number)) for number in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(MeshError):
        await work(99)
    await asyncio.gather(*first)
    assert order == [0, 1, 2, 3]
    with admission.place(), admission.place():
        pass


async def test_nobody_is_served_before_those_who_wait() -> None:
    admission = Admission("trial", places=1, slots=1)
    with admission.place():
        waiting = asyncio.create_task(_hold(admission))
        await asyncio.sleep(0)
    with pytest.raises(MeshError), admission.place():
        pass
    await waiting
    with admission.place():
        pass


async def test_who_needs_more_places_gets_them_and_others_wait_the_longer() -> None:
    admission = Admission("trial", places=2, slots=2)
    async with admission.place_within(0):
        with admission.more(3):
            waiting = asyncio.create_task(_hold(admission))
            await asyncio.sleep(0.01)
            assert not waiting.done()
        await asyncio.wait_for(waiting, 5)
    with admission.place(), admission.place(), pytest.raises(MeshError), admission.place():
        pass


async def test_when_to_come_back_goes_by_how_long_places_were_held() -> None:
    admission = Admission("trial", places=1, slots=1)
    for _ in range(60):
        admission._remember(40.0)
    assert admission.expected_wait_seconds() == pytest.approx(40, abs=1)
    async with admission.place_within(0):
        await asyncio.sleep(0.01)
    assert admission.expected_wait_seconds() < 37


async def test_who_waits_too_long_is_told_so() -> None:
    admission = Admission("trial", places=1, slots=1)
    with admission.place():
        with pytest.raises(MeshError) as refused:
            await _hold(admission, 0.01)
        assert (refused.value.fault, refused.value.code) == (Fault.OVERLOADED, "queue_full")
    with admission.place():
        pass


@pytest.mark.parametrize("moment", ["while he waits", "as it comes", "as it would come"])
async def test_who_leaves_while_he_waits_takes_no_place_with_him(moment: str) -> None:
    admission = Admission("trial", places=2, slots=2)
    with admission.place():
        holding = admission.place()
        holding.__enter__()
        leaving, staying = (asyncio.create_task(_hold(admission)) for _ in range(2))
        await asyncio.sleep(0)
        if moment == "as it comes":
            holding.__exit__(None, None, None)
        leaving.cancel()
        if moment == "as it would come":
            holding.__exit__(None, None, None)
        await asyncio.wait({leaving})
        if moment == "while he waits":
            holding.__exit__(None, None, None)
        await asyncio.wait_for(staying, 5)
    assert leaving.cancelled()
    with admission.place(), admission.place():
        pass


async def _hold(admission: Admission, seconds: float = 5) -> None:
    async with admission.place_within(seconds):
        await asyncio.sleep(0)
