"""Server-sent events (WHATWG HTML, "Server-sent events"), read: sans-I/O, bytes in and events out."""

from dataclasses import dataclass

MAX_EVENT_BYTES = 256 * 1024 * 1024
"""A longer event is refused: no transcript is as long."""


@dataclass(frozen=True)
class ServerEvent:
    """One event."""

    name: str
    """`message` unless the server says otherwise."""

    data: str
    """All data lines, joined by line feeds."""


class EventParser:
    """Turns chunks of any size into events."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._unread = list[bytes]()
        self._size = 0
        self._name = ""
        self._data = list[str]()

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Take the next bytes; return the events that are complete now.

        Raises:
            ValueError: an event is longer than allowed.
        """
        self._size += len(chunk)
        if b"\n" not in chunk:
            self._unread.append(chunk)
            self._refuse_endless()
            return []
        *lines, rest = b"".join([*self._unread, chunk]).split(b"\n")
        self._unread = [rest]
        events = [event for line in lines if (event := self._take(line.removesuffix(b"\r")))]
        if events:
            self._size = len(rest)
        self._refuse_endless()
        return events

    def _refuse_endless(self) -> None:
        if self._size > self._max:
            raise ValueError("the server's event has no end")

    def _take(self, line: bytes) -> ServerEvent | None:
        if not line:
            event = ServerEvent(self._name or "message", "\n".join(self._data)) if self._data else None
            self._name, self._data = "", []
            return event
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)
        return None
