from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import combinations, count
from random import Random

import pytest

from services.diarize import scheduler as scheduling
from services.diarize.scheduler import Request, Scheduler


def given(scheduler: Scheduler[int], request: Request, blocks: int) -> Request:
    """Queue some blocks, numbered from 0, for a request."""
    for block in range(blocks):
        scheduler.add(request, block)
    return request


def served(scheduler: Scheduler[int], blocks: int = 1_000) -> list[Request]:
    """Return whose blocks a device gets that takes one at a time, at most so many."""
    return [request for _ in range(blocks) for request, _ in scheduler.take(1)]


# --- order and batches ---


def test_nothing_waits_at_first() -> None:
    scheduler = Scheduler[int]()

    assert scheduler.take(8) == []
    assert (len(scheduler), scheduler.waiting_requests()) == (0, 0)


def test_the_blocks_of_a_request_come_in_the_order_in_which_they_were_queued() -> None:
    scheduler = Scheduler[int]()
    one, other = (given(scheduler, Request(caller), 6) for caller in "ab")

    taken = [item for _ in range(6) for item in scheduler.take(2)]

    for request in (one, other):
        assert [block for owner, block in taken if owner is request] == list(range(6))


def test_a_batch_holds_what_waits_of_any_request_up_to_its_limit() -> None:
    scheduler = Scheduler[int]()
    one = given(scheduler, Request("a"), 3)
    other = given(scheduler, Request("b"), 2)

    assert [request for request, _ in scheduler.take(4)] == [one, other, one, other]
    assert (len(scheduler), scheduler.waiting_requests()) == (1, 1)
    assert scheduler.take(4) == [(one, 2)]


# --- turns ---


def test_callers_take_turns_however_many_requests_each_has() -> None:
    scheduler = Scheduler[int]()
    for _ in range(5):
        given(scheduler, Request("many"), 4)
    given(scheduler, Request("one"), 3)

    order = [request.caller for request in served(scheduler)]

    assert order == ["many", "one"] * 3 + ["many"] * 17


def test_the_requests_of_one_caller_take_turns_too() -> None:
    scheduler = Scheduler[int]()
    first, second = (given(scheduler, Request("a"), 4) for _ in range(2))

    assert served(scheduler) == [first, second] * 4


@pytest.mark.parametrize("same_caller", [True, False])
def test_a_short_request_among_long_ones_is_done_after_a_few_turns(same_caller: bool) -> None:
    scheduler = Scheduler[int]()
    for number in range(5):
        given(scheduler, Request("a" if same_caller else f"{number}"), 200)
    served(scheduler, 333)
    short = given(scheduler, Request("a" if same_caller else "short"), 2)

    order = served(scheduler)

    assert [place for place, request in enumerate(order) if request is short][-1] < 3 * 6


def test_who_comes_late_starts_level_with_the_others() -> None:
    scheduler = Scheduler[int]()
    given(scheduler, Request("early"), 100)
    served(scheduler, 50)
    given(scheduler, Request("late"), 50)

    assert abs(Counter(request.caller for request in served(scheduler, 20))["late"] - 10) <= 1


def test_who_comes_back_has_no_credit_for_the_time_between() -> None:
    scheduler = Scheduler[int]()
    back = given(scheduler, Request("back"), 1)
    given(scheduler, Request("steady"), 100)
    served(scheduler, 50)
    given(scheduler, back, 50)

    assert abs(Counter(request.caller for request in served(scheduler, 20))["back"] - 10) <= 1


def test_who_comes_back_at_once_has_not_won_a_turn() -> None:
    scheduler = Scheduler[int]()
    given(scheduler, Request("steady"), 100)
    order = []
    for _ in range(20):
        given(scheduler, Request("again and again"), 1)
        order += [request.caller for request in served(scheduler, 2)]

    assert Counter(order) == {"steady": 20, "again and again": 20}


def backlogged(random: Random) -> Iterator[tuple[Counter[str], set[str]]]:
    """Yield, while callers come and go, how many blocks each has been served, and who has more waiting."""
    scheduler = Scheduler[int]()
    done: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    names = [f"{number}" for number in range(random.randint(2, 5))]
    steady = names[: random.randint(2, len(names))]
    open_requests: dict[str, list[Request]] = defaultdict(list)
    most = random.randint(1, 4)
    for _ in range(100):
        for name in names:
            if (name in steady and waiting[name] < 10) or random.random() < 0.05:
                request = random.choice([Request(name), *open_requests[name]])
                open_requests[name].append(request)
                blocks = random.randint(1, 12)
                given(scheduler, request, blocks)
                waiting[name] += blocks
        batch = scheduler.take(most)
        assert len(batch) == most or not scheduler
        for request, _ in batch:
            done[request.caller] += 1
            waiting[request.caller] -= 1
            yield done.copy(), {name for name in names if waiting[name]}


def largest_difference(states: Iterator[tuple[Counter[str], set[str]]]) -> int:
    """Return by how much two callers were served differently over any time in which both always waited."""
    spread: dict[tuple[str, str], tuple[int, int]] = {}
    found = 0
    for done, waiting in states:
        for pair in combinations(sorted(done.keys() | waiting), 2):
            if not waiting.issuperset(pair):
                spread.pop(pair, None)
                continue
            ahead = done[pair[0]] - done[pair[1]]
            low, high = spread.get(pair, (ahead, ahead))
            spread[pair] = low, high = min(low, ahead), max(high, ahead)
            found = max(found, high - low)
    return found


def test_two_callers_who_keep_waiting_differ_by_at_most_two_blocks() -> None:
    for seed in range(300):
        assert largest_difference(backlogged(Random(seed))) <= 2


def test_nobody_starves_in_a_flood_of_short_requests() -> None:
    for same_caller in (True, False):
        scheduler = Scheduler[int]()
        long = given(scheduler, Request("long"), 30)
        names = count()
        order = []
        for _ in range(60):
            for _ in range(3):
                given(scheduler, Request("flood" if same_caller else f"{next(names)}"), 1)
            order += served(scheduler, 4)

        # Each newcomer is level with him, so he is not passed by more than come at once.
        assert order.count(long) == 30


# --- the end of a request ---


def test_who_ends_gets_back_what_he_had_waiting_and_nothing_more_of_it_is_served() -> None:
    scheduler = Scheduler[int]()
    cancelled = given(scheduler, Request("a"), 5)
    other = given(scheduler, Request("a"), 2)
    scheduler.take(1)

    assert scheduler.end(cancelled) == [1, 2, 3, 4]
    assert served(scheduler) == [other, other]
    assert scheduler.end(cancelled) == []
    assert scheduler.end(other) == []


def test_ending_a_request_nobody_knows_is_no_error() -> None:
    assert Scheduler[int]().end(Request("a")) == []


def test_no_more_absent_callers_are_remembered_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "REMEMBERED", 10)
    scheduler = Scheduler[int]()
    steady = given(scheduler, Request("steady"), 400)
    for number in range(100):
        request = given(scheduler, Request(f"{number}"), 1)
        while request not in served(scheduler, 1):
            pass
        scheduler.end(request)

    remembered = len(scheduler._callers)
    back = given(scheduler, Request("0"), 50)

    assert remembered <= 10
    assert abs(Counter(served(scheduler, 20))[back] - 10) <= 1
    assert scheduler.end(steady)
