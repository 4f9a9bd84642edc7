from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import combinations, count
from random import Random

import pytest

from services.runtime import fair_queue
from services.runtime.fair_queue import FairQueue, Request


def given(queue: FairQueue[int], request: Request, blocks: int) -> Request:
    """Queue some blocks, numbered from 0, for a request."""
    for block in range(blocks):
        queue.add(request, block)
    return request


def served(queue: FairQueue[int], blocks: int = 1_000) -> list[Request]:
    """Return whose blocks a device gets that takes one at a time, at most so many."""
    return [request for _ in range(blocks) for request, _ in queue.take(1)]


# --- order and batches ---


def test_nothing_waits_at_first() -> None:
    queue = FairQueue[int]()

    assert queue.take(8) == []
    assert (len(queue), queue.waiting_requests()) == (0, 0)


def test_the_blocks_of_a_request_come_in_the_order_in_which_they_were_queued() -> None:
    queue = FairQueue[int]()
    one, other = (given(queue, Request(caller), 6) for caller in "ab")

    taken = [item for _ in range(6) for item in queue.take(2)]

    for request in (one, other):
        assert [block for owner, block in taken if owner is request] == list(range(6))


def test_a_batch_holds_what_waits_of_any_request_up_to_its_limit() -> None:
    queue = FairQueue[int]()
    one = given(queue, Request("a"), 3)
    other = given(queue, Request("b"), 2)

    assert [request for request, _ in queue.take(4)] == [one, other, one, other]
    assert (len(queue), queue.waiting_requests()) == (1, 1)
    assert queue.take(4) == [(one, 2)]


# --- turns ---


def test_callers_take_turns_however_many_requests_each_has() -> None:
    queue = FairQueue[int]()
    for _ in range(5):
        given(queue, Request("many"), 4)
    given(queue, Request("one"), 3)

    order = [request.caller for request in served(queue)]

    assert order == ["many", "one"] * 3 + ["many"] * 17


def test_the_requests_of_one_caller_take_turns_too() -> None:
    queue = FairQueue[int]()
    first, second = (given(queue, Request("a"), 4) for _ in range(2))

    assert served(queue) == [first, second] * 4


@pytest.mark.parametrize("same_caller", [True, False])
def test_a_short_request_among_long_ones_is_done_after_a_few_turns(same_caller: bool) -> None:
    queue = FairQueue[int]()
    for number in range(5):
        given(queue, Request("a" if same_caller else f"{number}"), 200)
    served(queue, 333)
    short = given(queue, Request("a" if same_caller else "short"), 2)

    order = served(queue)

    assert [place for place, request in enumerate(order) if request is short][-1] < 3 * 6


def test_who_comes_late_starts_level_with_the_others() -> None:
    queue = FairQueue[int]()
    given(queue, Request("early"), 100)
    served(queue, 50)
    given(queue, Request("late"), 50)

    assert abs(Counter(request.caller for request in served(queue, 20))["late"] - 10) <= 1


def test_who_comes_back_has_no_credit_for_the_time_between() -> None:
    queue = FairQueue[int]()
    back = given(queue, Request("back"), 1)
    given(queue, Request("steady"), 100)
    served(queue, 50)
    given(queue, back, 50)

    assert abs(Counter(request.caller for request in served(queue, 20))["back"] - 10) <= 1


def test_who_comes_back_at_once_has_not_won_a_turn() -> None:
    queue = FairQueue[int]()
    given(queue, Request("steady"), 100)
    order = []
    for _ in range(20):
        given(queue, Request("again and again"), 1)
        order += [request.caller for request in served(queue, 2)]

    assert Counter(order) == {"steady": 20, "again and again": 20}


def backlogged(random: Random) -> Iterator[tuple[Counter[str], set[str]]]:
    """Yield, while callers come and go, how many blocks each has been served, and who has more waiting."""
    queue = FairQueue[int]()
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
                given(queue, request, blocks)
                waiting[name] += blocks
        batch = queue.take(most)
        assert len(batch) == most or not queue
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
        queue = FairQueue[int]()
        long = given(queue, Request("long"), 30)
        names = count()
        order = []
        for _ in range(60):
            for _ in range(3):
                given(queue, Request("flood" if same_caller else f"{next(names)}"), 1)
            order += served(queue, 4)

        # Each newcomer is level with him, so he is not passed by more than come at once.
        assert order.count(long) == 30


# --- the end of a request ---


def test_who_ends_gets_back_what_he_had_waiting_and_nothing_more_of_it_is_served() -> None:
    queue = FairQueue[int]()
    cancelled = given(queue, Request("a"), 5)
    other = given(queue, Request("a"), 2)
    queue.take(1)

    assert queue.end(cancelled) == [1, 2, 3, 4]
    assert served(queue) == [other, other]
    assert queue.end(cancelled) == []
    assert queue.end(other) == []


def test_ending_a_request_nobody_knows_is_no_error() -> None:
    assert FairQueue[int]().end(Request("a")) == []


def test_no_more_absent_callers_are_remembered_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_queue, "REMEMBERED", 10)
    queue = FairQueue[int]()
    steady = given(queue, Request("steady"), 400)
    for number in range(100):
        request = given(queue, Request(f"{number}"), 1)
        while request not in served(queue, 1):
            pass
        queue.end(request)

    remembered = len(queue._callers)
    back = given(queue, Request("0"), 50)

    assert remembered <= 10
    assert abs(Counter(served(queue, 20))[back] - 10) <= 1
    assert queue.end(steady)
