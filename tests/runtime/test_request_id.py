import pytest

from services.runtime.request_id import accept_request_id


@pytest.mark.parametrize("offered", ["a", "job-17", "A.b_c-9", "x" * 64])
def test_a_harmless_id_is_kept(offered: str) -> None:
    assert accept_request_id(offered) == offered


@pytest.mark.parametrize("offered", [None, "", "a b", "x" * 65, "a\nb", "ü", "$(x)"])
def test_anything_else_is_replaced(offered: str | None) -> None:
    replaced = accept_request_id(offered)

    assert replaced != offered
    assert len(replaced) == 32
    assert replaced != accept_request_id(offered)
