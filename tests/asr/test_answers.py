import asyncio
import threading
from collections.abc import Callable

import pytest

from services.asr.answers import Answers
from services.asr.session import Output


def in_a_thread(*calls: Callable[[], None]) -> None:
    def run() -> None:
        for call in calls:
            call()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


async def forever() -> None:
    await asyncio.Event().wait()


async def test_what_threads_report_comes_in_order_and_ends() -> None:
    answers = Answers[str](lambda output: ["new"], lambda done, total: [f"{done} of {total}"])
    feeding = asyncio.create_task(forever())
    listener = answers.listener
    in_a_thread(lambda: listener.output(Output()), lambda: listener.progress(1.0, None), lambda: listener.ended(None))

    assert [answer async for answer in answers.until_the_end(feeding)] == ["new", "1.0 of None"]
    feeding.cancel()


async def test_what_ended_the_transcription_is_raised_after_what_came_before() -> None:
    answers = Answers[str](lambda output: ["new"])
    feeding = asyncio.create_task(forever())
    in_a_thread(lambda: answers.listener.output(Output()), lambda: answers.listener.ended(ValueError("broken")))
    messages = answers.until_the_end(feeding)

    assert await anext(messages) == "new"
    with pytest.raises(ValueError, match="broken"):
        await anext(messages)
    feeding.cancel()


async def test_what_ended_the_feeding_is_raised() -> None:
    async def fail() -> None:
        raise ValueError("odd")

    answers = Answers[str](lambda output: [])

    with pytest.raises(ValueError, match="odd"):
        await anext(answers.until_the_end(asyncio.create_task(fail())))


async def test_who_waits_for_progress_goes_on_with_it_or_with_the_end() -> None:
    answers = Answers[str](lambda output: [])
    waiting = asyncio.create_task(answers.wait_for_progress(5.0))
    in_a_thread(lambda: answers.listener.progress(4.0, None))
    await asyncio.sleep(0.05)
    assert not waiting.done()

    in_a_thread(lambda: answers.listener.progress(5.0, None))
    await asyncio.wait_for(waiting, 1)

    waiting = asyncio.create_task(answers.wait_for_progress(50.0))
    in_a_thread(lambda: answers.listener.ended(ValueError("broken")))
    await asyncio.wait_for(waiting, 1)
