import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.edge.stream_protocol import (
    MAX_FRAME_BYTES,
    Action,
    Audio,
    Close,
    Ended,
    EndOfAudio,
    Flush,
    Open,
    Phase,
    Send,
    StreamProtocol,
)
from services.edge.transcript import Segment, Word
from services.runtime.errors import TABLE, Fault, MeshError

ENDED = Ended("en", 5.0, "base")
CONFIG = b'{"language": "en", "model": "base"}'
STOP = b'{"action": "stop"}'


def segment(text: str, start: float = 1.0, end: float = 2.0) -> Segment:
    words = tuple(Word(f" {word}", start, end, 0.9) for word in text.split())
    return Segment(start, end, text, words, 0.91234, -0.2, 0.01, 1.1, "en", 1.0)


def sent(actions: list[Action]) -> list[dict[str, Any]]:
    return [action.message for action in actions if isinstance(action, Send)]


def running(query: dict[str, str] | None = None) -> StreamProtocol:
    protocol = StreamProtocol(query or {})
    if query:
        protocol.connected()
    else:
        protocol.text(CONFIG)
    protocol.started("base")
    assert protocol.phase is Phase.RUNNING
    return protocol


def test_the_documented_client_configures_waits_sends_and_stops() -> None:
    protocol = StreamProtocol({})

    assert protocol.connected() == []
    assert protocol.text(CONFIG) == [Open({"language": "en", "model": "base"})]
    assert sent(protocol.started("base")) == [
        {"text": "", "status": "ready", "type": "ready", "model": "base", "seq": 1}
    ]
    assert protocol.binary(b"12") == [Audio(b"12")]
    assert sent(protocol.interim("one", 1.0, 1.5, "en")) == [
        {"text": "", "type": "partial", "partial": "one", "start": 1.0, "end": 1.5, "language": "en", "seq": 2}
    ]
    assert sent(protocol.final(segment("One two."), 0.5)) == [
        {
            "type": "transcript",
            "text": "One two.",
            "partial": "",
            "start": 1.0,
            "end": 2.0,
            "words": [{"word": "One", "start": 1.0, "end": 2.0}, {"word": "two.", "start": 1.0, "end": 2.0}],
            "language": "en",
            "confidence": 0.912,
            "lag": 0.5,
            "seq": 3,
        }
    ]
    assert protocol.text(STOP) == [EndOfAudio()]
    closing = protocol.finished(ENDED)
    assert closing[-1] == Close(1000)
    assert sent(closing)[0]["is_final"]


def test_the_python_sdk_configures_by_query_waits_for_nothing_and_ends_with_an_empty_frame() -> None:
    protocol = StreamProtocol({"model": "base", "language": "auto"})

    assert protocol.connected() == [Open({"model": "base", "language": "auto"})]
    assert protocol.binary(b"12") == [Audio(b"12")]
    assert protocol.binary(b"") == [EndOfAudio()]
    assert protocol.started("base") == []
    assert protocol.final(segment("One."), 0.0) == []
    (closing,) = sent(protocol.finished(ENDED))
    assert closing["final"]
    assert closing["text"] == "One."


def test_who_sends_audio_at_once_gets_the_defaults() -> None:
    protocol = StreamProtocol({})

    assert protocol.binary(b"12") == [Open({}), Audio(b"12")]


def test_who_closes_gets_all_that_was_said() -> None:
    protocol = running()
    protocol.binary(b"12")

    assert protocol.left() == [EndOfAudio()]
    assert [message.get("text") for message in sent(protocol.final(segment("One."), 0) + protocol.finished(ENDED))] == [
        "One."
    ]


def test_the_last_message_has_the_last_final_and_the_whole_transcript_and_repeats_nothing() -> None:
    protocol = running()
    before = sent(protocol.final(segment("One."), 0.0))
    protocol.text(STOP)
    during = sent(protocol.final(segment("Two."), 0.5)) + sent(protocol.final(segment("Three."), 0.25))
    (last,) = sent(protocol.finished(ENDED))

    assert [message["text"] for message in [*before, *during, last]] == ["One.", "Two.", "Three."]
    assert [message["lag"] for message in [*before, *during, last]] == [0.0, 0.5, 0.25]
    assert last["transcript"] == "One. Two. Three."
    assert [key for message in [*before, *during] for key in ("is_final", "final") if key in message] == []


