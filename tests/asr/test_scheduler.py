import math
import pickle
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import combinations, count
from random import Random

import pytest

from services.asr.scheduler import Batch, BatchLimits, Job, Lane, Request, Scheduler, Stage

LIMITS = BatchLimits(encode=1, decode=8, decode_last=2)
_numbers = count()


def window(
    request: Request,
    index: int | tuple[int, ...] = 0,
    stage: Stage = Stage.ENCODE,
    seconds: float = 10.0,
    key: str = "",
) -> Job[str]:
    return Job(request, stage, (index,) if isinstance(index, int) else index, seconds, key, "", 0.0)


def given(scheduler: Scheduler[str], *jobs: Job[str]) -> Scheduler[str]:
    for job in jobs:
        scheduler.add(job)
    return scheduler


def taken(scheduler: Scheduler[str]) -> Iterator[Job[str]]:
    """Yield the jobs that a single worker gets, until nothing waits."""
    while (batch := scheduler.take()) is not None:
        yield from batch.jobs
        scheduler.finish(batch)


def sizes(scheduler: Scheduler[str]) -> list[int]:
    """Return how many jobs a worker gets at a time, when every batch is finished before the next is taken."""
    found = []
    while (batch := scheduler.take()) is not None:
        found.append(len(batch.jobs))
        scheduler.finish(batch)
    return found


# --- lanes ---


def test_nothing_waits_at_first() -> None:
    assert Scheduler[str](1, LIMITS).take() is None


def test_live_goes_before_short_and_short_before_long() -> None:
    jobs = [window(Request("a", lane)) for lane in (Lane.LONG, Lane.SHORT, Lane.LIVE)]

    assert list(taken(given(Scheduler(1, LIMITS), *jobs))) == jobs[::-1]


def test_a_short_request_passes_a_long_one_that_came_first() -> None:
    long = [window(Request("a", Lane.LONG), number) for number in range(5)]
    scheduler = given(Scheduler[str](1, LIMITS), *long)
    begun = scheduler.take()
    short = window(Request("b"))
    scheduler.add(short)

    assert begun is not None
    assert next(taken(scheduler)) is short


def test_a_lane_gets_a_job_after_so_much_audio_has_passed_before_it() -> None:
    short, long = Request("a"), Request("b", Lane.LONG)
    jobs = [window(request, number) for request in (short, long) for number in range(8)]
    scheduler = given(Scheduler[str](1, LIMITS, patience=30.0), *jobs)

    lanes = [job.request.lane.name[0] for job in taken(scheduler)]

    assert "".join(lanes[:9]) == "SSSLSSSLS"


def test_of_two_lanes_that_waited_too_long_the_longer_suffering_goes_first() -> None:
    live, short, long = Request("a", Lane.LIVE), Request("b"), Request("c", Lane.LONG)
    scheduler = given(Scheduler[str](1, LIMITS, patience=15.0), window(long), window(live, 0, seconds=10.0))
    first = next(taken(scheduler))
    given(scheduler, window(short), *(window(live, number, seconds=20.0) for number in range(1, 3)))

    lanes = [job.request.lane.name for job in (first, *taken(scheduler))]

    # When both are due, 30 s have passed before the long lane and 20 s before the short one.
    assert lanes == ["LIVE", "LIVE", "LONG", "SHORT", "LIVE"]


def test_a_lane_that_was_empty_is_owed_nothing() -> None:
    short, long = Request("a"), Request("b", Lane.LONG)
    scheduler = given(Scheduler[str](1, LIMITS, patience=30.0), *(window(short, number) for number in range(10)))
    ahead = [next(taken(scheduler)) for _ in range(5)]
    scheduler.add(window(long))

    lanes = [job.request.lane.name[0] for job in (*ahead, *taken(scheduler))]

    assert "".join(lanes) == "SSSSSSSSLSS"


@pytest.mark.parametrize("lane", [Lane.LIVE, Lane.INTERIM])
def test_of_a_callers_streams_the_one_that_waits_longest_goes_first(lane: Lane) -> None:
    streams = [Request("a", lane) for _ in range(3)]
    jobs = [replace(window(stream), since=since) for stream, since in zip(streams, (3.0, 1.0, 2.0), strict=True)]

    served = [job.request for job in taken(given(Scheduler[str](1, LIMITS), *jobs))]

    assert served == [streams[1], streams[2], streams[0]]


