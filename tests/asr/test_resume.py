import contextlib
import json
import math
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.asr.language import LanguageState
from services.asr.live import LiveSession, Position, ResumePoint
from services.asr.options import RecognitionOptions
from services.asr.resume import from_token, to_token
from services.runtime.errors import Fault, MeshError
from tests.asr.fake_engine import FakeEngine, listen, tone
from tests.asr.test_live import TALK, captions

POINTS = [position.point for position in captions(TALK, options=RecognitionOptions()).of(Position)]


@pytest.mark.parametrize("point", POINTS)
def test_a_token_says_all_of_a_point(point: ResumePoint) -> None:
    again = from_token(to_token(point))

    assert again.session == point.session
    assert (again.model, again.needed_from) == (point.model, point.needed_from)
    for name in ("hidden", "cell", "context", "rest"):
        assert (getattr(again.voice, name) == getattr(point.voice, name)).all()
    assert isinstance(again.session.given.language, LanguageState)


def test_a_token_is_small() -> None:
    assert all(len(to_token(point)) < 8192 for point in POINTS)


def test_what_somebody_made_up_is_refused() -> None:
    good = zlib.decompress(to_token(POINTS[0]))
    made_up = [
        b"",
        b"x",
        zlib.compress(b""),
        zlib.compress(b"{}\n"),
        zlib.compress(good[:-4000]),
        to_token(POINTS[0])[:-9],
    ]
    made_up += [zlib.compress(good + b"\0" * 2_000_000), zlib.compress(good.replace(b'"version": 1', b'"version": 2'))]

    for token in made_up:
        with pytest.raises(MeshError) as refused:
            from_token(token)
        assert refused.value.fault is Fault.INVALID
        assert refused.value.field == "resume_token"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_point_or_refused(noise: bytes) -> None:
    for token in (noise, zlib.compress(noise)):
        with pytest.raises(MeshError):
            from_token(token)


@settings(max_examples=300)
@given(st.data())
def test_a_changed_token_is_refused_or_one_to_go_on_with(data: st.DataObject) -> None:
    raw = bytearray(zlib.decompress(to_token(data.draw(st.sampled_from(POINTS)))))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))

    with contextlib.suppress(MeshError):
        point = from_token(zlib.compress(bytes(raw)))
        voice = listen(point.voice, point.known_samples)
        session = LiveSession(FakeEngine(), RecognitionOptions(), voice=lambda: voice.state, point=point)
        audio = tone((6, 9000), (1, 0))
        session.feed(audio, voice.feed(audio))
        session.finish(voice.finish())
        session.drain()
        assert session.total_seconds == session.received_seconds


@pytest.mark.parametrize(
    "change",
    [
        {"heard": math.inf},
        {"frames": -1},
        {"received": 10**12},
        {"runs": [[5, 3]]},
        {"runs": [[0, 10**9]]},
        {"open": [3]},
        {"floor": 10**9},
        {"needed_from": -5},
        {"given": {}},
        {"speech_seconds": math.nan},
    ],
    ids=str,
)
def test_what_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    line, _, rest = zlib.decompress(to_token(POINTS[2])).partition(b"\n")
    token = zlib.compress(json.dumps({**json.loads(line), **change}).encode() + b"\n" + rest)

    with pytest.raises(MeshError) as refused:
        from_token(token)

    assert refused.value.fault is Fault.INVALID


def test_a_head_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(MeshError):
        from_token(zlib.compress(b"[" * 100_000 + b"\n"))
