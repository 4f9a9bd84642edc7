"""The fields of POST /v1/transcribe: text in, checked options out. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from services.edge.offer import ServedModel
from services.edge.render import ALIASES, FORMATS
from services.runtime.errors import invalid_field

T = TypeVar("T")

DEFAULT_MODEL = "large-v3-turbo"
MAX_SPEAKERS = 50

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
    speakers: int
    """Expected number of speakers; 0 to find out."""
    response_format: str
    """One of `render.FORMATS`."""


FIELDS = ("model", "language", "diarize", "speakers", "response_format")
"""The fields beside `file`."""


def parse_options(fields: Mapping[str, str], models: Sequence[ServedModel]) -> TranscribeOptions:
    """Return the options that `fields` ask for.

    Args:
        fields: the form's text fields as they were sent.
        models: what the deployment serves, the default first.

    Raises:
        MeshError: INVALID; names the field and what is allowed.
    """
    model = _model(fields.get("model"), models)
    diarize = _take(fields, "diarize", _boolean, default=True)
    speakers = _take(fields, "speakers", _speakers, default=0)
    return TranscribeOptions(
        model=model.id,
        language=_language(fields.get("language"), model),
        diarize=diarize,
        speakers=speakers,
        response_format=_take(fields, "response_format", _response_format, default="json"),
    )


def _take(fields: Mapping[str, str], name: str, parse: Callable[[str], T], *, default: T) -> T:
    return parse(fields[name].strip()) if name in fields else default


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


def _boolean(value: str) -> bool:
    if value.lower() not in _BOOLEANS:
        raise invalid_field("diarize", "The field 'diarize' must be true or false.")
    return _BOOLEANS[value.lower()]


def _speakers(value: str) -> int:
    # isdecimal() would take digits of every script; int() takes signs and underscores.
    if not re.fullmatch(r"[0-9]{1,3}", value) or int(value) > MAX_SPEAKERS:
        raise invalid_field(
            "speakers", f"The field 'speakers' must be a whole number from 0 (find out) to {MAX_SPEAKERS}."
        )
    return int(value)


def _response_format(value: str) -> str:
    name = ALIASES.get(value, value)
    if name not in FORMATS:
        allowed = ", ".join([*FORMATS, *ALIASES])
        raise invalid_field("response_format", f"The field 'response_format' must be one of: {allowed}.")
    return name