def test_the_transcript_of_a_script_without_spaces_has_none() -> None:
    protocol = running()
    for text in ("今天", "很好"):
        protocol.final(replace(segment(text), language="zh"), 0.0)

    assert sent(protocol.finished(ENDED))[0]["transcript"] == "今天很好"


def test_when_all_was_said_before_the_last_message_has_no_text() -> None:
    protocol = running()
    protocol.final(segment("One."), 0.0)
    protocol.text(STOP)

    (last,) = sent(protocol.finished(ENDED))

    assert (last["type"], last["text"], last["partial"], last["transcript"]) == ("done", "", "", "One.")
    assert (last["is_final"], last["final"], last["duration"], last["model"]) == (True, True, 5.0, "base")


def test_a_partial_that_did_not_change_is_not_sent_again() -> None:
    protocol = running()

    assert len(protocol.interim("one", 0, 1, "en")) == 1
    assert protocol.interim("one", 0, 2, "en") == []
    protocol.final(segment("One."), 0)
    assert protocol.interim("", 0, 2, "") == []
    assert len(protocol.interim("one", 0, 2, "en")) == 1


def test_another_configuration_counts_until_audio_has_come() -> None:
    protocol = StreamProtocol({"model": "base"})
    protocol.connected()

    assert protocol.text(b'{"language": "de"}') == [Open({"model": "base", "language": "de"})]
    assert protocol.text(b'{"language": "de"}') == []
    protocol.binary(b"12")
    assert protocol.text(b'{"language": "en"}') == [EndOfAudio()]
    assert sent(protocol.finished(ENDED))[0]["code"] == "already_configured"


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        ({}, {}),
        ({"hotwords": ["Ada", "Grace"]}, {"hotwords": "Ada,Grace"}),
        ({"beam_size": 5, "task": "translate"}, {"beam_size": "5", "task": "translate"}),
        ({"sample_rate": 16000, "encoding": "pcm_s16le", "channels": 1}, {}),
    ],
)
def test_what_a_configuration_may_hold(config: dict[str, Any], fields: dict[str, str]) -> None:
    assert StreamProtocol({}).text(json.dumps(config).encode()) == [Open(fields)]


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"diarize": True}, "diarize"),
        ({"sample_rate": 8000}, "sample_rate"),
        ({"encoding": "opus"}, "encoding"),
        ({"language": None}, "language"),
        ({"language": ["en", 1]}, "language"),
        ({"model": {"id": "base"}}, "model"),
        ({"beam_size": True}, "beam_size"),
        ({"beam_size": 2.5}, "beam_size"),
        ({"prompt": "\ud800"}, "prompt"),
    ],
)
def test_what_it_may_not_is_told(config: dict[str, Any], field: str) -> None:
    protocol = StreamProtocol({})

    actions = protocol.text(json.dumps(config).encode())

    assert sent(actions)[0]["field"] == field
    assert actions[-1] == Close(4400)


@pytest.mark.parametrize(
    ("do", "code"),
    [
        (lambda protocol: protocol.binary(b"123"), "odd_byte_count"),
        (lambda protocol: protocol.binary(bytes(MAX_FRAME_BYTES + 2)), "frame_too_large"),
        (lambda protocol: protocol.text(b" " * (MAX_FRAME_BYTES + 1)), "frame_too_large"),
        (lambda protocol: protocol.text(b"UklGRg=="), "invalid_message"),
        (lambda protocol: protocol.text(b"\xff\xfe\x00\x01"), "invalid_message"),
        (lambda protocol: protocol.text(b"[]"), "invalid_message"),
        (lambda protocol: protocol.text(b"[" * 100_000), "invalid_message"),
        (lambda protocol: protocol.text(b'{"action": "dance"}'), "invalid_field"),
        (lambda protocol: protocol.text(b'{"action": ["stop"]}'), "invalid_field"),
        (lambda protocol: protocol.text(b'{"action": "stop", "now": 1}'), "invalid_field"),
    ],
)
def test_what_is_wrong_ends_the_stream_after_its_finals(
    do: Callable[[StreamProtocol], list[Action]], code: str
) -> None:
    protocol = running()
    protocol.binary(b"12")

    assert do(protocol) == [EndOfAudio()]
    actions = protocol.final(segment("One."), 0.0) + protocol.finished(ENDED)

    assert [message["text"] or message["code"] for message in sent(actions)] == ["One.", code]
    assert sent(actions)[-1]["transcript"] == "One."
    assert actions[-1] == Close(4400)