def test_a_request_keeps_what_it_has_waiting_when_its_lane_changes() -> None:
    moved, other = Request("a"), Request("b")
    jobs = [window(moved, 1), window(moved, 0), window(moved, 2, Stage.DECODE), window(other, 0)]
    scheduler = given(Scheduler[str](1, LIMITS), *jobs)

    scheduler.move(moved, Lane.LONG)

    assert moved.lane is Lane.LONG
    assert [scheduler.depth(lane) for lane in Lane] == [0, 0, 1, 3]
    assert [scheduler.waiting_seconds(lane) for lane in Lane] == pytest.approx([0.0, 0.0, 10.0, 30.0])
    assert [(job.request.caller, job.index) for job in taken(scheduler)] == [
        ("b", (0,)),
        ("a", (0,)),
        ("a", (1,)),
        ("a", (2,)),
    ]


def test_a_request_without_anything_waiting_changes_its_lane_too() -> None:
    request = Request("a")
    scheduler = Scheduler[str](1, LIMITS)

    scheduler.move(request, Lane.LONG)
    scheduler.add(window(request))

    assert scheduler.depth(Lane.LONG) == 1


# --- callers ---


def test_callers_take_turns_however_much_each_asks_for() -> None:
    many = [window(Request("many", Lane.LONG), 0) for _ in range(20)]
    few = [window(Request("few", Lane.LONG), number) for number in range(3)]

    order = [job.request.caller for job in taken(given(Scheduler(1, LIMITS), *many, *few))]

    assert order[:6] == ["many", "few"] * 3
    assert order[6:] == ["many"] * 17


def test_turns_are_counted_in_seconds_of_audio() -> None:
    scheduler = Scheduler[str](1, LIMITS)
    for number in range(12):
        given(scheduler, window(a := Request("a"), number, seconds=30.0), window(Request("b"), number, seconds=10.0))

    order = [job.request.caller for job in taken(scheduler)]

    assert a.caller == order[0]
    assert Counter(order[:16]) == {"a": 4, "b": 12}


def test_a_caller_who_comes_late_starts_level_with_the_others() -> None:
    early, late = Request("early"), Request("late")
    scheduler = given(Scheduler[str](1, LIMITS), *(window(early, number) for number in range(40)))
    before = [next(taken(scheduler)) for _ in range(20)]
    given(scheduler, *(window(late, number) for number in range(20)))

    order = [job.request.caller for job in taken(scheduler)]

    assert len(before) == 20
    assert order[:10].count("late") == 5


def test_a_caller_who_comes_back_has_no_credit_for_the_time_between() -> None:
    back, steady = Request("back"), Request("steady")
    scheduler = given(Scheduler[str](1, LIMITS), window(back), *(window(steady, number) for number in range(40)))
    before = [next(taken(scheduler)) for _ in range(20)]
    given(scheduler, *(window(back, number) for number in range(1, 20)))

    order = [job.request.caller for job in taken(scheduler)]

    assert Counter(job.request.caller for job in before) == {"back": 1, "steady": 19}
    assert order[:10].count("back") in (5, 6)


def test_of_one_callers_requests_the_earliest_deadline_goes_first_then_the_order_of_arrival() -> None:
    patient, urgent, first, second = (Request("a", deadline=deadline) for deadline in (math.inf, 5.0, 9.0, 9.0))
    jobs = [window(request, number) for request in (patient, second, first, urgent) for number in (1, 0)]

    order = [(job.request, job.index) for job in taken(given(Scheduler(1, LIMITS), *jobs))]

    assert order == [(request, (number,)) for request in (urgent, first, second, patient) for number in (0, 1)]


def test_halves_of_a_window_come_between_its_neighbours() -> None:
    request = Request("a")
    places: list[tuple[int, ...]] = [(4,), (3, 1), (3, 0), (3, 0, 1), (2,)]
    jobs = [window(request, place) for place in places]

    assert [job.index for job in taken(given(Scheduler(1, LIMITS), *jobs))] == sorted(places)


def test_callers_who_came_once_are_forgotten() -> None:
    scheduler = Scheduler[str](1, LIMITS)
    remembered = []
    for number in range(6_000):
        list(taken(given(scheduler, window(Request(f"caller {number}")))))
        if number % 1_000 == 999:
            remembered.append(len(pickle.dumps(scheduler)))

    assert max(remembered) < 2 * remembered[0]


