"""A child's output, cut into lines fit for a terminal: sans-I/O, bytes in and text out.

Whatever a program prints (lines without end, bytes that are no text, escape sequences, progress bars) must
neither fill our memory nor change the terminal of whoever watches.
"""

import re

MAX_LINE_BYTES = 16 * 1024
"""A longer line is shown in pieces of this size."""

# Every control character but the tab: C0, DEL, and C1, which some terminals obey as well.
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


class LineSplitter:
    """Turns chunks of any size into lines."""

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max = max_line_bytes
        self._rest = b""

    def feed(self, chunk: bytes) -> list[str]:
        """Take the next bytes; return the lines that are complete now."""
        lines = list[str]()
        *complete, rest = (self._rest + chunk).split(b"\n")
        for line in complete:
            lines.extend(_shown(piece) for piece in self._pieces(line))
        *full, self._rest = self._pieces(rest)
        lines.extend(_shown(piece) for piece in full)
        return lines

    def finish(self) -> list[str]:
        """Return what is left when the output ends without a line feed."""
        rest, self._rest = self._rest, b""
        return [_shown(rest)] if rest else []

    def _pieces(self, line: bytes) -> list[bytes]:
        if len(line) <= self._max:
            return [line]
        return [line[at : at + self._max] for at in range(0, len(line), self._max)]


def _shown(line: bytes) -> str:
    # A progress bar draws over itself after each carriage return: what one would see is the last drawing.
    text = line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "backslashreplace")
    return _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
