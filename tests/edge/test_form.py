import pytest

from services.edge.form import FIELDS, TASKS, TranscribeOptions, parse_options
from services.edge.offer import Language, ServedModel
from services.runtime.errors import Fault, MeshError

_ENGLISH = (Language("en", "english"),)
_BASE = ServedModel("base", "Whisper Base", "base", (*_ENGLISH, Language("de", "german")), True)
_TURBO = ServedModel("large-v3-turbo", "Turbo", "base", _BASE.languages, True)
_TINY = ServedModel("tiny.en", "Tiny", "tiny.en", _ENGLISH, False)


def _refusal(fields: dict[str, str], *models: ServedModel) -> MeshError:
    with pytest.raises(MeshError) as refused:
        parse_options(fields, models or [_BASE])
    assert (refused.value.fault, refused.value.code) == (Fault.INVALID, "invalid_field")
    return refused.value


def test_the_contracts_defaults() -> None:
    assert parse_options({}, [_BASE, _TURBO]) == TranscribeOptions(
        model="large-v3-turbo",
        language=None,
        diarize=True,
        diarize_asked=False,
        speakers=0,
        response_format="json",
        task="transcribe",
        prompt="",
        hotwords=(),
        beam_size=0,
        word_timestamps=True,
        separate=False,
        summarize=None,
    )


@pytest.mark.parametrize(("text", "separate"), [("mix", False), (" separate ", True)])
def test_channels_are_mixed_or_apart(text: str, separate: bool) -> None:
    assert parse_options({"channels": text}, [_BASE]).separate is separate


@pytest.mark.parametrize("text", ["", "true", "2", "Separate"])
def test_there_is_no_third_way_with_channels(text: str) -> None:
    assert _refusal({"channels": text}).field == "channels"


def test_speakers_are_not_counted_where_each_channel_is_one() -> None:
    assert _refusal({"channels": "separate", "speakers": "2"}).field == "speakers"
    assert parse_options({"channels": "separate", "speakers": "0"}, [_BASE]).separate


@pytest.mark.parametrize("value", ["true", "false"])
def test_who_speaks_of_speakers_has_asked(value: str) -> None:
    assert parse_options({"diarize": value}, [_BASE]).diarize_asked


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


@pytest.mark.parametrize("task", TASKS)
def test_a_model_that_can_translate_takes_either_task(task: str) -> None:
    assert parse_options({"task": task}, [_BASE]).task == task


@pytest.mark.parametrize("text", ["", "translation", "Translate", "summarize"])
def test_an_unknown_task_is_refused_with_the_known_ones(text: str) -> None:
    refused = _refusal({"task": text})

    assert refused.field == "task"
    assert "transcribe, translate" in refused.message


def test_a_model_that_cannot_translate_refuses_to_and_names_those_that_can() -> None:
    refused = _refusal({"model": "tiny.en", "task": "translate"}, _BASE, _TINY, _TURBO)

    assert refused.field == "task"
    assert "tiny.en cannot translate" in refused.message
    assert "base, large-v3-turbo" in refused.message


def test_where_no_model_can_translate_none_is_named() -> None:
    refused = _refusal({"task": "translate"}, _TINY)

    assert refused.field == "task"
    assert refused.message.endswith("must be transcribe.")


def test_a_model_that_cannot_translate_transcribes() -> None:
    assert parse_options({"task": "transcribe"}, [_TINY]).task == "transcribe"


@pytest.mark.parametrize("text", ["Minutes of the board, with Ms Nguyễn.", "一" * 2000, "a, b\nc"])
def test_a_prompt_is_taken_as_it_is(text: str) -> None:
    assert parse_options({"prompt": f" {text}\n"}, [_BASE]).prompt == text