def test_who_waits_is_remembered_however_many_others_come() -> None:
    steady = [Request("a"), Request("b")]
    scheduler = given(
        Scheduler[str](1, LIMITS), *(window(request, number) for request in steady for number in range(60))
    )
    order = []
    for number in range(3_000):
        scheduler.add(window(Request(f"caller {number}"), seconds=1.0))
        order += [next(taken(scheduler)).request.caller for _ in range(2 if number % 50 == 0 else 1)]

    served = Counter(caller for caller in order if len(caller) == 1)

    assert served.total() > 10
    assert abs(served["a"] - served["b"]) <= 1


# --- batches ---


def test_only_windows_with_equal_keys_share_a_batch() -> None:
    request = Request("a")
    jobs = [window(request, number, Stage.DECODE, key="xyyx"[number]) for number in range(4)]
    scheduler = given(Scheduler[str](1, LIMITS), *jobs)

    assert [[job.index[0] for job in batch.jobs] for batch in iter(scheduler.take, None)] == [[0, 3], [1, 2]]


@pytest.mark.parametrize(("stage", "size"), [(Stage.ENCODE, 3), (Stage.DECODE, 5), (Stage.ALIGN, 1)])
def test_a_batch_has_as_many_windows_as_its_stage_may_have(stage: Stage, size: int) -> None:
    scheduler = Scheduler[str](1, BatchLimits(encode=3, decode=5, decode_last=5))
    given(scheduler, *(window(Request(str(number)), 0, stage) for number in range(12)))

    assert scheduler.limit(stage) == size
    assert sizes(scheduler)[0] == size


def test_what_is_begun_is_finished_first() -> None:
    request = Request("a")
    jobs = [window(request, number, stage) for number, stage in enumerate((Stage.ENCODE, Stage.ALIGN))]

    assert list(taken(given(Scheduler(1, LIMITS), *jobs))) == jobs[::-1]


def test_encoding_goes_on_until_a_decoding_batch_is_full() -> None:
    decode = [window(Request("a"), number, Stage.DECODE) for number in range(7)]
    scheduler = given(Scheduler[str](1, LIMITS), *decode, *(window(Request("b"), number) for number in range(5)))
    first = scheduler.take()
    given(scheduler, window(Request("b"), 0, Stage.DECODE))
    second = scheduler.take()

    assert first is not None
    assert second is not None
    assert (first.stage, second.stage, len(second.jobs)) == (Stage.ENCODE, Stage.DECODE, 8)


def test_a_window_waits_for_no_others_when_there_is_nothing_to_encode() -> None:
    scheduler = given(Scheduler[str](1, LIMITS), window(Request("a"), 0, Stage.DECODE))

    assert sizes(scheduler) == [1]


def test_encoded_windows_do_not_pile_up_because_no_two_are_alike() -> None:
    jobs = [window(Request("a"), number, Stage.DECODE, key=str(number)) for number in range(4 * LIMITS.decode)]
    scheduler = given(Scheduler[str](1, LIMITS), *jobs, window(Request("b")))

    batch = scheduler.take()

    assert batch is not None
    assert batch.jobs == (jobs[0],)


@pytest.mark.parametrize(("workers", "waiting", "first"), [(4, 8, 2), (4, 9, 3), (2, 8, 4), (1, 8, 8), (3, 1, 1)])
def test_what_is_left_to_decode_is_shared_among_the_workers_that_are_free(
    workers: int, waiting: int, first: int
) -> None:
    scheduler = Scheduler[str](workers, LIMITS)
    given(scheduler, *(window(Request("a"), number, Stage.DECODE) for number in range(waiting)))

    batches = [batch for batch in (scheduler.take() for _ in range(workers)) if batch is not None]

    assert len(batches[0].jobs) == first
    assert sum(len(batch.jobs) for batch in batches) == waiting


def test_the_last_worker_decodes_little_at_once_for_long_requests() -> None:
    scheduler = Scheduler[str](3, LIMITS)
    given(scheduler, *(window(Request("a", Lane.LONG), number, Stage.DECODE) for number in range(60)))

    batches = [scheduler.take() for _ in range(3)]
    assert [len(batch.jobs) for batch in batches if batch] == [8, 8, 2]

    for batch in batches[1:]:
        assert batch is not None
        scheduler.finish(batch)
    again = scheduler.take()
    assert again is not None
    assert len(again.jobs) == 8


