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


async def test_who_leaves_is_told_no_more_and_what_ended_first_counts() -> None:
    feeding = asyncio.create_task(forever())
    left, ended = Answers[str](lambda output: ["new"]), Answers[str](lambda output: ["new"])
    left.leave()
    in_a_thread(lambda: left.listener.output(Output()), lambda: left.listener.ended(None))
    in_a_thread(lambda: ended.listener.output(Output()), lambda: ended.listener.ended(None))
    await asyncio.sleep(0.05)
    ended.leave()

    assert [answer async for answer in left.until_the_end(feeding)] == []
    assert [answer async for answer in ended.until_the_end(feeding)] == ["new"]
    assert (left.left, ended.left) == (True, False)
    feeding.cancel()


async def test_who_does_not_read_is_waited_for() -> None:
    feeding = asyncio.create_task(forever())
    answers = Answers[str](lambda output: ["new"])
    in_a_thread(*[lambda: answers.listener.output(Output())] * 3)
    await asyncio.sleep(0.05)
    waiting = asyncio.create_task(answers.wait_for_reader(1))
    messages = answers.until_the_end(feeding)
    await anext(messages)
    await asyncio.sleep(0.05)
    assert not waiting.done()

    await anext(messages)
    await asyncio.wait_for(waiting, 1)
    feeding.cancel()
