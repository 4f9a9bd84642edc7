"""Threads, the queue and the end of things, with a fake engine that takes its time."""

import math
import threading
import time
from collections.abc import Iterator

import pytest

from services.asr.engine import Hypothesis, Prompt
from services.asr.live import LiveSession
from services.asr.options import RecognitionOptions
from services.asr.scheduler import BatchLimits, Lane, Scheduler
from services.asr.session import Output, Session
from services.asr.transcript import Segment
from services.asr.windows import WindowRules
from services.asr.workers import Listener, Transcription, Workers
from services.runtime.errors import Fault, MeshError
from tests.asr.fake_engine import FakeEngine, listen, tone

_LIMITS = BatchLimits(encode=1, decode=4, decode_last=1)


class Caller:
    """Takes what a transcription reports."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.progress: list[float] = []
        self.error: BaseException | None = None
        self.over = threading.Event()
        self.listener = Listener(self._output, lambda done, total: self.progress.append(done), self._end)

    def _output(self, output: Output) -> None:
        self.segments += output.segments

    def _end(self, error: BaseException | None) -> None:
        self.error = error
        self.over.set()

    @property
    def words(self) -> list[str]:
        return [word.text.strip() for segment in self.segments for word in segment.words]


@pytest.fixture
def pool() -> Iterator["Pool"]:
    with_threads = Pool()
    yield with_threads
    with_threads.workers.stop()


class Pool:
    def __init__(self, count: int = 2, waiting_limit: float = 1000) -> None:
        self.scheduler = Scheduler[tuple[Transcription, object]](count, _LIMITS)
        self.workers = Workers(count, self.scheduler, waiting_limit)  # type: ignore[arg-type]

    def wait_until_waiting(self, lane: Lane, windows: int) -> None:
        deadline = time.monotonic() + 10
        while self.scheduler.depth(lane) != windows and time.monotonic() < deadline:
            time.sleep(0.01)
        assert self.scheduler.depth(lane) == windows

    def open_stream(self, engine: FakeEngine, caller: Caller, *, goes_on: bool = False) -> Transcription:
        session = LiveSession(engine, RecognitionOptions(language="en"))
        return self.workers.open_stream(session, listen(), caller.listener, caller="somebody", goes_on=goes_on)

    def open(
        self, engine: FakeEngine, caller: Caller, *, name: str = "somebody", seconds_left: float = math.inf
    ) -> Transcription:
        session = Session(engine, RecognitionOptions(language="en"), WindowRules())
        return self.workers.open(session, listen(), caller.listener, caller=name, seconds_left=seconds_left)

    def run(self, engine: FakeEngine, seconds: float, *, name: str = "somebody") -> Caller:
        caller = Caller()
        transcription = self.open(engine, caller, name=name)
        transcription.feed(tone((seconds, 9000)))
        transcription.finish()
        return caller


def test_a_recording_is_recognized_and_ends(pool: Pool) -> None:
    caller = pool.run(FakeEngine(), 4.0)

    assert caller.over.wait(10)
    assert caller.error is None
    assert caller.words == [f"word{number}" for number in range(8)]
    assert caller.progress[-1] == 4.0
    assert caller.progress == sorted(caller.progress)


def test_the_first_window_is_recognized_while_the_rest_still_arrives(pool: Pool) -> None:
    caller = Caller()
    transcription = pool.open(FakeEngine(), caller)
    transcription.feed(tone((3, 9000), (3, 0), (3, 9000), (3, 0), (3, 9000)))

    deadline = time.monotonic() + 10
    while not caller.segments and time.monotonic() < deadline:
        time.sleep(0.01)

    assert caller.segments
    assert not caller.over.is_set()
    transcription.finish()
    assert caller.over.wait(10)
    assert len(caller.words) == 18


def test_the_same_request_alone_and_among_others_gives_the_same(pool: Pool) -> None:
    alone = pool.run(FakeEngine(), 9.0)
    assert alone.over.wait(10)

    hold = threading.Event()
    engine = FakeEngine(hold=hold)
    among = [pool.run(engine, 9.0 if number == 3 else number + 2.0, name=str(number)) for number in range(8)]
    hold.set()

    assert all(caller.over.wait(10) for caller in among)
    assert among[3].segments == alone.segments
    assert max(engine.batches) > 1


def test_a_cancelled_request_leaves_the_queue_at_once_and_wastes_what_runs_at_most(pool: Pool) -> None:
    hold = threading.Event()
    engine = FakeEngine(hold=hold)
    caller = Caller()
    transcription = pool.open(engine, caller)
    transcription.feed(tone(*[(4, 9000), (3, 0)] * 30))
    assert engine.running.wait(10)
    assert sum(pool.scheduler.depth(lane) for lane in Lane) >= 20

    transcription.cancel()

    assert sum(pool.scheduler.depth(lane) for lane in Lane) == 0
    hold.set()
    other = pool.run(FakeEngine(), 2.0)
    assert other.over.wait(10)
    assert len(engine.encoded) <= 2
    assert caller.segments == []
    assert not caller.over.is_set()


def test_a_short_request_passes_a_long_one(pool: Pool) -> None:
    engine = FakeEngine(seconds_a_window=0.01)
    long = Caller()
    transcription = pool.open(engine, long, name="long")
    transcription.feed(tone(*[(4, 9000), (3, 0)] * 40))

    short = pool.run(engine, 3.0, name="short")

    assert short.over.wait(10)
    assert sum(pool.scheduler.depth(lane) for lane in Lane) > 20
    transcription.cancel()


def test_an_engine_that_fails_ends_its_own_requests_only(pool: Pool) -> None:
    def fail(heard: Hypothesis, prompt: Prompt, temperature: float) -> Hypothesis:
        raise RuntimeError("out of memory")

    failed = pool.run(FakeEngine(hypothesis=fail), 3.0)
    fine = pool.run(FakeEngine(), 3.0)

    assert failed.over.wait(10)
    assert isinstance(failed.error, RuntimeError)
    assert fine.over.wait(10)
    assert fine.error is None
    assert len(fine.words) == 6


def test_a_window_that_fails_does_not_fail_the_others_of_its_batch(pool: Pool) -> None:
    def fail_on_long(heard: Hypothesis, prompt: Prompt, temperature: float) -> Hypothesis:
        if len(heard.tokens) == 12:
            raise RuntimeError("out of memory")
        return heard

    hold = threading.Event()
    engine = FakeEngine(hold=hold, hypothesis=fail_on_long)
    callers = [pool.run(engine, seconds, name=str(seconds)) for seconds in (4.0, 5.0, 6.0, 5.5)]
    hold.set()

    assert all(caller.over.wait(10) for caller in callers)
    assert [caller.error is None for caller in callers] == [True, True, False, True]
    assert max(engine.batches) > 1


def test_a_listener_that_fails_ends_its_own_request_only(pool: Pool) -> None:
    caller = Caller()

    def fail(output: Output) -> None:
        raise RuntimeError("the event loop is closed")

    broken = Listener(fail, caller.listener.progress, caller.listener.ended)
    session = Session(FakeEngine(), RecognitionOptions(language="en"), WindowRules())
    transcription = pool.workers.open(session, listen(), broken, caller="broken", seconds_left=math.inf)
    transcription.feed(tone((3, 9000), (3, 0), (3, 9000), (3, 0)))

    assert caller.over.wait(10)
    assert isinstance(caller.error, RuntimeError)
    fine = [pool.run(FakeEngine(), 3.0) for _ in range(4)]
    assert all(one.over.wait(10) for one in fine)
    assert [len(one.words) for one in fine] == [6] * 4


def test_a_request_whose_deadline_passes_in_the_queue_is_ended(pool: Pool) -> None:
    hold = threading.Event()
    blocking = FakeEngine(hold=hold)
    others = [pool.run(blocking, 3.0) for _ in range(2)]
    assert blocking.running.wait(10)
    late = Caller()
    transcription = pool.open(FakeEngine(), late, seconds_left=0.5)
    transcription.feed(tone((3, 9000)))
    transcription.finish()

    time.sleep(0.6)
    hold.set()

    assert late.over.wait(10)
    assert isinstance(late.error, MeshError)
    assert late.error.fault is Fault.TOO_SLOW
    assert all(other.over.wait(10) for other in others)


def test_too_much_waiting_audio_is_told_with_an_estimate() -> None:
    pool = Pool(count=1, waiting_limit=20)
    hold = threading.Event()
    engine = FakeEngine(hold=hold)
    running = [pool.run(engine, 10.0)]
    assert engine.running.wait(10)
    running += [pool.run(engine, 10.0) for _ in range(2)]

    with pytest.raises(MeshError) as refused:
        pool.open(engine, Caller())

    hold.set()
    assert all(caller.over.wait(10) for caller in running)
    pool.workers.stop()
    assert refused.value.fault is Fault.OVERLOADED
    assert refused.value.retry_after_seconds
    assert "seconds of audio" in refused.value.message


def test_a_request_that_cannot_be_done_before_its_deadline_is_refused(pool: Pool) -> None:
    hold = threading.Event()
    engine = FakeEngine(hold=hold)
    running = [pool.run(engine, 10.0) for _ in range(6)]

    with pytest.raises(MeshError) as refused:
        pool.open(engine, Caller(), seconds_left=0.001)

    hold.set()
    assert all(caller.over.wait(10) for caller in running)
    assert refused.value.fault is Fault.OVERLOADED


def test_of_a_busy_stream_only_the_latest_interim_waits_and_it_keeps_its_place(pool: "Pool") -> None:
    hold = threading.Event()
    engine = FakeEngine(hold=hold)
    for _ in range(2):
        pool.open(engine, Caller()).feed(tone((2, 9000), (3, 0)))
    pool.wait_until_waiting(Lane.SHORT, 0)
    stream = pool.open_stream(engine, Caller())
    for _ in range(8):
        stream.feed(tone((1, 9000)))

    assert pool.scheduler.depth(Lane.INTERIM) == 1
    assert pool.scheduler.waiting_seconds(Lane.INTERIM) == pytest.approx(8, abs=0.1)
    stream.cancel()
    assert pool.scheduler.depth(Lane.INTERIM) == 0
    hold.set()


def test_what_becomes_final_goes_before_what_is_shown_meanwhile_and_before_files(pool: "Pool") -> None:
    hold = threading.Event()
    engine = FakeEngine(hold=hold)
    for _ in range(3):
        pool.open(engine, Caller(), name="file").feed(tone((2, 9000), (3, 0)))
    pool.wait_until_waiting(Lane.SHORT, 1)
    speaking, ending = (pool.open_stream(engine, Caller()) for _ in range(2))
    speaking.feed(tone((4, 9000)))
    ending.feed(tone((3, 9000), (1, 0)))

    depths = {lane: pool.scheduler.depth(lane) for lane in Lane}
    assert depths == {Lane.LIVE: 1, Lane.INTERIM: 1, Lane.SHORT: 1, Lane.LONG: 0}
    hold.set()


def test_a_stream_ends_when_all_is_given_out(pool: "Pool") -> None:
    caller = Caller()
    stream = pool.open_stream(FakeEngine(), caller)
    stream.feed(tone((2.1, 9000), (2, 0), (1.1, 9000)))
    stream.flush()
    stream.finish()

    assert caller.over.wait(5)
    assert caller.error is None
    assert len(caller.segments) == 2


def test_no_stream_is_taken_when_those_that_there_are_come_too_late(pool: "Pool") -> None:
    hold = threading.Event()
    engine = FakeEngine(hold=hold)
    streams = [pool.open_stream(engine, Caller()) for _ in range(60)]
    for stream in streams:
        stream.feed(tone((9, 9000), (2, 0)))

    with pytest.raises(MeshError, match="try again") as refused:
        pool.open_stream(engine, Caller())

    assert refused.value.fault is Fault.OVERLOADED
    assert pool.open_stream(engine, Caller(), goes_on=True)
    hold.set()
