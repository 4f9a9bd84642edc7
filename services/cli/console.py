"""What a person at the terminal sees of several programs: one stream, each line marked with who wrote it."""

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TextIO

_COLOURS = ("\033[36m", "\033[35m", "\033[33m", "\033[32m", "\033[34m")
_RESET = "\033[0m"


class Console:
    """Shows lines with the aligned name of their program.

    Args:
        names: everybody who will speak.
        stream: where to; standard error unless given.
        environ: the environment; `NO_COLOR` set to anything turns colours off.
    """

    def __init__(
        self, names: Iterable[str], stream: TextIO | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self._stream = stream or sys.stderr
        known = list(names)
        width = max(len(name) for name in known)
        coloured = self._stream.isatty() and not (os.environ if environ is None else environ).get("NO_COLOR")
        self._marks = {
            name: _mark(name, width, _COLOURS[index % len(_COLOURS)] if coloured else "")
            for index, name in enumerate(known)
        }

    def say(self, name: str, line: str) -> None:
        """Show one line; a stream that is gone (a closed terminal or pipe) is no reason to stop serving."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{self._marks[name]}{line}\n")
            self._stream.flush()


def _mark(name: str, width: int, colour: str) -> str:
    return f"{colour}{name:<{width}} |{_RESET if colour else ''} "
