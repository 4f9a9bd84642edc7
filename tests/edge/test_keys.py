from pathlib import Path

import pytest

from services.edge.keys import KeyRing, read_keys
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


def test_a_key_file_has_a_key_a_line(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# ours\nsk-one\n\n  sk-two  \n")

    assert read_keys(file) == ["sk-one", "sk-two"]