def test_all_workers_may_decode_for_short_requests() -> None:
    scheduler = Scheduler[str](2, LIMITS)
    given(scheduler, *(window(Request("a"), number, Stage.DECODE) for number in range(60)))

    assert [len(batch.jobs) for batch in (scheduler.take(), scheduler.take()) if batch] == [8, 8]


# --- ends ---


def test_cancelling_takes_out_what_waits_of_that_request_and_nothing_else() -> None:
    gone, stays = Request("a"), Request("a")
    mine = [window(gone, number, stage) for stage in Stage for number in (0, 1)]
    others = [window(stays, number) for number in range(4)]
    scheduler = given(Scheduler[str](1, LIMITS), *others[2:], *mine, *others[:2])

    assert set(scheduler.cancel(gone)) == set(mine)
    assert scheduler.cancel(gone) == []
    assert list(taken(scheduler)) == others


def test_requests_expire_only_while_something_of_them_waits() -> None:
    past, future, busy = Request("a", deadline=5.0), Request("b", deadline=5.1), Request("c", deadline=1.0)
    scheduler = given(Scheduler[str](1, LIMITS), window(busy))
    assert scheduler.expired(5.0) == [busy]
    scheduler.take()
    given(scheduler, window(past, 0), window(past, 1), window(future, 0))

    assert scheduler.expired(5.0) == [past]
    assert scheduler.expired(4.9) == []
    assert scheduler.expired(6.0) == [past, future]


# --- laws, on loads of every kind ---


@dataclass(frozen=True)
class Take:
    """One decision, and what it was made from."""

    batch: Batch[str]
    lane: Lane
    waiting: tuple[Job[str], ...]
    running: tuple[tuple[Batch[str], Lane], ...]

    @property
    def seconds(self) -> float:
        return sum(job.seconds for job in self.batch.jobs)

    @property
    def left(self) -> set[Lane]:
        """Lanes in which something waits afterwards."""
        return {job.request.lane for job in self.waiting if job not in self.batch.jobs}


