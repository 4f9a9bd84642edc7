"""The fields of POST /v1/transcribe: text in, checked options out. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from services.edge.offer import ServedModel
from services.edge.render import ALIASES, FORMATS
from services.edge.summary import parse_style
from services.runtime.errors import invalid_field

T = TypeVar("T")

DEFAULT_MODEL = "large-v3-turbo"
MAX_SPEAKERS = 50
MAX_BEAM = 10
MAX_HOTWORDS = 100
MAX_TEXT = 2000
"""Characters of a prompt, or of one hotword."""

CHANNELS = ("mix", "separate")
"""Whether all channels are heard as one, or each by itself, as in a recorded call with a speaker on either side."""

TASKS = ("transcribe", "translate")
"""What the text may be in: the language that is spoken, or English."""

_BOOLEANS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


@dataclass(frozen=True)
class TranscribeOptions:
    """What a caller wants of a recording."""

    model: str
    """Id of a served model."""
    language: str | None
    """Language code, or None to detect it."""
    diarize: bool
    diarize_asked: bool
    """Whether the caller said so himself. Where not, a transcript without speakers is better than none."""
    speakers: int
    """Expected number of speakers; 0 to find out."""
    response_format: str
    """One of `render.FORMATS`."""
    task: str
    """One of `TASKS`."""
    prompt: str
    """Text that might have preceded the recording; up to `MAX_TEXT` characters."""
    hotwords: tuple[str, ...]
    """Words and names that are likely to be said; up to `MAX_HOTWORDS`, none empty or over `MAX_TEXT` characters."""
    beam_size: int
    """1 to `MAX_BEAM`; 0 for asr's own default."""
    word_timestamps: bool
    """Whether the answer has the words with their times; where not, `response_format` is verbose_json."""
    separate: bool = False
    """Whether each channel is transcribed by itself, and is a speaker of its own; then `speakers` is 0."""
    summarize: str | None = None
    """Style of the summary that goes with the transcript, one of `summary.STYLES`; None for no summary. Where there is
    one, `response_format` is json or verbose_json."""


_SHORT_BYTES = 1024
_TEXT_BYTES = 4 * MAX_TEXT  # UTF-8 takes up to four a character

FIELDS = {
    "model": _SHORT_BYTES,
    "language": _SHORT_BYTES,
    "diarize": _SHORT_BYTES,
    "speakers": _SHORT_BYTES,
    "channels": _SHORT_BYTES,
    "response_format": _SHORT_BYTES,
    "task": _SHORT_BYTES,
    "prompt": _TEXT_BYTES + _SHORT_BYTES,
    "hotwords": MAX_HOTWORDS * _TEXT_BYTES + _SHORT_BYTES,
    "beam_size": _SHORT_BYTES,
    "word_timestamps": _SHORT_BYTES,
    "summarize": _SHORT_BYTES,
}
"""The fields beside `file`, each with the bytes beyond which no value is even read."""


def parse_options(fields: Mapping[str, str], models: Sequence[ServedModel]) -> TranscribeOptions:
    """Return the options that `fields` ask for.

    Args:
        fields: the form's text fields as they were sent.
        models: what the deployment serves, the default first.

    Raises:
        MeshError: INVALID; names the field and what is allowed.
    """
    model = _model(fields.get("model"), models)
    options = TranscribeOptions(
        model=model.id,
        language=_language(fields.get("language"), model),
        diarize=_take(fields, "diarize", _boolean, default=True),
        diarize_asked="diarize" in fields,
        speakers=_take(fields, "speakers", _speakers, default=0),
        response_format=_take(fields, "response_format", _response_format, default="json"),
        separate=_take(fields, "channels", _channels, default="mix") == "separate",
        task=_take(fields, "task", _task, default="transcribe"),
        prompt=_take(fields, "prompt", _prompt, default=""),
        hotwords=_take(fields, "hotwords", _hotwords, default=()),
        beam_size=_take(fields, "beam_size", _beam_size, default=0),
        word_timestamps=_take(fields, "word_timestamps", _boolean, default=True),
        summarize=_take(fields, "summarize", parse_style, default=None),
    )
    _refuse_to_count_speakers_of_channels(options)
    _refuse_translation_where_it_is_not_known(options, model, models)
    _refuse_to_leave_out_words_that_a_format_needs(options)
    _refuse_a_summary_for_which_a_format_has_no_place(options)
    return options


