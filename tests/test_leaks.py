import pytest

from tests.leaks import secrets_in

KEY = "sk-" + "x" * 43


@pytest.mark.parametrize(
    "line",
    [
        f"GET /v1/stream?token={KEY}",
        "GET /v1/stream?language=en&token=abc",
        f"key={KEY}",
        "Authorization: Bearer abcdefgh",
    ],
)
def test_a_secret_in_a_log_is_found(line: str) -> None:
    assert secrets_in(f"before\n{line}\nafter") != []


def test_the_key_may_be_shown_once_to_who_starts_the_mesh() -> None:
    shown = f"API key (kept in /data/api-key): {KEY}"

    assert secrets_in(f"starting\n{shown}\nready") == []
    assert secrets_in(f"{shown}\n{shown}") == [KEY]


def test_what_is_no_secret_is_not_taken_for_one() -> None:
    assert secrets_in("send the header 'Authorization: Bearer KEY'. key=key_0123456789abcdef hint=sk-aXb9") == []