def test_a_prompt_that_is_too_long_is_refused() -> None:
    refused = _refusal({"prompt": "一" * 2001})

    assert refused.field == "prompt"
    assert "up to 2000 characters" in refused.message


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("", ()),
        (" , ,, ", ()),
        ("Speechmesh", ("Speechmesh",)),
        ("Ada Lovelace,,gRPC , Łódź,", ("Ada Lovelace", "gRPC", "Łódź")),
        (",".join(["x"] * 100) + ",,", ("x",) * 100),
        ("一" * 2000 + "," + "x" * 2000, ("一" * 2000, "x" * 2000)),
    ],
)
def test_hotwords_are_phrases_between_commas(text: str, phrases: tuple[str, ...]) -> None:
    assert parse_options({"hotwords": text}, [_BASE]).hotwords == phrases


@pytest.mark.parametrize("text", [",".join(["x"] * 101), "short," + "x" * 2001])
def test_hotwords_that_are_too_many_or_too_long_are_refused(text: str) -> None:
    refused = _refusal({"hotwords": text})

    assert refused.field == "hotwords"
    assert "100 phrases" in refused.message
    assert "2000 characters" in refused.message


@pytest.mark.parametrize(("text", "value"), [("1", 1), (" 5 ", 5), ("10", 10)])
def test_the_beam_has_its_size(text: str, value: int) -> None:
    assert parse_options({"beam_size": text}, [_BASE]).beam_size == value


@pytest.mark.parametrize("text", ["0", "11", "", "-1", "2.5", "five", "٣", "1_0"])
def test_only_whole_numbers_from_1_to_10_are_a_beam_size(text: str) -> None:
    refused = _refusal({"beam_size": text})

    assert refused.field == "beam_size"
    assert "from 1 to 10" in refused.message


def test_word_times_can_be_left_out_of_verbose_json() -> None:
    fields = {"word_timestamps": "false", "response_format": "verbose_json"}

    assert parse_options(fields, [_BASE]).word_timestamps is False


@pytest.mark.parametrize("response_format", ["json", "txt", "text", "srt", "vtt"])
def test_word_times_cannot_be_left_out_of_other_formats(response_format: str) -> None:
    refused = _refusal({"word_timestamps": "false", "response_format": response_format})

    assert refused.field == "word_timestamps"
    assert "verbose_json" in refused.message
    assert parse_options({"word_timestamps": "true", "response_format": response_format}, [_BASE]).word_timestamps


def test_word_times_cannot_be_left_out_of_the_default_format() -> None:
    assert _refusal({"word_timestamps": "no"}).field == "word_timestamps"


@pytest.mark.parametrize("response_format", ["json", "verbose_json"])
@pytest.mark.parametrize(("text", "style"), [("brief", "brief"), (" bullets ", "bullet_points")])
def test_a_summary_comes_with_json(response_format: str, text: str, style: str) -> None:
    assert parse_options({"summarize": text, "response_format": response_format}, [_BASE]).summarize == style


def test_a_summary_comes_with_the_default_format() -> None:
    assert parse_options({"summarize": "headline"}, [_BASE]).summarize == "headline"


@pytest.mark.parametrize("text", ["", "true", "poem"])
def test_a_style_that_there_is_not_is_refused_with_those_that_there_are(text: str) -> None:
    refused = _refusal({"summarize": text})

    assert refused.field == "summarize"
    assert "brief, detailed, action_items, bullet_points, headline, bullets" in refused.message


@pytest.mark.parametrize("response_format", ["txt", "text", "srt", "vtt"])
def test_no_other_format_has_a_place_for_a_summary(response_format: str) -> None:
    refused = _refusal({"summarize": "brief", "response_format": response_format})

    assert refused.field == "summarize"
    assert "json or verbose_json" in refused.message


@pytest.mark.parametrize("field", ["diarize", "word_timestamps"])
def test_what_is_neither_true_nor_false_is_refused_under_the_fields_own_name(field: str) -> None:
    refused = _refusal({field: "maybe"})

    assert refused.field == field
    assert f"'{field}' must be true or false" in refused.message


def test_the_longest_allowed_values_fit_into_what_is_read_of_a_field() -> None:
    longest = {"prompt": "𝄞" * 2000, "hotwords": ", ".join(["𝄞" * 2000] * 100)}

    parse_options(longest, [_BASE])
    assert all(len(value.encode()) <= FIELDS[name] for name, value in longest.items())