def _take(fields: Mapping[str, str], name: str, parse: Callable[[str, str], T], *, default: T) -> T:
    """Return what `parse` makes of the field's name and its value, or `default` where it was not sent."""
    return parse(name, fields[name].strip()) if name in fields else default


def _model(value: str | None, models: Sequence[ServedModel]) -> ServedModel:
    by_id = {model.id: model for model in models}
    if value is None:
        return by_id.get(DEFAULT_MODEL, models[0])
    if value.strip() not in by_id:
        raise invalid_field("model", f"The field 'model' must be one of: {', '.join(by_id)}.")
    return by_id[value.strip()]


def _language(value: str | None, model: ServedModel) -> str | None:
    code = "auto" if value is None else value.strip().lower()
    if code == "auto":
        return None
    known = [language.code for language in model.languages]
    if code not in known:
        raise invalid_field(
            "language",
            f"The field 'language' must be 'auto' or a code that {model.id} knows: {', '.join(known)}.",
        )
    return code


def _boolean(name: str, value: str) -> bool:
    if value.lower() not in _BOOLEANS:
        raise invalid_field(name, f"The field '{name}' must be true or false.")
    return _BOOLEANS[value.lower()]


def _speakers(name: str, value: str) -> int:
    if not _is_whole(value) or int(value) > MAX_SPEAKERS:
        raise invalid_field(name, f"The field '{name}' must be a whole number from 0 (find out) to {MAX_SPEAKERS}.")
    return int(value)


def _beam_size(name: str, value: str) -> int:
    if not _is_whole(value) or not 1 <= int(value) <= MAX_BEAM:
        raise invalid_field(name, f"The field '{name}' must be a whole number from 1 to {MAX_BEAM}.")
    return int(value)


def _is_whole(value: str) -> bool:
    # isdecimal() would take digits of every script; int() takes signs and underscores.
    return re.fullmatch(r"[0-9]{1,3}", value) is not None


def _response_format(name: str, value: str) -> str:
    response_format = ALIASES.get(value, value)
    if response_format not in FORMATS:
        raise invalid_field(name, f"The field '{name}' must be one of: {', '.join([*FORMATS, *ALIASES])}.")
    return response_format


def _channels(name: str, value: str) -> str:
    if value not in CHANNELS:
        raise invalid_field(name, f"The field '{name}' must be one of: {', '.join(CHANNELS)}.")
    return value


def _task(name: str, value: str) -> str:
    if value not in TASKS:
        raise invalid_field(name, f"The field '{name}' must be one of: {', '.join(TASKS)}.")
    return value


def _prompt(name: str, value: str) -> str:
    if len(value) > MAX_TEXT:
        raise invalid_field(name, f"The field '{name}' must be a text of up to {MAX_TEXT} characters.")
    return value


def _hotwords(name: str, value: str) -> tuple[str, ...]:
    phrases = tuple(phrase.strip() for phrase in value.split(",") if phrase.strip())
    if len(phrases) > MAX_HOTWORDS or any(len(phrase) > MAX_TEXT for phrase in phrases):
        raise invalid_field(
            name,
            f"The field '{name}' must be up to {MAX_HOTWORDS} phrases with commas between them, "
            f"each of up to {MAX_TEXT} characters.",
        )
    return phrases


def _refuse_to_count_speakers_of_channels(options: TranscribeOptions) -> None:
    if options.separate and options.speakers:
        raise invalid_field(
            "speakers",
            "The field 'speakers' is not taken where the field 'channels' is separate: then each channel is a speaker.",
        )


def _refuse_translation_where_it_is_not_known(
    options: TranscribeOptions, model: ServedModel, models: Sequence[ServedModel]
) -> None:
    if options.task == "translate" and not model.can_translate:
        able = ", ".join(other.id for other in models if other.can_translate)
        raise invalid_field(
            "task",
            f"The model {model.id} cannot translate: the field 'task' must be transcribe"
            + (f", or the field 'model' one of: {able}." if able else "."),
        )


def _refuse_to_leave_out_words_that_a_format_needs(options: TranscribeOptions) -> None:
    if not options.word_timestamps and options.response_format != "verbose_json":
        raise invalid_field(
            "word_timestamps",
            "The field 'word_timestamps' may only be false where the field 'response_format' is verbose_json.",
        )


def _refuse_a_summary_for_which_a_format_has_no_place(options: TranscribeOptions) -> None:
    if options.summarize is not None and options.response_format not in ("json", "verbose_json"):
        raise invalid_field(
            "summarize",
            "The field 'summarize' is only taken where the field 'response_format' is json or verbose_json.",
        )
