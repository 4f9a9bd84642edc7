import json
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from services.edge.answers import dump_json, error_response, json_response, wants_events, wants_json
from services.edge.render import error_json
from services.runtime.errors import TABLE, Fault, MeshError


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_has_its_status_and_a_whole_number_of_seconds(fault: Fault) -> None:
    answer = error_response(MeshError(fault, "A sentence.", retry_after_seconds=1.2 if TABLE[fault].retry else None))

    assert answer.status == TABLE[fault].http
    assert answer.headers.get("Retry-After") == ("2" if TABLE[fault].retry else None)
    assert json.loads(answer.text or "") == {"error": "A sentence.", "code": fault.value}


def test_a_wrong_field_is_named() -> None:
    assert error_json(MeshError(Fault.INVALID, "No.", field="model"))["field"] == "model"


def test_letters_stay_readable() -> None:
    assert json_response({"text": "größer 日本"}).text == '{"text":"größer 日本"}'


@pytest.mark.parametrize(
    ("headers", "json_wanted", "events_wanted"),
    [
        ({}, False, False),
        ({"Accept": "*/*"}, False, False),
        ({"Accept": "text/plain, application/json;q=0.9"}, True, False),
        ({"User-Agent": "stt-ai-node/1.0"}, True, False),
        ({"User-Agent": "curl/8"}, False, False),
        ({"Accept": "text/event-stream"}, False, True),
    ],
)
def test_what_the_caller_wants(headers: dict[str, str], json_wanted: bool, events_wanted: bool) -> None:
    request = make_mocked_request("POST", "/", headers=headers)

    assert (wants_json(request), wants_events(request)) == (json_wanted, events_wanted)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON_VALUES, st.integers(0, 300))
def test_json_is_that_of_the_standard_library_however_long_its_lists_are(value: Any, times: int) -> None:
    body = {"one": value, "many": [value] * times, "inner": {"many": [times] * times}}
    expected = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    assert dump_json(body) == expected
