import pytest

from services.asr.engine import Task
from services.asr.options import (
    LARGEST_BEAM,
    LONGEST_TEXT,
    MOST_HINT_PHRASES,
    RecognitionOptions,
    check,
)
from services.runtime.errors import Fault, MeshError
from tests.asr.fake_engine import FakeEngine

ENGLISH = FakeEngine("tiny.en", ("en",))
MANY = FakeEngine("base", ("en", "de"))


class Remembering(FakeEngine):
    """Remembers the text that it was to make a context of."""

    text = ""

    def context(self, text: str) -> tuple[int, ...]:
        self.text = text
        return super().context(text)


def test_by_default_everything_is_allowed_and_there_is_no_context() -> None:
    assert check(RecognitionOptions(), ENGLISH) == ()


@pytest.mark.parametrize(
    "options",
    [
        RecognitionOptions(language="de"),
        RecognitionOptions(task=Task.TRANSLATE),
        RecognitionOptions(beam_size=1),
        RecognitionOptions(beam_size=LARGEST_BEAM),
        RecognitionOptions(hint_phrases=("word",) * MOST_HINT_PHRASES),
        RecognitionOptions(initial_prompt="a " * FakeEngine.longest_context),
        RecognitionOptions(initial_prompt="x" * LONGEST_TEXT, hint_phrases=("x" * LONGEST_TEXT,)),
    ],
)
def test_what_the_model_can_do_is_allowed_up_to_every_limit(options: RecognitionOptions) -> None:
    check(options, MANY)


@pytest.mark.parametrize(
    ("options", "field", "message"),
    [
        (RecognitionOptions(language="de"), "language", r"tiny\.en does not know 'de'; it knows: en"),
        (RecognitionOptions(language=""), "language", r"does not know ''"),
        (RecognitionOptions(language="EN"), "language", r"does not know 'EN'"),
        (RecognitionOptions(task=Task.TRANSLATE), "task", r"tiny\.en cannot translate"),
        (RecognitionOptions(beam_size=0), "beam_size", "from 1 to 10"),
        (RecognitionOptions(beam_size=-1), "beam_size", "from 1 to 10"),
        (RecognitionOptions(beam_size=LARGEST_BEAM + 1), "beam_size", "from 1 to 10"),
        (RecognitionOptions(hint_phrases=("a",) * (MOST_HINT_PHRASES + 1)), "hint_phrases", "At most 100"),
        (RecognitionOptions(hint_phrases=("a", "b" * (LONGEST_TEXT + 1))), "hint_phrases", "up to 2000 characters"),
        (RecognitionOptions(initial_prompt="b" * (LONGEST_TEXT + 1)), "initial_prompt", "up to 2000 characters"),
        (RecognitionOptions(initial_prompt="a " * 224), "initial_prompt", "224 tokens.*takes 223"),
        (RecognitionOptions(hint_phrases=("a " * 300,)), "hint_phrases", "300 tokens.*takes 223"),
        (
            RecognitionOptions(initial_prompt="a", hint_phrases=("a " * 300,)),
            "initial_prompt",
            "have 301 tokens together",
        ),
    ],
)
def test_what_it_cannot_do_is_refused_with_the_name_of_the_field(
    options: RecognitionOptions, field: str, message: str
) -> None:
    with pytest.raises(MeshError, match=message) as refused:
        check(options, ENGLISH)

    assert (refused.value.fault, refused.value.field) == (Fault.INVALID, field)


@pytest.mark.parametrize(
    ("prompt", "hints", "text"),
    [
        ("", (), ""),
        ("A talk.", (), "A talk."),
        ("", ("Ada", " Babbage "), "Ada, Babbage. "),
        ("A talk.", ("Ada", "", "  ", "Babbage"), "Ada, Babbage. A talk."),
        ("A talk.", (" ",), "A talk."),
    ],
)
def test_the_callers_own_text_stands_nearest_to_the_recording(prompt: str, hints: tuple[str, ...], text: str) -> None:
    engine = Remembering()

    context = check(RecognitionOptions(initial_prompt=prompt, hint_phrases=hints), engine)

    assert engine.text == text
    assert len(context) == len(text.split())