@dataclass
class Load:
    """What comes, and what computes it: windows are encoded, decoded (some twice) and aligned."""

    random: Random
    workers: int
    limits: BatchLimits
    patience: float = 120.0
    lanes: tuple[Lane, ...] = tuple(Lane)
    callers: int = 3
    encode_keys: int = 1
    decode_keys: int = 2
    shortest: float = 10.0
    longest: float = 20.0
    retries: float = 0.0
    unruly: float = 0.0
    """How often a request is cancelled or changes its lane."""

    waiting: dict[Job[str], None] = field(default_factory=dict)
    running: list[tuple[Batch[str], Lane]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    takes: list[Take] = field(default_factory=list)
    given: list[Job[str]] = field(default_factory=list)
    cancelled: list[Job[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler[str](self.workers, self.limits, self.patience)

    def run(self, steps: int, arrivals: float) -> "Load":
        for _ in range(steps):
            self.step(arrivals)
        while self.waiting or self.running:
            self.work()
        return self

    def step(self, arrivals: float) -> None:
        chance = self.random.random()
        if chance < self.unruly:
            self.disturb()
        elif chance < self.unruly + arrivals:
            self.arrive(self.random.choice(self.lanes), self.random.randrange(self.callers))
        else:
            self.work()

    def arrive(self, lane: Lane, caller: int) -> None:
        random = self.random
        request = Request(f"{lane.name} {caller}", lane, random.choice([math.inf, 5.0, 9.0]))
        self.requests.append(request)
        for number in range(random.choice([1, 1, 2, 4])):
            seconds = random.uniform(self.shortest, self.longest)
            self.add(window(request, number, seconds=seconds, key=f"encode {random.randrange(self.encode_keys)}"))

    def add(self, job: Job[str]) -> None:
        self.scheduler.add(job)
        self.waiting[job] = None
        self.given.append(job)

    def work(self) -> None:
        if len(self.running) < self.workers and self.random.random() < 0.7:
            self.take()
        elif self.running:
            self.finish()

    def take(self) -> None:
        waiting = tuple(self.waiting)
        batch = self.scheduler.take()
        # No worker idles while anything waits.
        assert (batch is None) == (not waiting)
        if batch is None:
            return
        lane = batch.jobs[0].request.lane
        self.takes.append(Take(batch, lane, waiting, tuple(self.running)))
        self.running.append((batch, lane))
        for job in batch.jobs:
            # Nothing is given twice, and nothing that does not wait.
            del self.waiting[job]

    def finish(self) -> None:
        batch, _ = self.running.pop(self.random.randrange(len(self.running)))
        self.scheduler.finish(batch)
        for job in batch.jobs:
            if job.stage is not Stage.ALIGN and job.request in self.requests:
                self.add(self.following(job))

    def following(self, job: Job[str]) -> Job[str]:
        if job.stage is Stage.ENCODE:
            stage, key = Stage.DECODE, f"decode {self.random.randrange(self.decode_keys)}"
        else:
            again = self.random.random() < self.retries
            stage = self.random.choice([Stage.ENCODE, Stage.DECODE]) if again else Stage.ALIGN
            key = f"alone {next(_numbers)}"
        return window(job.request, job.index, stage, job.seconds, key)

    def disturb(self) -> None:
        if not self.requests:
            return
        request = self.random.choice(self.requests)
        mine = {job for job in self.waiting if job.request is request}
        if self.random.random() < 0.5:
            self.scheduler.move(request, self.random.choice(self.lanes))
            return
        found = self.scheduler.cancel(request)
        assert len(found) == len(mine)
        assert set(found) == mine
        self.cancelled += found
        self.requests.remove(request)
        for job in found:
            del self.waiting[job]


def loaded(seed: int, unruly: float = 0.0) -> Load:
    random = Random(seed)
    decode = random.choice([1, 2, 4, 8])
    return Load(
        random,
        workers=random.randint(1, 4),
        limits=BatchLimits(random.choice([1, 1, 4]), decode, random.randint(1, decode)),
        patience=random.choice([30.0, 60.0, 120.0]),
        lanes=random.choice([tuple(Lane), tuple(Lane), (Lane.SHORT, Lane.LONG), (Lane.LONG,)]),
        callers=random.randint(1, 5),
        encode_keys=random.randint(1, 2),
        decode_keys=random.randint(1, 3),
        shortest=random.choice([1.0, 10.0]),
        longest=random.choice([10.0, 30.0]),
        retries=random.choice([0.0, 0.1, 0.3]),
        unruly=unruly,
    )


@cache
def steady_loads() -> list[Load]:
    return [loaded(seed).run(45, Random(seed).uniform(0.1, 0.6)) for seed in range(300)]


@cache
def unruly_loads() -> list[Load]:
    return [loaded(seed, unruly=0.1).run(45, Random(seed).uniform(0.1, 0.6)) for seed in range(300)]


def every_load() -> Iterator[Load]:
    yield from steady_loads()
    yield from unruly_loads()


def test_the_loads_are_of_some_size() -> None:
    assert sum(len(load.takes) for load in every_load()) > 15_000
    assert {take.lane for load in every_load() for take in load.takes} == set(Lane)


def test_every_job_is_taken_once_or_cancelled_once() -> None:
    for load in every_load():
        out = [job for take in load.takes for job in take.batch.jobs] + load.cancelled
        assert Counter(map(id, out)) == Counter(map(id, load.given))


def test_a_batch_is_of_one_stage_and_one_key_and_never_too_large() -> None:
    for load in every_load():
        for take in load.takes:
            assert {(job.stage, job.key) for job in take.batch.jobs} == {(take.batch.stage, take.batch.jobs[0].key)}
            assert 1 <= len(take.batch.jobs) <= load.scheduler.limit(take.batch.stage)


def test_a_batch_is_of_one_lane() -> None:
    for load in steady_loads():
        for take in load.takes:
            assert {job.request.lane for job in take.batch.jobs} == {take.lane}


def test_the_queue_knows_its_length_its_audio_and_what_is_late() -> None:
    for seed in range(100):
        load = loaded(seed, unruly=0.1)
        for _ in range(60):
            load.step(0.3)
            for lane in Lane:
                mine = [job for job in load.waiting if job.request.lane is lane]
                assert load.scheduler.depth(lane) == len(mine)
                assert abs(load.scheduler.waiting_seconds(lane) - sum(job.seconds for job in mine)) < 1e-6
            for now in (1.0, 5.0, 9.0):
                late = {job.request.number for job in load.waiting if job.request.deadline <= now}
                assert sorted(request.number for request in load.scheduler.expired(now)) == sorted(late)


def test_what_a_batch_leaves_of_a_request_and_key_is_later_in_time() -> None:
    for load in every_load():
        for take in load.takes:
            last = {job.request: job.index for job in take.batch.jobs}
            for other in take.waiting:
                if other.request in last and other not in take.batch.jobs:
                    alike = other.stage is take.batch.stage and other.key == take.batch.jobs[0].key
                    assert not alike or other.index >= last[other.request]


def test_a_batch_begins_with_the_callers_most_urgent_window() -> None:
    for load in steady_loads():
        for take in load.takes:
            first = take.batch.jobs[0]
            urgencies = [
                (other.request.deadline, other.request.number, other.index)
                for other in take.waiting
                if other.request.caller == first.request.caller and other.stage is first.stage
            ]
            assert (first.request.deadline, first.request.number, first.index) == min(urgencies)


def test_a_less_urgent_lane_goes_first_only_when_it_has_been_passed_over_for_long_enough() -> None:
    for load in steady_loads():
        passed = dict.fromkeys(Lane, 0.0)
        for take in load.takes:
            if take.lane is not min(job.request.lane for job in take.waiting):
                assert passed[take.lane] >= load.patience
            for lane in Lane:
                if lane is take.lane or lane not in take.left:
                    passed[lane] = 0.0
                elif lane > take.lane:
                    passed[lane] += take.seconds


def test_no_lane_is_passed_over_for_longer_than_patience_and_three_batches() -> None:
    # One batch oversteps the patience, and two other lanes may be due at the same time.
    for load in steady_loads():
        largest = load.longest * max(load.limits.encode, load.limits.decode)
        passed = dict.fromkeys(Lane, 0.0)
        for take in load.takes:
            for lane in Lane:
                if lane is take.lane or lane not in take.left:
                    passed[lane] = 0.0
                elif lane > take.lane:
                    passed[lane] += take.seconds
                assert passed[lane] < load.patience + 3 * largest


def test_the_most_urgent_lane_waits_for_few_batches_of_others() -> None:
    # For one of each that is due, and for all but the first of them once more when the others' were large.
    for load in steady_loads():
        row = 0
        for take in load.takes:
            row = row + 1 if take.lane is not min(job.request.lane for job in take.waiting) else 0
            assert row <= 5


def test_long_requests_never_hold_all_workers_with_large_batches() -> None:
    for load in steady_loads():
        for take in load.takes:
            long = [
                len(batch.jobs)
                for batch, lane in (*take.running, (take.batch, take.lane))
                if lane is Lane.LONG and batch.stage is Stage.DECODE
            ]
            assert sum(size > load.limits.decode_last for size in long) < max(load.workers, 2)


def test_encoded_windows_that_wait_are_few() -> None:
    # Encoding stops at four full batches; what is being computed then may still come.
    for load in steady_loads():
        most = 4 * load.limits.decode + load.workers * max(load.limits.encode, load.limits.decode)
        for take in load.takes:
            encoded = Counter(job.request.lane for job in take.waiting if job.stage is Stage.DECODE)
            assert max(encoded.values(), default=0) <= most


def waits(load: Load) -> Iterator[tuple[Job[str], list[Take]]]:
    """Yield every job with the decisions for its lane that were made while it waited, the last being its own."""
    since: dict[Job[str], int] = {}
    lanes: dict[Lane, list[Take]] = defaultdict(list)
    for take in load.takes:
        for job in take.waiting:
            since.setdefault(job, len(lanes[job.request.lane]))
        lanes[take.lane].append(take)
        for job in take.batch.jobs:
            yield job, lanes[take.lane][since[job] :]


def test_a_window_to_align_waits_only_for_others_that_were_decoded_by_then() -> None:
    for load in steady_loads():
        for job, decisions in waits(load):
            if job.stage is Stage.ALIGN:
                ahead = [other for other in decisions[0].waiting if other.stage is Stage.ALIGN]
                decoding = [
                    other for batch, _ in decisions[0].running if batch.stage is Stage.DECODE for other in batch.jobs
                ]
                assert len(decisions) <= sum(other.request.lane is job.request.lane for other in ahead + decoding)


def test_while_a_window_waits_to_be_encoded_nobody_gets_much_more_than_its_caller() -> None:
    for load in steady_loads():
        # More than one window at once are of one key: others may get a batch that this caller has no window for.
        most = 2 * load.longest * load.limits.encode + 1e-6
        for job, decisions in waits(load):
            if job.stage is Stage.ENCODE:
                served: dict[str, float] = defaultdict(float)
                for other in (
                    other for take in decisions for other in take.batch.jobs if take.batch.stage is job.stage
                ):
                    served[other.request.caller] += other.seconds
                assert max(served.values()) <= served[job.request.caller] + most


# --- fairness ---


# How many decisions for its lane a window may wait, with batches of 1 and 4, two workers, and four callers with windows
# of 10 to 20 s. ALIGN: for those of four batches that are being decoded or were. ENCODE: each of the three others
# gets at most 20 + 2 * 20 s meanwhile, six windows; all are also decoded and aligned, and so are 16 that were encoded
# before. DECODE: for those 16, of which 5 may be its own caller's, and for as many as let the others draw level with
# those 5, so 14 each; for every one of them another one is encoded, and it is aligned.
FLOOD = {Stage.ALIGN: 16, Stage.ENCODE: 19 + 2 * (19 + 16), Stage.DECODE: 3 * (16 + 2 * 14)}


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("lane", Lane)
def test_in_a_flood_that_never_ends_every_window_has_its_turn(lane: Lane, stage: Stage) -> None:
    for seed in range(25):
        load = Load(Random(seed), workers=2, limits=BatchLimits(1, 4, 2))
        victim: Job[str] | None = None
        while victim is None or victim in load.waiting:
            encoding = Counter(job.request.caller for job in load.waiting if job.stage is Stage.ENCODE)
            for flooded in Lane:
                for caller in range(load.callers):
                    if encoding[f"{flooded.name} {caller}"] < 5:
                        load.arrive(flooded, caller)
            load.work()
            if victim is None and len(load.takes) == 60:
                name = "new" if stage is Stage.ENCODE else f"{lane.name} 0"
                victim = window(Request(name, lane), 0, stage, 15.0, "decode 0")
                load.add(victim)
        assert sum(take.lane is lane for take in load.takes[60:]) <= FLOOD[stage]


def backlogged(random: Random, limits: BatchLimits, keys: int) -> Iterator[tuple[dict[str, float], set[str]]]:
    """Yield, while callers come and go, what each has been served so far, and who has more to encode."""
    scheduler = Scheduler[str](1, limits)
    served: dict[str, float] = defaultdict(float)
    waiting: Counter[str] = Counter()
    names = [f"{number}" for number in range(random.randint(2, 5))]
    steady = names[: random.randint(2, len(names))]
    for _ in range(100):
        for name in names:
            if (name in steady and waiting[name] < 5) or random.random() < 0.05:
                request = Request(name, Lane.LONG)
                for number in range(random.randint(1, 5)):
                    seconds, key = random.uniform(1.0, 20.0), f"{random.randrange(keys)}"
                    scheduler.add(window(request, number, seconds=seconds, key=key))
                    waiting[name] += 1
        batch = scheduler.take()
        assert batch is not None
        for job in batch.jobs:
            served[job.request.caller] += job.seconds
            waiting[job.request.caller] -= 1
        scheduler.finish(batch)
        yield dict(served), {name for name in names if waiting[name]}


def largest_difference(states: Iterator[tuple[dict[str, float], set[str]]]) -> float:
    """Return by how much two callers were served differently over any time in which both always waited."""
    spread: dict[tuple[str, str], tuple[float, float]] = {}
    found = 0.0
    for served, waiting in states:
        for pair in combinations(sorted(served.keys() | waiting), 2):
            if not waiting.issuperset(pair):
                spread.pop(pair, None)
                continue
            ahead = served.get(pair[0], 0.0) - served.get(pair[1], 0.0)
            low, high = spread.get(pair, (ahead, ahead))
            spread[pair] = low, high = min(low, ahead), max(high, ahead)
            found = max(found, high - low)
    return found


@pytest.mark.parametrize(("encode", "keys"), [(1, 1), (1, 3), (4, 1)])
def test_two_callers_who_keep_waiting_differ_by_at_most_two_windows(encode: int, keys: int) -> None:
    for seed in range(150):
        assert largest_difference(backlogged(Random(seed), BatchLimits(encode, 4, 2), keys)) <= 2 * 20.0 + 1e-6


def test_two_callers_who_can_share_no_batch_differ_by_at_most_two_batches() -> None:
    for seed in range(150):
        assert largest_difference(backlogged(Random(seed), BatchLimits(4, 4, 2), 3)) <= 2 * 4 * 20.0 + 1e-6
