from services.runtime.errors import TABLE, Fault
from services.summarize.engine import Style, TextTooLong


def test_a_text_too_long_says_how_long_it_is_and_how_much_fits() -> None:
    error = TextTooLong(20_000, 8000)

    assert error.message == "The text has 20000 tokens; up to 8000 fit."
    assert (error.code, error.field) == ("text_too_long", "text")
    assert error.fault is Fault.TOO_LARGE
    assert TABLE[error.fault].grpc == "OUT_OF_RANGE"


def test_two_styles_are_lists() -> None:
    assert {style for style in Style if style.is_list} == {Style.ACTION_ITEMS, Style.BULLET_POINTS}
