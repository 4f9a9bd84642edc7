"""Keys and tokens in what processes print: there must be none, in any test."""

import re

_SECRETS = re.compile(r"\bsk-[A-Za-z0-9_-]{12,}|[?&]token=[^\s&\"']+|Bearer +(?!KEY\b|realm\b)[A-Za-z0-9._~+/-]{8,}")

SHOWN_ONCE = re.compile(r"^.*API key \(kept in .*\): sk-\S+$", re.MULTILINE)
"""The one line that shows a key, to who started the mesh for the first time."""


def secrets_in(text: str) -> list[str]:
    """Return what looks like a key, a token in an address, or an Authorization header."""
    return _SECRETS.findall(SHOWN_ONCE.sub("", text, count=1))
