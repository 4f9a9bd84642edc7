"""Double entry: every change of a purse moves an amount from one of its books to another. Pure.

    issued     what was put into the purse, as a debt of ours: minus the sum of the other three
    available  what may be used
    reserved   what requests that run have set aside
    spent      what was used

    grant, allowance    issued -> available       reserve    available -> reserved
    withdrawal          available -> issued       charge     reserved -> spent
    release             reserved -> available     refund     spent -> available

No book but the issued one is ever below zero, and all four together are always zero.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from services.accounts.plans import Funding, Plan


class Book(StrEnum):
    """Where an amount lies."""

    ISSUED = "issued"
    AVAILABLE = "available"
    RESERVED = "reserved"
    SPENT = "spent"


class Kind(StrEnum):
    """Why an amount moves."""

    GRANT = "grant"
    """Credits were bought, or given."""
    WITHDRAWAL = "withdrawal"
    """Credits, or the rest of an allowance, were taken back."""
    ALLOWANCE = "allowance"
    """A period began, or its allowance grew."""
    RESERVE = "reserve"
    CHARGE = "charge"
    RELEASE = "release"
    REFUND = "refund"


BOOKS: dict[Kind, tuple[Book, Book]] = {
    Kind.GRANT: (Book.ISSUED, Book.AVAILABLE),
    Kind.WITHDRAWAL: (Book.AVAILABLE, Book.ISSUED),
    Kind.ALLOWANCE: (Book.ISSUED, Book.AVAILABLE),
    Kind.RESERVE: (Book.AVAILABLE, Book.RESERVED),
    Kind.CHARGE: (Book.RESERVED, Book.SPENT),
    Kind.RELEASE: (Book.RESERVED, Book.AVAILABLE),
    Kind.REFUND: (Book.SPENT, Book.AVAILABLE),
}
"""From which book each kind moves to which."""


class NotEnough(Exception):
    """A book does not hold what was to be moved from it."""


@dataclass(frozen=True)
class About:
    """What an entry names beside its amount."""

    reservation_id: str | None = None
    request_id: str | None = None
    key_id: str | None = None
    model: str | None = None
    seconds: float | None = None
    """Of audio."""
    note: str | None = None
    reference: str | None = None
    """Of whoever gave credits; one entry of a holder has it."""


@dataclass(frozen=True)
class Move:
    """One entry."""

    kind: Kind
    amount: int
    about: About

    @property
    def debit(self) -> Book:
        """The book that it is taken from."""
        return BOOKS[self.kind][0]

    @property
    def credit(self) -> Book:
        """The book that it goes to."""
        return BOOKS[self.kind][1]


@dataclass(frozen=True)
class Purse:
    """What a holder has in one period, and the moves that are not written yet."""

    holder: str
    period: str
    available: int = 0
    reserved: int = 0
    spent: int = 0
    moves: tuple[Move, ...] = ()

    @property
    def issued(self) -> int:
        """All that was ever put into it, less what was taken back."""
        return self.available + self.reserved + self.spent

    def move(self, kind: Kind, amount: int, about: About) -> "Purse":
        """Return the purse after one more entry; moving nothing is no entry.

        Raises:
            NotEnough: the book it comes from holds less.
        """
        if amount == 0:
            return self
        assert amount > 0
        move = Move(kind, amount, about)
        books = {Book.AVAILABLE: self.available, Book.RESERVED: self.reserved, Book.SPENT: self.spent}
        for book, change in ((move.debit, -amount), (move.credit, amount)):
            if book in books:
                books[book] += change
        if min(books.values()) < 0:
            raise NotEnough
        available, reserved, spent = books.values()
        return replace(self, available=available, reserved=reserved, spent=spent, moves=(*self.moves, move))

    def allotted(self, plan: Plan, needed: int = 0) -> "Purse":
        """Return the purse with what `plan` puts into it by itself.

        An allowance is put in whole when its period is first met; where it has changed since, the difference is, or
        as much of it is taken back as was not used. A purse that is open gets what is needed.
        """
        if plan.funding is Funding.OPEN:
            return self.move(Kind.ALLOWANCE, max(0, needed - self.available), About())
        if plan.funding is Funding.CREDITS:
            return self
        assert plan.amount is not None
        missing = plan.amount - self.issued
        if missing >= 0:
            return self.move(Kind.ALLOWANCE, missing, About())
        return self.move(Kind.WITHDRAWAL, min(-missing, self.available), About())
