"""Decides whose work a device does next: fairly, in batches, as soon as it is free. Pure, no clock.

Work comes in pieces that cost about the same.

*Callers* take turns: who has had least goes first, counted in pieces (start-time fair queueing: Goyal,
Vin, Cheng 1996), and so do the requests of one caller. Who comes new, or comes back, starts level with the others
and not with a credit: so a short request among long ones is done after a few turns, and no number of short ones
keeps a long one waiting for ever.

*Batches* hold what waits now, of one request or of several; nothing waits for a batch to fill. A batch is the
shortest stretch of work: what a cancelled request has waiting leaves at once, what is being computed is thrown away.
"""

import itertools
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Payload = TypeVar("Payload")
Key = TypeVar("Key", bound=Hashable)

REMEMBERED = 1000
"""Absent callers whose level is remembered."""


@dataclass(eq=False)
class Request:
    """One request, as the queue sees it."""

    caller: str
    """Who asks; the requests of one caller share his turns."""
    number: int = field(default_factory=itertools.count().__next__)
    """Order of arrival."""


class FairQueue(Generic[Payload]):
    """The pieces that wait for one device; all are taken to cost the same."""

    def __init__(self) -> None:
        self._waiting: dict[Request, deque[Payload]] = {}
        self._callers: _Turns[str] = _Turns()
        # Of each caller's own requests; how far those of others have come says nothing about them.
        self._requests: dict[str, _Turns[Request]] = {}

    def __len__(self) -> int:
        return sum(len(pieces) for pieces in self._waiting.values())

    def add(self, request: Request, piece: Payload) -> None:
        """Queue a piece; those of one request come back in the order in which they were queued."""
        if request not in self._waiting:
            if all(other.caller != request.caller for other in self._waiting):
                self._callers.enter(request.caller)
            self._requests.setdefault(request.caller, _Turns()).enter(request)
            self._waiting[request] = deque()
        self._waiting[request].append(piece)

    def take(self, most: int) -> list[tuple[Request, Payload]]:
        """Return the pieces to work on next, at most so many; none when none wait."""
        batch: list[tuple[Request, Payload]] = []
        while len(batch) < most and self._waiting:
            request = min(self._waiting, key=self._order)
            batch.append((request, self._waiting[request].popleft()))
            self._callers.charge(request.caller)
            self._requests[request.caller].charge(request)
            if not self._waiting[request]:
                del self._waiting[request]
        return batch

    def end(self, request: Request) -> list[Payload]:
        """Forget a request, now that it is over or cancelled; return what it had waiting."""
        turns = self._requests.get(request.caller)
        if turns is not None:
            turns.forget(request)
            if not turns:
                del self._requests[request.caller]
        return list(self._waiting.pop(request, ()))

    def waiting_requests(self) -> int:
        """Return how many requests have something waiting."""
        return len(self._waiting)

    def _order(self, request: Request) -> tuple[int, int, int]:
        turns = self._requests[request.caller]
        return self._callers.served(request.caller), turns.served(request), request.number


class _Turns(Generic[Key]):
    """How many pieces each has been served, counted from the level at which he came."""

    def __init__(self) -> None:
        self._served: dict[Key, int] = {}
        # Where the last one served stood.
        self._level = 0

    def enter(self, key: Key) -> None:
        """Take that somebody who had nothing waiting has something now."""
        served = max(self._served.pop(key, 0), self._level)
        if len(self._served) >= REMEMBERED:
            # The one who has been away for longest; at worst he comes back level with the others.
            del self._served[next(iter(self._served))]
        self._served[key] = served

    def __len__(self) -> int:
        return len(self._served)

    def served(self, key: Key) -> int:
        return self._served.get(key, self._level)

    def charge(self, key: Key) -> None:
        self._level = max(self._level, self.served(key))
        self._served[key] = self.served(key) + 1

    def forget(self, key: Key) -> None:
        self._served.pop(key, None)
