"""Who calls: the API key in the Authorization header."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from services.runtime.errors import Fault, MeshError

_SECRET = secrets.token_bytes(32)


@dataclass(frozen=True)
class Caller:
    """Who sent a request."""

    key_id: str | None
    """First characters of the key's digest, fit for logs; None for an anonymous caller."""


def opaque_name(caller: Caller, address: str | None) -> str:
    """Return what other services know a caller by: neither key nor address, and the same for as long as this process
    lives.

    Args:
        caller: who calls.
        address: the IP address the request came from, which is all that tells anonymous callers apart; None
            where there is none.
    """
    if caller.key_id is not None:
        return f"key:{caller.key_id}"
    # With a secret, for all addresses there are could be tried against a plain digest.
    return f"ip:{hmac.new(_SECRET, (address or '').encode(), hashlib.sha256).hexdigest()[:16]}"


class KeyRing:
    """The keys that are valid.

    Args:
        keys: the keys in clear; only their digests are kept.
        allow_anonymous: whether a request without a key is served.
    """

    def __init__(self, keys: Iterable[str], *, allow_anonymous: bool) -> None:
        self._digests = [_digest(key) for key in keys]
        self._allow_anonymous = allow_anonymous

    def identify(self, authorization: str | None) -> Caller:
        """Return the caller behind an Authorization header.

        Raises:
            MeshError: UNAUTHENTICATED when the header is malformed or its key unknown; a bad key is never
                taken for no key.
        """
        if authorization is None:
            if not self._allow_anonymous:
                raise _refused("An API key is needed: send the header 'Authorization: Bearer KEY'.")
            return Caller(None)
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise _refused("The Authorization header must read 'Bearer KEY'.")
        digest = _digest(key.strip())
        # All are compared, each in constant time: how long it takes tells nothing.
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        if not any(matches):
            raise _refused("The API key is invalid or was revoked.")
        return Caller(digest.hex()[:8])


def read_keys(path: Path) -> list[str]:
    """Return the keys of a file, one a line; empty lines and lines that begin with # do not count."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _digest(text: str) -> bytes:
    # Header bytes that are not UTF-8 come as surrogates; such a key is unknown, not a failure.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _refused(message: str) -> MeshError:
    return MeshError(Fault.UNAUTHENTICATED, message, code="invalid_api_key")
