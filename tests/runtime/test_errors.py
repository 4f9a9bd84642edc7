import grpc
import pytest

from services.runtime.errors import TABLE, Fault, MeshError, invalid_field


def test_every_fault_has_its_row() -> None:
    assert set(TABLE) == set(Fault)


def test_rows_name_real_statuses_and_none_twice() -> None:
    statuses = [grpc.StatusCode[codes.grpc] for codes in TABLE.values()]

    assert len(set(statuses)) == len(TABLE)
    assert all(400 <= codes.http <= 599 for codes in TABLE.values())
    assert all(codes.websocket in {1011, 1013} or 4400 <= codes.websocket < 4500 for codes in TABLE.values())


@pytest.mark.parametrize("fault", Fault)
def test_only_faults_that_pass_say_when_to_come_back(fault: Fault) -> None:
    error = MeshError(fault, "text")

    assert (error.retry_after_seconds is not None) == TABLE[fault].retry
    assert error.code == fault.value


def test_a_wrong_field_is_named() -> None:
    error = invalid_field("speakers", "Too many.")

    assert (error.fault, error.field, error.code, str(error)) == (
        Fault.INVALID,
        "speakers",
        "invalid_field",
        "Too many.",
    )
