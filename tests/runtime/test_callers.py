import pytest

from services.runtime.callers import LONGEST_CALLER, turns_of
from services.runtime.errors import Fault, MeshError


def test_requests_of_one_caller_share_his_turns() -> None:
    assert turns_of("x" * LONGEST_CALLER) == turns_of("x" * LONGEST_CALLER)
    assert turns_of("a") != turns_of("b")


def test_a_request_without_a_caller_has_turns_of_its_own() -> None:
    assert turns_of("") != turns_of("")
    assert turns_of(turns_of("")) != turns_of("")


def test_a_callers_name_is_not_long() -> None:
    with pytest.raises(MeshError, match="up to 128 characters") as refused:
        turns_of("x" * (LONGEST_CALLER + 1))

    assert (refused.value.fault, refused.value.field) == (Fault.INVALID, "caller")
