import re
from pathlib import Path

import pytest

from services.edge.keys import Caller, KeyRing, opaque_name, read_keys
from services.runtime.errors import Fault, MeshError


def test_a_known_key_is_told_apart_without_being_kept() -> None:
    ring = KeyRing(["sk-one", "sk-two"], allow_anonymous=True)

    one, two = ring.identify("Bearer sk-one"), ring.identify("bearer  sk-two")

    assert one.key_id != two.key_id
    assert "sk-" not in repr(vars(ring))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer sk-on",
        "Bearer sk-onee",
        "Token sk-one",
        "sk-one",
        "Bearer ключ",
        "Bearer cl\udce9",
    ],
)
def test_anything_else_is_refused(header: str) -> None:
    with pytest.raises(MeshError) as refused:
        KeyRing(["sk-one"], allow_anonymous=True).identify(header)

    assert refused.value.fault is Fault.UNAUTHENTICATED
    assert "sk-on" not in refused.value.message


def test_no_header_is_anonymous_where_that_is_allowed() -> None:
    assert KeyRing([], allow_anonymous=True).identify(None).key_id is None
    with pytest.raises(MeshError, match="API key is needed"):
        KeyRing([], allow_anonymous=False).identify(None)


def test_a_caller_with_a_key_goes_by_its_digest_wherever_he_calls_from() -> None:
    caller = KeyRing(["sk-one"], allow_anonymous=True).identify("Bearer sk-one")

    assert opaque_name(caller, "192.0.2.1") == opaque_name(caller, "192.0.2.2") == f"key:{caller.key_id}"


def test_anonymous_callers_are_told_apart_by_address_and_never_named_by_it() -> None:
    one, again, other = (opaque_name(Caller(None), address) for address in ("192.0.2.1", "192.0.2.1", "2001:db8::1"))

    assert one == again != other
    assert re.fullmatch(r"ip:[0-9a-f]{16}", one)
    assert re.fullmatch(r"ip:[0-9a-f]{16}", opaque_name(Caller(None), None))


def test_a_key_file_has_a_key_a_line(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# ours\nsk-one\n\n  sk-two  \n")

    assert read_keys(file) == ["sk-one", "sk-two"]
