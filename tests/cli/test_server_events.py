import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.server_events import EventParser, ServerEvent


def test_events_have_names_and_data() -> None:
    parser = EventParser()
    assert parser.feed(b'event: progress\ndata: {"ratio":0.5}\n\ndata: x\n\n') == [
        ServerEvent("progress", '{"ratio":0.5}'),
        ServerEvent("message", "x"),
    ]


def test_data_of_several_lines_is_joined_and_the_rest_is_ignored() -> None:
    fields = (b": comment", b"id: 1", b"retry: 5", b"event: result", b"data: a", b"data:b", b"data", b"")
    without_data = (b"event: empty", b"")
    stream = b"".join(line + b"\r\n" for line in (*fields, *without_data))
    assert EventParser().feed(stream) == [ServerEvent("result", "a\nb\n")]


@pytest.mark.parametrize("piece", [b"data: 0123456789", b"data: 012345678\n"])
def test_an_event_without_end_is_refused(piece: bytes) -> None:
    parser = EventParser(max_event_bytes=100)
    for _ in range(6):
        parser.feed(piece)
    with pytest.raises(ValueError, match="no end"):
        parser.feed(piece)


def test_many_small_events_are_no_long_one() -> None:
    parser = EventParser(max_event_bytes=100)
    assert sum(len(parser.feed(b"data: 0123456789\n\n")) for _ in range(100)) == 100


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))), st.integers(1, 7))
def test_how_the_stream_was_chunked_makes_no_difference(texts: list[str], size: int) -> None:
    stream = b"".join(f"event: e\ndata: {text}\n\n".encode() for text in texts)
    parser = EventParser()
    events = [event for at in range(0, len(stream), size) for event in parser.feed(stream[at : at + size])]
    assert [event.data for event in events] == texts
