"""API keys: made at random, shown once, kept as digests."""

import hashlib
import secrets
from dataclasses import dataclass

KEY_PREFIX = "sk-"
_RANDOM_BYTES = 32
_HINT_CHARACTERS = 7
MAX_NAME = 100
"""Characters of the name of a key or of an account."""


@dataclass(frozen=True)
class ApiKey:
    """What is kept of a key."""

    id: str
    account_id: str
    name: str
    hint: str
    """Its first characters, by which its owner knows it again."""
    created_at: float
    """Seconds since 1970, as all times here."""
    expires_at: float | None
    revoked_at: float | None

    def refusal(self, now: float) -> str | None:
        """Return why the key is not taken at `now`, None when it is."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return "was revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "has expired"
        return None


def new_key() -> str:
    """Return a new key: `sk-` and 256 random bits."""
    return f"{KEY_PREFIX}{secrets.token_urlsafe(_RANDOM_BYTES)}"


def digest_of(key: str) -> bytes:
    """Return the SHA-256 of a key; what is not UTF-8 in it comes as surrogates, and such a key is merely unknown."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def hint_of(key: str) -> str:
    """Return the first characters of a key: too few to guess the others from."""
    return key[:_HINT_CHARACTERS] if len(key) > 4 * _HINT_CHARACTERS else ""