@pytest.mark.parametrize("fault", Fault)
def test_a_failure_closes_with_its_code(fault: Fault) -> None:
    actions = running().failed(MeshError(fault, "It is so."))

    (message,) = sent(actions)
    assert (message["type"], message["error"], message["code"]) == ("error", "It is so.", fault.value)
    assert ("retry_after" in message) == TABLE[fault].retry
    assert actions[-1] == Close(TABLE[fault].websocket)


def test_flush_and_keepalive() -> None:
    protocol = running()

    assert protocol.text(b'{"action": "flush"}') == []
    protocol.binary(b"12")
    assert protocol.text(b'{"action": "flush"}') == [Flush()]
    assert protocol.text(b'{"action": "keepalive"}') == []


STEPS: dict[str, Callable[[StreamProtocol, int], list[Action]]] = {
    "config": lambda protocol, n: protocol.text(json.dumps({"language": ["en", "de"][n % 2]}).encode()),
    "bad config": lambda protocol, n: protocol.text(b'{"speed": 3}'),
    "audio": lambda protocol, n: protocol.binary(b"ab" * n),
    "odd": lambda protocol, n: protocol.binary(b"abc"),
    "noise": lambda protocol, n: protocol.text(b"\xff\x00noise"),
    "flush": lambda protocol, n: protocol.text(b'{"action": "flush"}'),
    "stop": lambda protocol, n: protocol.text(STOP),
    "left": lambda protocol, n: protocol.left(),
    "idle": lambda protocol, n: protocol.wrong(MeshError(Fault.IDLE, "Nothing came.")),
    "started": lambda protocol, n: protocol.started("base"),
    "final": lambda protocol, n: protocol.final(segment(f"final {n}"), 0.1),
    "interim": lambda protocol, n: protocol.interim(f"interim {n % 5}", 0, 1, "en"),
    "failed": lambda protocol, n: protocol.failed(MeshError(Fault.UNAVAILABLE, "It is gone.")),
    "finished": lambda protocol, n: protocol.finished(ENDED),
}


@settings(max_examples=1000)
@given(
    st.sampled_from([{}, {"model": "base"}, {"language": "xx"}, {"nonsense": "1"}]),
    st.lists(st.sampled_from(sorted(STEPS)), max_size=40),
    st.booleans(),
)
def test_any_sequence_ends_with_one_closing_message_and_sends_every_final_once(
    query: dict[str, str], steps: list[str], fails: bool
) -> None:
    protocol = StreamProtocol(query)
    actions = protocol.connected()
    finals: list[str] = []
    for number, step in enumerate(steps):
        if step == "final" and protocol.phase is not Phase.CLOSED:
            finals.append(f"final {number}")
        actions += STEPS[step](protocol, number)
    # However it came so far, it ends: the client leaves, and recognition says its last word.
    actions += protocol.left()
    actions += protocol.failed(MeshError(Fault.INTERNAL, "No.")) if fails else protocol.finished(ENDED)
    after = [act(protocol, 99) for act in STEPS.values()]

    messages = sent(actions)
    closing = [message for message in messages if message.get("is_final") or message["type"] == "error"]
    assert closing == [messages[-1]]
    assert [action for action in actions if isinstance(action, Close)] == [actions[-1]]
    assert [message["text"] for message in messages if message.get("text")] == finals
    assert messages[-1]["transcript"] == " ".join(finals)
    assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))
    assert after == [[]] * len(STEPS)
    first_audio = next((place for place, action in enumerate(actions) if isinstance(action, Audio)), len(actions))
    assert not any(isinstance(action, Open) for action in actions[first_audio:])
    assert sum(isinstance(action, EndOfAudio) for action in actions) <= 1
