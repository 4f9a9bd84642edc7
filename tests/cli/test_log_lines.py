from hypothesis import given
from hypothesis import strategies as st

from services.cli.log_lines import LineSplitter


def test_lines_are_put_together_from_chunks() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntw") == ["one"]
    assert splitter.feed(b"o\r\n\nthree") == ["two", ""]
    assert splitter.finish() == ["three"]
    assert splitter.finish() == []


def test_a_line_without_end_comes_in_pieces() -> None:
    splitter = LineSplitter(max_line_bytes=4)
    assert splitter.feed(b"abcdefghij") == ["abcd", "efgh"]
    assert splitter.feed(b"kl\nmn") == ["ijkl"]
    assert splitter.finish() == ["mn"]


def test_bytes_that_are_no_text_are_shown_as_what_they_are() -> None:
    assert LineSplitter().feed(b"\xff\xfe caf\xc3\xa9\n") == ["\\xff\\xfe café"]


def test_escape_sequences_do_not_reach_the_terminal() -> None:
    assert LineSplitter().feed(b"\x1b[2J\x07a\tb\x7f\xc2\x9b1m\n") == ["\\x1b[2J\\x07a\tb\\x7f\\x9b1m"]


def test_of_a_progress_bar_the_last_drawing_is_shown() -> None:
    assert LineSplitter().feed(b"  1%\r 50%\r100%\n") == ["100%"]


@given(st.lists(st.binary(max_size=60), max_size=20), st.integers(1, 30))
def test_what_is_held_back_stays_small_and_lines_hold_no_control_characters(chunks: list[bytes], longest: int) -> None:
    splitter = LineSplitter(max_line_bytes=longest)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.finish()
    assert all(char == "\t" or (ord(char) >= 32 and not 127 <= ord(char) < 160) for line in lines for char in line)
    # Each byte shows as four characters at most.
    assert all(len(line) <= 4 * longest for line in lines)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_how_the_output_was_chunked_makes_no_difference(chunks: list[bytes]) -> None:
    apart, together = LineSplitter(), LineSplitter()
    lines = [line for chunk in chunks for line in apart.feed(chunk)] + apart.finish()
    assert lines == together.feed(b"".join(chunks)) + together.finish()
