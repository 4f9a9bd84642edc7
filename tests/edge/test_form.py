import pytest

from services.edge.form import TranscribeOptions, parse_options
from services.edge.offer import Language, ServedModel
from services.runtime.errors import MeshError

_ENGLISH = (Language("en", "english"),)
_BASE = ServedModel("base", "Whisper Base", "base", (*_ENGLISH, Language("de", "german")))
_TURBO = ServedModel("large-v3-turbo", "Turbo", "base", _BASE.languages)
_TINY = ServedModel("tiny.en", "Tiny", "tiny.en", _ENGLISH)


def test_the_contracts_defaults() -> None:
    assert parse_options({}, [_BASE, _TURBO]) == TranscribeOptions("large-v3-turbo", None, True, 0, "json")


def test_without_the_contracts_model_the_default_is_the_first_served() -> None:
    assert parse_options({}, [_TINY, _BASE]).model == "tiny.en"


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("ON", True), ("False", False), ("no", False)]
)
def test_booleans_in_the_spellings_that_forms_use(text: str, value: bool) -> None:
    assert parse_options({"diarize": text}, [_BASE]).diarize is value


def test_white_space_around_a_value_does_not_count() -> None:
    options = parse_options({"model": " base ", "language": " De\n", "speakers": " 2 "}, [_BASE])

    assert (options.model, options.language, options.speakers) == ("base", "de", 2)


def test_text_is_another_name_for_txt() -> None:
    assert parse_options({"response_format": "text"}, [_BASE]).response_format == "txt"


def test_the_language_must_be_one_of_the_asked_model() -> None:
    with pytest.raises(MeshError, match=r"tiny\.en knows: en\.") as refused:
        parse_options({"model": "tiny.en", "language": "de"}, [_BASE, _TINY])

    assert refused.value.field == "language"


@pytest.mark.parametrize("text", ["٣", "+2", "1_0", "0x2", "", "1e1", "999999999999"])
def test_only_plain_digits_are_a_number_of_speakers(text: str) -> None:
    with pytest.raises(MeshError) as refused:
        parse_options({"speakers": text}, [_BASE])

    assert refused.value.field == "speakers"
