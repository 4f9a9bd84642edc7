"""Resume tokens: a place in a live stream as bytes, to go on from there in another process. Pure.

A token is a line of JSON and the numbers of voice activity detection as they are, compressed: two to six KiB. It
holds no audio but the last samples of one frame, and no text. Nobody signs it; one that somebody changed is refused
where it contradicts itself, and otherwise spoils his own stream only.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import asdict
from typing import Any

import numpy as np

from services.asr.language import LanguageState
from services.asr.live import LIVE_RULES, ResumePoint
from services.asr.session import Given, SessionState
from services.asr.vad import VoiceState, at_the_start
from services.asr.windows import FRAME_SAMPLES, Frame, Run, Windower, WindowerState
from services.audio.pcm import SAMPLE_RATE
from services.runtime.errors import MeshError, invalid_field

_VERSION = 1
_LONGEST = 1 << 20
_LONGEST_PENDING_SECONDS = 2 * LIVE_RULES.longest


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
    except (ValueError, KeyError, TypeError, zlib.error, AttributeError, OverflowError, RecursionError):
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
    session = _session(head, heard.reshape(-1, 2).tolist())
    point = ResumePoint(str(head["model"]), int(head["needed_from"]), voice, session)
    if not _is_lawful(point):
        raise _refused()
    return point


def _session(head: dict[str, Any], heard: list[list[float]]) -> SessionState:
    given, language = head["given"], head["given"]["language"]
    windower = WindowerState(
        frames=int(head["frames"]),
        runs=tuple(Run(int(first), int(last)) for first, last in head["runs"]),
        open=None if head["open"] is None else Run(*map(int, head["open"])),
        floor=int(head["floor"]),
        heard=tuple(Frame(speech, level) for speech, level in heard),
    )
    return SessionState(
        received=int(head["received"]),
        windower=windower,
        speech_seconds=_number(head["speech_seconds"]),
        given=Given(
            windows=int(given["windows"]),
            now=_number(given["now"]),
            language=LanguageState(
                decided=int(language["decided"]),
                weighed=int(language["weighed"]),
                evidence=_numbers(language["evidence"]),
                speech=_number(language["speech"]),
                now=None if language["now"] is None else str(language["now"]),
                known=tuple(map(str, language["known"])),
            ),
            spoken=_numbers(given["spoken"]),
            certainty=_numbers(given["certainty"]),
        ),
    )


def _is_lawful(point: ResumePoint) -> bool:
    """Return whether a session could have come to this point."""
    session, windower = point.session, point.session.windower
    runs = [*windower.runs, *([windower.open] if windower.open else [])]
    edges = [edge for run in runs for edge in (run.first, run.last)]
    pending = windower.frames - runs[0].first if runs else 0
    return (
        session.received == windower.frames * FRAME_SAMPLES + len(point.voice.rest)
        and edges == sorted(edges)
        and all(0 <= run.first < run.last <= windower.frames for run in runs)
        and len(windower.heard) == pending
        and pending * FRAME_SAMPLES <= _LONGEST_PENDING_SECONDS * SAMPLE_RATE
        and 0 <= windower.floor <= session.received
        and point.needed_from == Windower(LIVE_RULES, windower).needed_from <= session.received
        and 0 <= session.given.now <= session.received / SAMPLE_RATE
        and session.given.windows >= 0
        and session.given.language.decided in (0, session.given.windows)
        # Once the language is settled, nothing is weighed any more.
        and (session.given.language.now is not None or session.given.language.decided <= session.given.language.weighed)
    )


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a number must be finite")
    return number


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    return {str(name): _number(value) for name, value in values.items()}


def _refused() -> MeshError:
    return invalid_field("resume_token", "The resume token is not one that this service gave.")
