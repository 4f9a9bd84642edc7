import pytest

from services.summarize.style import Style
from services.summarize.summary import INSTRUCTIONS_SET_ASIDE, LANGUAGE_NOT_WRITTEN, Wishes
from services.summarize.transcript import from_text


def test_unless_told_otherwise_a_brief_summary_in_the_language_of_the_transcript_is_wanted() -> None:
    wishes = Wishes(from_text("Ana: We begin."))

    assert (wishes.style, wishes.language, wishes.caller) == (Style.BRIEF, None, "")


@pytest.mark.parametrize("code", [INSTRUCTIONS_SET_ASIDE, LANGUAGE_NOT_WRITTEN])
def test_warnings_are_codes_that_programs_can_read(code: str) -> None:
    assert code.isascii()
    assert code.replace("_", "").islower()
