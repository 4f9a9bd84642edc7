import hashlib
import re

import pytest

from services.accounts.api_keys import ApiKey, digest_of, hint_of, new_key


def key(expires_at: float | None = None, revoked_at: float | None = None) -> ApiKey:
    return ApiKey("key_1", "acc_1", "name", "sk-abcd", 0.0, expires_at, revoked_at)


def test_a_key_is_random_and_of_visible_characters() -> None:
    made = {new_key() for _ in range(100)}

    assert len(made) == 100
    assert all(re.fullmatch(r"sk-[A-Za-z0-9_-]{43}", each) for each in made)


def test_a_digest_is_the_sha_256_of_the_key_whatever_bytes_it_came_as() -> None:
    assert digest_of("sk-1") == hashlib.sha256(b"sk-1").digest()
    assert digest_of(b"sk-\xff".decode("utf-8", "surrogateescape")) == hashlib.sha256(b"sk-\xff").digest()


def test_a_hint_tells_four_characters_of_a_long_key_and_nothing_of_a_short_one() -> None:
    made = new_key()

    assert hint_of(made) == made[:7]
    assert hint_of("sk-of-my-own") == ""


@pytest.mark.parametrize(
    ("made", "refusal"),
    [
        (key(), None),
        (key(expires_at=101.0), None),
        (key(expires_at=100.0), "has expired"),
        (key(revoked_at=100.0), "was revoked"),
        (key(expires_at=99.0, revoked_at=99.0), "was revoked"),
    ],
)
def test_a_key_is_refused_from_the_moment_on_that_it_ends(made: ApiKey, refusal: str | None) -> None:
    assert made.refusal(100.0) == refusal
