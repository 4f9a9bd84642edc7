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
