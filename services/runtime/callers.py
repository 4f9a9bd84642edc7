"""Who asks: how the services tell callers apart when they let them take turns."""

import itertools

from services.runtime.errors import invalid_field

LONGEST_CALLER = 128
"""Characters of a caller's name."""

_numbers = itertools.count(1)


def turns_of(caller: str) -> str:
    """Return whose turns a request takes.

    Args:
        caller: who asks, as the request says; empty for one whom nothing connects with other requests.

    Raises:
        MeshError: INVALID; the name is too long.
    """
    if len(caller) > LONGEST_CALLER:
        raise invalid_field("caller", f"A caller's name has up to {LONGEST_CALLER} characters.")
    # No caller's own name begins like the other one's.
    return f"caller {caller}" if caller else f"request {next(_numbers)}"
