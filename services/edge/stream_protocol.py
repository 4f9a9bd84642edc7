"""The conversation on WS /v1/stream, without the socket: what comes in, and what is to be done about it. Pure.

Three kinds of client speak here (see the contract): the documented one configures by a JSON frame, waits for
`ready` and says stop; the official Python SDK configures by query, waits for nothing and ends with an empty binary
frame; the Node SDK ends by closing. All get the same messages.

    phase        what comes                         what is done                                   next
    CONFIGURING  JSON configuration                 open                                           OPENING
    CONFIGURING  audio                              open with the defaults, take it                OPENING
    OPENING      started                            send ready                                     RUNNING
    both         audio                              pass it on
    both         another configuration              open anew, unless audio has come               OPENING
    both         stop, empty frame, the client's    end the audio                                  ENDING
                 close
    both         what is wrong, nothing for long,   end the audio, and tell why after the finals   ENDING
                 drain
    any          final, interim                     send; the last final of ENDING is held back
    any          finished                           send the closing message, close                CLOSED
    any          failed                             send the error, close                          CLOSED

A final is sent once and never changed; `partial` is what is not final yet. There is exactly one closing message: the
one with `is_final`, or an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from services.edge.render import error_json, seconds_json, suppressed_json, word_json
from services.edge.transcript import Segment, Suppressed, joined
from services.runtime.errors import TABLE, Fault, MeshError, invalid_field

MAX_FRAME_BYTES = 1024 * 1024
"""Largest frame that is taken; half a minute of audio."""

OPTIONS = ("model", "language", "task", "prompt", "hotwords", "beam_size")
"""What a stream can be told, by query or by the first frame, beside its format; as for POST /v1/transcribe."""

_FORMAT: Mapping[str, tuple[str, ...]] = {
    "sample_rate": ("16000",),
    "encoding": ("pcm_s16le", "s16le", "linear16", "pcm16"),
    "channels": ("1",),
}
"""The only format there is; who names another one is told."""

_SAMPLE_BYTES = 2
_NORMAL_CLOSE = 1000


@dataclass(frozen=True)
class Send:
    """Send a message to the client."""

    message: dict[str, Any]


@dataclass(frozen=True)
class Open:
    """Begin to recognize, with these options; what was begun before is forgotten."""

    fields: Mapping[str, str]


@dataclass(frozen=True)
class Audio:
    """Pass audio on: whole samples."""

    pcm: bytes


@dataclass(frozen=True)
class Flush:
    """Make final what was said so far."""


@dataclass(frozen=True)
class EndOfAudio:
    """Nothing more comes."""


@dataclass(frozen=True)
class Close:
    """Close the socket."""

    code: int


Action = Send | Open | Audio | Flush | EndOfAudio | Close


class Phase(Enum):
    """Where the conversation is."""

    CONFIGURING = auto()
    OPENING = auto()
    RUNNING = auto()
    ENDING = auto()
    CLOSED = auto()


@dataclass(frozen=True)
class Ended:
    """What holds for a finished stream as a whole."""

    language: str
    duration: float
    """Seconds of audio that came."""
    model: str
    suppressed: Sequence[Suppressed] = ()


class StreamProtocol:
    """One conversation.

    Args:
        query: what the address's query asks for, without the token.
    """

    def __init__(self, query: Mapping[str, str]) -> None:
        self.phase = Phase.CONFIGURING
        self._query = dict(query)
        self._fields: dict[str, str] = {}
        self._heard = False
        self._sequence = 0
        self._error: MeshError | None = None
        self._finals: list[Segment] = []
        # While the stream ends: the latest final, which may be the last, as a message.
        self._held: dict[str, Any] | None = None
        self._partial = ""

    # What the client does

    def connected(self) -> list[Action]:
        """Take that the client is there."""
        return self._configure({}) if self._query else []

    def text(self, frame: bytes) -> list[Action]:
        """Take a text frame, as bytes: what comes in one need not be text."""
        if self.phase in (Phase.ENDING, Phase.CLOSED):
            return []
        try:
            return self._message(_parsed(frame))
        except MeshError as error:
            return self.wrong(error)

    def binary(self, frame: bytes) -> list[Action]:
        """Take a binary frame."""
        if self.phase in (Phase.ENDING, Phase.CLOSED):
            return []
        if not frame:
            return self.left()
        if len(frame) > MAX_FRAME_BYTES:
            message = f"A frame has up to {MAX_FRAME_BYTES} bytes; this one had {len(frame)}."
            return self.wrong(MeshError(Fault.INVALID, message, code="frame_too_large"))
        if len(frame) % _SAMPLE_BYTES:
            message = f"A frame of audio holds whole 16-bit samples; this one had {len(frame)} bytes."
            return self.wrong(MeshError(Fault.INVALID, message, code="odd_byte_count"))
        opening = self._configure({}) if self.phase is Phase.CONFIGURING else []
        self._heard = True
        return [*opening, Audio(frame)]

    def left(self) -> list[Action]:
        """Take that the client sends nothing more: it has said so, or closes."""
        return self._end(None)

    def wrong(self, error: MeshError) -> list[Action]:
        """Take that the stream cannot go on because of `error`; what was said before still becomes final."""
        return self._end(error)

    # What recognition does

    def started(self, model: str) -> list[Action]:
        """Take that recognition has begun."""
        if self.phase is not Phase.OPENING:
            return []
        self.phase = Phase.RUNNING
        return [self._send({"status": "ready", "type": "ready", "model": model})]

    def final(self, segment: Segment, lag: float) -> list[Action]:
        """Take a text that is final.

        Args:
            segment: the text.
            lag: how many seconds of audio have come since its end.
        """
        if self.phase is Phase.CLOSED:
            return []
        self._finals.append(segment)
        self._partial = ""
        message = _transcript(segment, lag)
        if self.phase is not Phase.ENDING:
            return [self._send(message)]
        before, self._held = self._held, message
        return [self._send(before)] if before else []

    def interim(self, text: str, start: float, end: float, language: str) -> list[Action]:
        """Take what is not final yet: all of it, in place of what was not final before."""
        if self.phase in (Phase.ENDING, Phase.CLOSED) or text == self._partial:
            return []
        self._partial = text
        message: dict[str, Any] = {
            "type": "partial",
            "partial": text,
            "start": seconds_json(start),
            "end": seconds_json(end),
        }
        if language:
            message["language"] = language
        return [self._send(message)]

    def finished(self, ended: Ended) -> list[Action]:
        """Take that all there was is final."""
        if self.phase is Phase.CLOSED:
            return []
        if self._error is not None:
            return self.failed(self._error)
        body: dict[str, Any] = {
            **(self._held or {"type": "done"}),
            "partial": "",
            "is_final": True,
            "final": True,
            "transcript": self._transcript,
            "language": ended.language,
            "duration": seconds_json(ended.duration),
            "model": ended.model,
            "suppressed": [suppressed_json(text) for text in ended.suppressed],
        }
        self.phase = Phase.CLOSED
        return [self._send(body), Close(_NORMAL_CLOSE)]

    def failed(self, error: MeshError) -> list[Action]:
        """Take that recognition has ended without a result."""
        if self.phase is Phase.CLOSED:
            return []
        held = [self._send(self._held)] if self._held else []
        body = {"type": "error", **error_json(error), "transcript": self._transcript}
        if error.retry_after_seconds is not None:
            body["retry_after"] = math.ceil(error.retry_after_seconds)
        self.phase = Phase.CLOSED
        return [*held, self._send(body), Close(TABLE[error.fault].websocket)]

    # Steps

    @property
    def _transcript(self) -> str:
        return joined(self._finals, translated=self._fields.get("task") == "translate")

    def _message(self, message: dict[str, Any]) -> list[Action]:
        action = message.get("action")
        if action is None:
            return self._configure(message)
        if len(message) > 1 or not isinstance(action, str) or action not in ("stop", "flush", "keepalive"):
            raise invalid_field("action", "The field 'action' must be one of: stop, flush, keepalive; and stand alone.")
        if action == "stop":
            return self.left()
        return [Flush()] if action == "flush" and self._heard else []

    def _configure(self, message: Mapping[str, Any]) -> list[Action]:
        try:
            fields = _options({**self._query, **message})
        except MeshError as error:
            return self.wrong(error)
        if self.phase is not Phase.CONFIGURING and fields == self._fields:
            return []
        if self._heard:
            message_text = "The configuration comes before the audio; it cannot be changed afterwards."
            return self.wrong(MeshError(Fault.INVALID, message_text, code="already_configured"))
        self._fields = fields
        self.phase = Phase.OPENING
        return [Open(fields)]

    def _end(self, error: MeshError | None) -> list[Action]:
        if self.phase in (Phase.ENDING, Phase.CLOSED):
            return []
        self._error = error
        if self.phase is Phase.CONFIGURING:
            return self.finished(Ended("", 0.0, ""))
        self.phase = Phase.ENDING
        return [EndOfAudio()]

    def _send(self, message: dict[str, Any]) -> Send:
        self._sequence += 1
        # The SDK's own example reads `text` from every message.
        return Send({"text": "", **message, "seq": self._sequence})


def _parsed(frame: bytes) -> dict[str, Any]:
    if len(frame) > MAX_FRAME_BYTES:
        raise MeshError(Fault.INVALID, f"A frame has up to {MAX_FRAME_BYTES} bytes.", code="frame_too_large")
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        example = 'a JSON object such as {"action": "stop"}; audio comes in binary frames'
        raise MeshError(Fault.INVALID, f"A text frame must hold {example}.", code="invalid_message")
    return message


def _options(config: Mapping[str, Any]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in config.items():
        if name not in OPTIONS and name not in _FORMAT:
            known = ", ".join([*OPTIONS, *_FORMAT])
            raise invalid_field(name[:64], f"There is no field {name[:64]!r}; the fields are: {known}.")
        text = _as_text(name, value)
        if name in _FORMAT and text.lower() not in _FORMAT[name]:
            raise invalid_field(
                name, f"The field '{name}' must be {_FORMAT[name][0]}: audio is 16-bit PCM, 16 kHz, mono."
            )
        if name in OPTIONS:
            fields[name] = text
    return fields


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ",".join(value)
    # A bool is an int, but no number that anybody means.
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise invalid_field(name, f"The field '{name}' must be a string or a whole number.")
    text = str(value)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise invalid_field(name, f"The field '{name}' holds half a character.")
    return text


def _transcript(segment: Segment, lag: float) -> dict[str, Any]:
    return {
        "type": "transcript",
        "text": segment.text,
        "partial": "",
        "start": seconds_json(segment.start),
        "end": seconds_json(segment.end),
        "words": [word_json(word) for word in segment.words],
        "language": segment.language,
        "confidence": round(segment.confidence, 3),
        "lag": seconds_json(max(0.0, lag)),
    }
