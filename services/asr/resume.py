"""Resume tokens: a place in a live stream as bytes, to go on from there in another process. Pure.

A token is a line of JSON and the numbers of voice activity detection as they are, compressed: two to four KiB. It
holds no audio but the last samples of one frame, and no text.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict
from typing import Any

import numpy as np

from services.asr.language import LanguageState
from services.asr.live import ResumePoint
from services.asr.session import Given, SessionState
from services.asr.vad import VoiceState, at_the_start
from services.asr.windows import FRAME_SAMPLES, Frame, Run, WindowerState
from services.runtime.errors import MeshError, invalid_field

_VERSION = 1
_LONGEST = 1 << 20


def to_token(point: ResumePoint) -> bytes:
    """Return the token for a point."""
    session, windower = point.session, point.session.windower
    voice = point.voice
    head = {
        "version": _VERSION,
        "model": point.model,
        "needed_from": point.needed_from,
        "received": session.received,
        "speech_seconds": session.speech_seconds,
        "frames": windower.frames,
        "runs": [(run.first, run.last) for run in windower.runs],
        "open": None if windower.open is None else (windower.open.first, windower.open.last),
        "floor": windower.floor,
        "heard": len(windower.heard),
        "given": asdict(session.given),
    }
    numbers = np.concatenate(
        [
            voice.hidden.ravel(),
            voice.cell.ravel(),
            voice.context,
            np.array([(frame.speech, frame.level) for frame in windower.heard], np.float32).ravel(),
            voice.rest,
        ]
    )
    return zlib.compress(json.dumps(head).encode() + b"\n" + numbers.astype("<f4").tobytes())


def from_token(token: bytes) -> ResumePoint:
    """Return the point of a token.

    Raises:
        MeshError: INVALID; this is no token of ours.
    """
    try:
        return _point(token)
    except (ValueError, KeyError, TypeError, zlib.error, AttributeError):
        raise _refused() from None


def _point(token: bytes) -> ResumePoint:
    unpacker = zlib.decompressobj()
    raw = unpacker.decompress(token, _LONGEST)
    line, _, rest = raw.partition(b"\n")
    head: dict[str, Any] = json.loads(line)
    if not unpacker.eof or head["version"] != _VERSION:
        raise _refused()
    numbers = np.frombuffer(rest, "<f4").astype(np.float32)
    if not np.isfinite(numbers).all():
        raise _refused()
    start = at_the_start()
    sizes = np.cumsum([start.hidden.size, start.cell.size, start.context.size, 2 * int(head["heard"])])
    hidden, cell, context, heard, remainder = np.split(numbers, sizes)
    if len(remainder) >= FRAME_SAMPLES:
        raise _refused()
    voice = VoiceState(hidden.reshape(start.hidden.shape), cell.reshape(start.cell.shape), context, remainder)
    return ResumePoint(
        str(head["model"]), int(head["needed_from"]), voice, _session(head, heard.reshape(-1, 2).tolist())
    )


def _session(head: dict[str, Any], heard: list[list[float]]) -> SessionState:
    given = dict(head["given"])
    language = dict(given.pop("language"))
    windower = WindowerState(
        frames=int(head["frames"]),
        runs=tuple(Run(int(first), int(last)) for first, last in head["runs"]),
        open=None if head["open"] is None else Run(*map(int, head["open"])),
        floor=int(head["floor"]),
        heard=tuple(Frame(speech, level) for speech, level in heard),
    )
    known = tuple(language.pop("known"))
    return SessionState(
        received=int(head["received"]),
        windower=windower,
        speech_seconds=float(head["speech_seconds"]),
        given=Given(language=LanguageState(known=known, **language), **given),
    )


def _refused() -> MeshError:
    return invalid_field("resume_token", "The resume token is not one that this service gave.")
