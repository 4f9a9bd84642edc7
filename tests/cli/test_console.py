import io

from services.cli.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_names_are_aligned() -> None:
    stream = io.StringIO()
    console = Console(["asr", "diarize"], stream)
    console.say("asr", "one")
    console.say("diarize", "two")
    assert stream.getvalue() == "asr     | one\ndiarize | two\n"


def test_a_terminal_gets_colours_unless_it_wants_none() -> None:
    plain, coloured = Terminal(), Terminal()
    Console(["asr"], coloured, {}).say("asr", "one")
    Console(["asr"], plain, {"NO_COLOR": "1"}).say("asr", "one")
    assert coloured.getvalue() == "\033[36masr |\033[0m one\n"
    assert plain.getvalue() == "asr | one\n"


def test_a_stream_that_is_gone_does_no_harm() -> None:
    stream = io.StringIO()
    console = Console(["asr"], stream)
    stream.close()
    console.say("asr", "nobody hears this")
    assert stream.closed
