import asyncio
import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from prometheus_client import REGISTRY

from services.runtime.fair_queue import Request
from services.summarize.device import Device, Written
from services.summarize.engine import CHUNK_TOKENS, Chunk, Message, Step
from tests.summarize.fake_model import ANSWER, FakeModel, Texts
from tests.summarize.waiting import until


def chat(text: str, instructions: str = "") -> list[int]:
    """Return a prompt after which the fake model writes `text`."""
    told = [Message("system", instructions)] if instructions else []
    return FakeModel().chat([*told, Message("user", text)])


def rows_in_use() -> float | None:
    return REGISTRY.get_sample_value("speechmesh_summarize_rows")


def tokens_counted(kind: str) -> float:
    return REGISTRY.get_sample_value("speechmesh_summarize_tokens_total", {"kind": kind}) or 0.0


class Writer:
    """A prompt under way; what was written so far is `text`.

    Args:
        device: where.
        prompt: what is read first.
        request: whose it is.
        most: tokens after which it ends.
        wanted: tokens after which no more is wanted.
        on_token: is told how many tokens there are, after each.
    """

    def __init__(
        self,
        device: Device,
        prompt: Sequence[int],
        request: Request | None = None,
        *,
        most: int = 10_000,
        wanted: int = 10_000,
        on_token: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._decode = device.model.decode
        self._tokens = list[int]()
        self._wanted = wanted
        self._on_token = on_token
        self.task = asyncio.ensure_future(device.write(request or Request("a"), prompt, most, self._take))

    @property
    def text(self) -> str:
        return self._decode(self._tokens)

    def _take(self, token: int) -> bool:
        self._tokens.append(token)
        self._on_token(len(self._tokens))
        return len(self._tokens) < self._wanted


def rows_of(model: FakeModel) -> list[list[int]]:
    return [sorted(step.row for step in steps) for steps in model.steps]


# --- one prompt ---


async def test_a_prompt_is_read_and_what_follows_is_written_to_its_end() -> None:
    device = Device(FakeModel())
    text = "We meet on Monday. " * 20
    writer = Writer(device, chat(text))

    # The end is a token, too.
    assert await writer.task == Written(len(text) + 1, complete=True)
    assert writer.text == text


async def test_it_ends_when_no_more_is_wanted_and_when_it_has_its_most() -> None:
    device = Device(FakeModel())
    prompt = chat("abcdefgh")

    for writer in (Writer(device, prompt, wanted=3), Writer(device, prompt, most=3)):
        assert (await writer.task).tokens == 3
        assert writer.text == "abc"


@pytest.mark.parametrize("length", [1, 2, CHUNK_TOKENS, CHUNK_TOKENS + 1, CHUNK_TOKENS + 2, 3 * CHUNK_TOKENS + 5])
async def test_all_of_a_prompt_but_its_last_token_is_read_in_chunks_and_that_when_writing_begins(length: int) -> None:
    model = FakeModel(lambda prompt: "yes")
    prompt = [*range(100, 100 + length - 1), ANSWER]
    writer = Writer(Device(model), prompt)
    await writer.task

    assert [token for chunk in model.chunks for token in chunk.tokens] == prompt[:-1]
    assert [chunk.position for chunk in model.chunks] == list(range(0, length - 1, CHUNK_TOKENS))
    assert [(step.position, step.token) for (step,) in model.steps] == [
        (length - 1, ANSWER),
        *((length + place, token) for place, (token,) in enumerate(model.encode("yes"))),
    ]
    assert writer.text == "yes"


async def test_the_model_is_told_which_tokens_a_row_has_written_not_which_it_read() -> None:
    model = FakeModel(lambda prompt: "abab")
    await Writer(Device(model), chat("long")).task

    a, b = (token for (token,) in model.encode("ab"))
    assert [step.written for (step,) in model.steps] == [set(), {a}, {a, b}, {a, b}, {a, b}]


async def test_a_prompt_that_does_not_fit_into_a_row_is_the_callers_fault() -> None:
    device = Device(FakeModel(window=20))

    with pytest.raises(AssertionError):
        await device.write(Request("a"), [ANSWER] * 11, 10, lambda token: True)
    assert (await device.write(Request("a"), [ANSWER] * 10, 10, lambda token: True)).tokens == 1


# --- several prompts ---


async def test_a_prompt_that_comes_later_joins_those_that_are_written() -> None:
    model = FakeModel()
    device = Device(model)
    late = list[Writer]()

    def join(count: int) -> None:
        if count == 5:
            late.append(Writer(device, chat("late")))

    early = Writer(device, chat("a long text that is written for a while"), on_token=join)
    await early.task
    assert late[0].task.done()

    assert (early.text, late[0].text) == ("a long text that is written for a while", "late")
    widths = [len(steps) for steps in model.steps]
    assert widths[:5] == [1] * 5
    assert widths.count(2) == len("late") + 1
    assert widths[-1] == 1


async def test_rows_are_used_again_and_what_they_held_before_is_forgotten() -> None:
    model = FakeModel(rows=3)
    device = Device(model)
    texts = [f"text number {number} " * (number % 4 + 1) for number in range(12)]

    writers = [Writer(device, chat(text)) for text in texts]
    await asyncio.gather(*(writer.task for writer in writers))

    assert [writer.text for writer in writers] == texts
    assert {row for rows in rows_of(model) for row in rows} == {0, 1, 2}
    assert max(len(steps) for steps in model.steps) == 3
    assert sum(chunk.position == 0 for chunk in model.chunks) == len(texts)
    assert rows_in_use() == 0


async def test_no_row_is_idle_while_a_prompt_waits() -> None:
    model = FakeModel(lambda prompt: "x" * 9, rows=3)
    device = Device(model)

    await asyncio.gather(*(Writer(device, [ANSWER]).task for _ in range(9)))

    assert [len(steps) for steps in model.steps] == [3] * 30


async def test_callers_take_turns_when_there_are_more_prompts_than_rows() -> None:
    device = Device(FakeModel(rows=1))
    ended = list[str]()

    async def write(caller: str) -> None:
        await device.write(Request(caller), chat("some words"), 100, lambda token: True)
        ended.append(caller)

    tasks = [asyncio.ensure_future(write(caller)) for caller in ["many"] * 5 + ["few"] * 2]
    await asyncio.gather(*tasks)

    assert ended == ["many", "few", "many", "few", "many", "many", "many"]


async def test_the_requests_of_one_caller_take_turns_too() -> None:
    device = Device(FakeModel(rows=1))
    ended = list[int]()

    async def write(request: Request) -> None:
        await device.write(request, chat("some words"), 100, lambda token: True)
        ended.append(request.number)

    first, second = Request("a"), Request("a")
    await asyncio.gather(*(write(request) for request in (first, first, first, second, second)))

    assert ended == [first.number, second.number] * 2 + [first.number]


async def test_prompts_are_read_in_turns_chunk_by_chunk() -> None:
    model = FakeModel(lambda prompt: "", rows=3)
    device = Device(model)
    prompts = [("a", 100, 3), ("a", 101, 3), ("b", 200, 2)]
    writers = [
        Writer(device, [token] * (chunks * CHUNK_TOKENS) + [ANSWER], Request(caller))
        for caller, token, chunks in prompts
    ]

    await asyncio.gather(*(writer.task for writer in writers))

    assert [chunk.tokens[0] for chunk in model.chunks] == [100, 200, 101, 200, 100, 101, 100, 101]


def most_between_steps(model: FakeModel) -> int:
    """Return how many other calls lie between two steps, at most."""
    places = [place for place, call in enumerate(model.calls) if isinstance(call, tuple)]
    return max(after - before - 1 for before, after in pairwise(places))


async def test_who_writes_never_waits_for_more_than_a_chunk() -> None:
    model = FakeModel()
    device = Device(model)
    tasks = list[asyncio.Future[int]]()

    def bring_long_ones(count: int) -> None:
        if count == 10:
            tasks.extend(Writer(device, chat("y" * 1000), Request(f"{number}")).task for number in range(3))

    writer = Writer(device, chat("x" * 60), on_token=bring_long_ones)
    await writer.task
    await asyncio.gather(*tasks)

    assert writer.text == "x" * 60
    assert max(len(chunk.tokens) for chunk in model.chunks) == CHUNK_TOKENS
    assert most_between_steps(model) == 1
    # And who reads does not wait for the end of what is written.
    first_long = next(place for place, call in enumerate(model.calls) if isinstance(call, Chunk) and call.row == 1)
    assert any(isinstance(call, tuple) and len(call) == 1 for call in model.calls[first_long:])


# --- prompts that begin alike ---

INSTRUCTIONS = "Say it again. " * 20
KNOWN = 2 * CHUNK_TOKENS
"""Tokens of the instructions that are read in whole chunks."""


async def test_the_instructions_that_a_free_row_has_read_are_not_read_again() -> None:
    model = FakeModel(rows=1)
    device = Device(model)
    await Writer(device, chat("one", INSTRUCTIONS)).task
    model.calls.clear()

    for text in ("one", "two and more", "3"):
        writer = Writer(device, chat(text, INSTRUCTIONS))
        await writer.task
        assert writer.text == text

    assert [chunk.position for chunk in model.chunks] == [KNOWN] * 3


async def test_the_last_token_of_a_prompt_is_always_read_again_for_with_it_writing_begins() -> None:
    model = FakeModel(rows=1)
    device = Device(model)
    await Writer(device, [100] * 300 + [ANSWER], most=1).task
    model.calls.clear()

    await Writer(device, [100] * (2 * CHUNK_TOKENS), most=1).task

    assert [chunk.position for chunk in model.chunks] == [CHUNK_TOKENS]
    assert [step.position for (step,) in model.steps] == [2 * CHUNK_TOKENS - 1]


async def test_what_comes_after_the_first_difference_is_read_again() -> None:
    model = FakeModel(rows=1)
    device = Device(model)
    await Writer(device, chat("one", INSTRUCTIONS)).task
    model.calls.clear()
    other = chat("two", INSTRUCTIONS[:200] + "!" + INSTRUCTIONS[201:])

    writer = Writer(device, other)
    await writer.task

    assert writer.text == "two"
    assert [chunk.position for chunk in model.chunks] == [CHUNK_TOKENS, 2 * CHUNK_TOKENS]


async def test_a_prompt_gets_the_free_row_that_has_read_most_of_it() -> None:
    model = FakeModel(rows=3)
    device = Device(model)
    beginnings = ["a" * 300, "b" * 300, "c" * 300]
    await asyncio.gather(*(Writer(device, chat("first", beginning)).task for beginning in beginnings))
    rows = {chunk.tokens[10]: chunk.row for chunk in model.chunks if chunk.position == 0}
    model.calls.clear()

    for beginning in ("c" * 300, "a" * 300, "b" * 300):
        writer = Writer(device, chat("again", beginning))
        await writer.task
        assert writer.text == "again"
        assert model.chunks[-1].row == rows[model.encode(beginning)[0][0]]
    assert [chunk.position for chunk in model.chunks] == [KNOWN] * 3


async def test_of_a_prompt_that_was_left_only_what_was_read_is_known() -> None:
    model = FakeModel(rows=2)
    device = Device(model)
    left, prompt = Request("left"), chat("one " * 100, INSTRUCTIONS)

    def end(count: int) -> None:
        if count == 2:
            device.end(left)

    writing = Writer(device, chat("x" * 20), on_token=end)
    leaving = Writer(device, prompt, left)
    await asyncio.wait([writing.task, leaving.task])
    read = [chunk.position for chunk in model.chunks]
    model.calls.clear()

    writer = Writer(device, prompt)
    await writer.task

    assert writer.text == "one " * 100
    assert model.chunks[0].position == read[-1] + CHUNK_TOKENS


async def test_what_a_row_holds_after_an_error_nobody_knows() -> None:
    model = FakeModel(rows=1)
    device = Device(model)
    model.fail_when(lambda call: isinstance(call, tuple))
    await asyncio.wait([Writer(device, chat("one", INSTRUCTIONS)).task])
    model.fail_when(lambda call: False)
    model.calls.clear()

    writer = Writer(device, chat("two", INSTRUCTIONS))
    await writer.task

    assert writer.text == "two"
    assert model.chunks[0].position == 0


# --- texts that are embedded ---


async def test_texts_are_embedded_while_others_write() -> None:
    model = FakeModel()
    device = Device(model)
    texts = [model.encode([f"sentence number {number}", "and another one"]) for number in range(10)]
    expected = [FakeModel().embed(tokens) for tokens in texts]

    writer = Writer(device, chat("x" * 40))
    vectors = await asyncio.gather(
        *(device.embed(Request(f"{number % 3}"), tokens) for number, tokens in enumerate(texts))
    )

    assert not writer.task.done()
    await writer.task
    assert writer.text == "x" * 40
    assert all(np.array_equal(given, wanted) for given, wanted in zip(vectors, expected, strict=True))
    assert most_between_steps(model) == 1


async def test_who_embeds_and_who_reads_take_turns() -> None:
    model = FakeModel(lambda prompt: "")
    device = Device(model)
    reading = Writer(device, [100] * (3 * CHUNK_TOKENS) + [ANSWER], Request("a"))
    other = Request("b")
    embedding = [device.embed(other, [[101]]) for _ in range(3)]

    await asyncio.gather(reading.task, *embedding)

    kinds = [type(call) for call in model.calls if not isinstance(call, tuple)]
    assert kinds in ([Chunk, Texts] * 3, [Texts, Chunk] * 3)


async def test_texts_are_encoded_by_the_model() -> None:
    device = Device(FakeModel())

    assert await device.encode(["Ana", "보고서"]) == FakeModel().encode(["Ana", "보고서"])
    assert await device.encode([]) == []


# --- the end of a request ---


def held_model(rows: int = 2) -> tuple[FakeModel, threading.Event]:
    hold = threading.Event()
    return FakeModel(lambda prompt: "abcdef", rows=rows, hold=hold), hold


async def test_who_ends_while_a_token_is_computed_never_sees_it_and_his_row_is_anothers_in_the_next_round() -> None:
    model, hold = held_model()
    device = Device(model)
    left = Request("left")
    leaving, staying = Writer(device, [ANSWER], left), Writer(device, [ANSWER], Request("stays"))
    waiting = Writer(device, [ANSWER], Request("waits"))
    await until(lambda: model.is_held)
    assert rows_in_use() == 2

    device.end(left)

    assert rows_in_use() == 1
    hold.set()
    await asyncio.gather(staying.task, waiting.task)
    with pytest.raises(asyncio.CancelledError):
        await leaving.task
    assert [leaving.text, staying.text, waiting.text] == ["", "abcdef", "abcdef"]
    ((a,),) = model.encode("a")
    assert model.steps[1] == (
        Step(1, 1, a, {a}),
        Step(0, 0, ANSWER, set()),
    )
    assert rows_in_use() == 0


async def test_who_ends_while_his_prompt_is_read_has_no_more_of_it_read() -> None:
    model, hold = held_model()
    device = Device(model)
    left = Request("left")
    leaving = Writer(device, [100] * (5 * CHUNK_TOKENS) + [ANSWER], left)
    await until(lambda: model.is_held)
    staying = Writer(device, [*[200] * CHUNK_TOKENS, ANSWER], Request("stays"))

    device.end(left)
    hold.set()
    await staying.task

    with pytest.raises(asyncio.CancelledError):
        await leaving.task
    assert staying.text == "abcdef"
    assert [chunk.tokens[0] for chunk in model.chunks] == [100, 200]
    assert rows_in_use() == 0


async def test_who_ends_while_he_waits_for_a_row_never_gets_one() -> None:
    model, hold = held_model(rows=1)
    device = Device(model)
    stays, left = Request("stays"), Request("left")
    first, *leaving = (Writer(device, [ANSWER], request) for request in (stays, left, left))
    await until(lambda: model.is_held)

    device.end(left)
    hold.set()
    await asyncio.wait([first.task, *(writer.task for writer in leaving)])

    assert first.text == "abcdef"
    assert all(writer.task.cancelled() and not writer.text for writer in leaving)
    assert len(model.steps) == len("abcdef") + 1


async def test_who_ends_while_he_embeds_gets_nothing_and_what_waits_is_not_computed() -> None:
    model, hold = held_model()
    device = Device(model)
    left = Request("left")
    leaving = [asyncio.ensure_future(device.embed(left, [[100]])) for _ in range(3)]
    staying = asyncio.ensure_future(device.embed(Request("stays"), [[200]]))
    await until(lambda: model.is_held)

    device.end(left)
    hold.set()
    await staying

    await asyncio.wait(leaving)
    assert all(task.cancelled() for task in leaving)
    assert [texts.tokens for texts in model.embedded] == [((100,),), ((200,),)]


@pytest.mark.parametrize("embeds", [False, True])
async def test_what_would_be_read_after_a_step_is_not_when_its_request_ends_during_it(embeds: bool) -> None:
    model = FakeModel(lambda prompt: "abcdef")
    device = Device(model)
    left = Request("left")

    def end(count: int) -> None:
        if count == 3:
            device.end(left)

    writing = Writer(device, [ANSWER], on_token=end)
    if embeds:
        leaving = [asyncio.ensure_future(device.embed(left, [[100]])) for _ in range(9)]
        await asyncio.wait([writing.task, *leaving])
        assert [task.cancelled() for task in leaving] == [False] * 2 + [True] * 7
    else:
        reading = Writer(device, [100] * (9 * CHUNK_TOKENS) + [ANSWER], left)
        await asyncio.wait([writing.task, reading.task])
        assert reading.task.cancelled()

    assert len(model.chunks) + len(model.embedded) == 2
    assert rows_in_use() == 0


async def test_ending_what_is_over_or_unknown_is_no_error() -> None:
    device = Device(FakeModel())
    request = Request("a")
    await Writer(device, chat("a"), request).task

    device.end(request)
    device.end(Request("b"))
    assert (await Writer(device, chat("a"), request).task).tokens == 2


async def test_a_caller_who_is_cancelled_and_ends_leaves_nothing_behind() -> None:
    model, hold = held_model(rows=1)
    device = Device(model)
    request = Request("a")
    writer = Writer(device, [ANSWER], request)
    await until(lambda: model.is_held)

    writer.task.cancel()
    await asyncio.wait([writer.task])
    device.end(request)
    hold.set()

    after = Writer(device, [ANSWER])
    await after.task
    assert (writer.text, after.text) == ("", "abcdef")
    assert rows_in_use() == 0


# --- errors ---


async def test_a_step_that_fails_fails_those_who_wrote_and_nobody_else() -> None:
    model = FakeModel(rows=2)
    device = Device(model)
    failures = iter([True])
    model.fail_when(lambda call: isinstance(call, tuple) and len(call) == 2 and next(failures, False))

    writers = [Writer(device, chat(text)) for text in ("one", "two", "three", "four")]
    outcomes = await asyncio.gather(*(writer.task for writer in writers), return_exceptions=True)

    assert [isinstance(outcome, RuntimeError) for outcome in outcomes] == [True, True, False, False]
    assert [writer.text for writer in writers[2:]] == ["three", "four"]
    assert rows_in_use() == 0


async def test_a_chunk_that_cannot_be_read_fails_its_prompt_alone() -> None:
    model = FakeModel(rows=2)
    device = Device(model)
    (bad,) = model.encode("!")[0]
    model.fail_when(lambda call: isinstance(call, Chunk) and bad in call.tokens)

    texts = ["one", "bad!", "two", "three"]
    writers = [Writer(device, chat(text)) for text in texts]
    outcomes = await asyncio.gather(*(writer.task for writer in writers), return_exceptions=True)

    assert [isinstance(outcome, RuntimeError) for outcome in outcomes] == [False, True, False, False]
    assert [writer.text for writer in writers] == ["one", "", "two", "three"]
    assert rows_in_use() == 0


async def test_texts_that_cannot_be_embedded_fail_alone() -> None:
    model = FakeModel()
    device = Device(model)
    model.fail_when(lambda call: isinstance(call, Texts) and call.tokens == ((100,),))

    writer = Writer(device, chat("text"))
    bad, good = await asyncio.gather(
        device.embed(Request("a"), [[100]]), device.embed(Request("a"), [[101]]), return_exceptions=True
    )

    assert isinstance(bad, RuntimeError)
    assert isinstance(good, np.ndarray)
    await writer.task
    assert writer.text == "text"


async def test_who_fails_to_take_a_token_fails_alone() -> None:
    device = Device(FakeModel(rows=2))

    def fail(count: int) -> None:
        if count == 3:
            raise ValueError("no third token, please")

    writers = [Writer(device, chat("abcdef"), on_token=fail), *(Writer(device, chat("abcdef")) for _ in range(3))]
    outcomes = await asyncio.gather(*(writer.task for writer in writers), return_exceptions=True)

    assert isinstance(outcomes[0], ValueError)
    assert [writer.text for writer in writers] == ["abc", *["abcdef"] * 3]
    assert outcomes[1:] == [Written(7, complete=True)] * 3
    assert rows_in_use() == 0


async def test_an_error_after_its_request_has_ended_is_nobodys() -> None:
    model, hold = held_model(rows=1)
    device = Device(model)
    left, stays = Request("left"), Request("stays")
    leaving, waiting = Writer(device, [ANSWER], left), Writer(device, [ANSWER], stays)
    await until(lambda: model.is_held)
    model.fail_when(lambda call: len(model.calls) == 1)

    device.end(left)
    hold.set()
    await asyncio.wait([leaving.task, waiting.task])

    assert leaving.task.cancelled()
    assert waiting.text == "abcdef"
    assert rows_in_use() == 0


# --- over time ---


async def test_it_rests_while_nothing_is_to_do_and_wakes_for_the_next() -> None:
    model = FakeModel()
    device = Device(model)

    for round_ in range(5):
        writer = Writer(device, chat(f"text {round_}"))
        await writer.task
        calls = len(model.calls)
        await asyncio.sleep(0.005)
        assert len(model.calls) == calls
        assert writer.text == f"text {round_}"
        await device.embed(Request("a"), [[100]])


async def test_the_expected_wait_follows_the_pace_and_what_is_left_to_write() -> None:
    now = 0.0

    class Slow(FakeModel):
        def write(self, steps: Sequence[Step]) -> list[int]:
            nonlocal now
            now += 2.0
            return super().write(steps)

    hold = threading.Event()
    hold.set()
    model = Slow(lambda prompt: "x" * 100, rows=2, hold=hold)
    device = Device(model, clock=lambda: now)
    assert device.expected_wait_seconds() == 0
    await Writer(device, [ANSWER], most=10).task
    assert device.expected_wait_seconds() == 0

    hold.clear()
    writers = [Writer(device, [ANSWER], most=most) for most in (10, 30)]
    await until(lambda: model.is_held)

    # 40 tokens, 2 s for each, are left; of two texts, one of which is done in half of that.
    assert device.expected_wait_seconds() == pytest.approx(40 * 2 / 2)
    hold.set()
    await asyncio.gather(*(writer.task for writer in writers))
    assert device.expected_wait_seconds() == 0


async def test_before_the_first_token_a_wait_is_guessed() -> None:
    model, hold = held_model()
    device = Device(model)
    writer = Writer(device, [ANSWER], most=10)
    await until(lambda: model.is_held)

    assert 0 < device.expected_wait_seconds() < 10
    hold.set()
    await writer.task


async def test_tokens_that_are_read_and_written_are_counted() -> None:
    device = Device(FakeModel())
    read, written = tokens_counted("read"), tokens_counted("written")
    prompt = chat("abc")

    await Writer(device, prompt).task
    await device.embed(Request("a"), [[100, 101], [102]])

    assert tokens_counted("written") - written == len("abc") + 1
    assert tokens_counted("read") - read == len(prompt) - 1 + 3


@pytest.mark.parametrize("seed", range(6))
async def test_whoever_comes_and_goes_everybody_who_stays_gets_his_own_text(seed: int) -> None:
    random = Random(seed)
    model = FakeModel(rows=random.randint(1, 4))
    device = Device(model)
    requests = [Request(random.choice("abc")) for _ in range(25)]
    texts = [f"{number}:" + "x" * random.choice([0, 3, 30, 300]) for number in range(25)]
    writers = list[Writer]()
    ended = set[int]()

    for number in range(25):
        instructions = INSTRUCTIONS[: random.choice([0, 140, 280])]
        writers.append(Writer(device, chat(texts[number], instructions), requests[number], most=60))
        for _ in range(random.choice([0, 0, 5])):
            await asyncio.sleep(0.001)
        if random.random() < 0.4:
            gone = random.randrange(number + 1)
            await asyncio.sleep(0)
            device.end(requests[gone])
            ended.add(gone)
    await asyncio.wait([writer.task for writer in writers])

    for number, (text, writer) in enumerate(zip(texts, writers, strict=True)):
        if not writer.task.cancelled():
            assert writer.text == text[:60]
        else:
            assert number in ended
            assert text.startswith(writer.text)
    assert rows_in_use() == 0
    assert device.expected_wait_seconds() == 0
