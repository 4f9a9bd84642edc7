"""A transcript in the formats that callers ask for: json, verbose_json, txt, srt and vtt. Pure.

`json` is the public contract and little else; `verbose_json` adds what the model knew about each segment
and word. The subtitle files are written by the `srt` and `webvtt-py` packages; what those leave to their
caller is done here and in `captions`: no blank lines and no "-->" in the text, characters escaped for WebVTT,
cues that last and do not overlap.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any, Final

import srt
import webvtt

from services.edge.captions import captions, plain
from services.edge.summary import details_json
from services.edge.transcript import Segment, Suppressed, Transcript, Word
from services.runtime.errors import MeshError, invalid_field

CHARSET: Final = "utf-8"
"""Of every body."""

JSON: Final = "application/json"
"""Media type of a body that is not a text."""

ALIASES: Final = {"text": "txt"}
"""Other names of formats."""

UNKNOWN_SPEAKER: Final = "Unknown"
"""What the txt dialogue calls a speaker whom nobody knows."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Rendered:
    """A body and how to label it."""

    body: Json | str
    """A value for a JSON encoder, or the whole text."""
    content_type: str
    """Media type without parameters; the charset is `CHARSET`."""


def render(transcript: Transcript, response_format: str) -> Rendered:
    """Write the transcript in one of `FORMATS` or `ALIASES`.

    Raises:
        MeshError: the format is none of them; names the field `response_format`.
    """
    name = ALIASES.get(response_format, response_format)
    if name not in _WRITERS:
        raise invalid_field("response_format", f"The field 'response_format' must be one of {', '.join(FORMATS)}.")
    content_type, write = _WRITERS[name]
    return Rendered(write(transcript), content_type)


def as_json(transcript: Transcript) -> Json:
    """Return the answer of the public contract, plus the id of the model that ran and the summary if one was asked
    for.
    """
    return {
        "text": transcript.text,
        "language": transcript.language,
        "duration": seconds_json(transcript.duration),
        "segments": [
            {**_segment(transcript, segment), "words": [word_json(word) for word in segment.words]}
            for segment in transcript.segments
        ],
        "speakers": list(transcript.speakers) if transcript.diarized else [],
        "model": transcript.model,
        **({"warnings": list(transcript.warnings)} if transcript.warnings else {}),
        **_summary(transcript),
    }


def as_verbose_json(transcript: Transcript) -> Json:
    """Return `as_json` with all that is known about segments and words, and the texts that were held back.

    Field names are OpenAI's where it has them. Without word times there is no `words` key.
    """
    segments = [
        {
            "id": number,
            **_segment(transcript, segment),
            **_verbose_words(transcript, segment),
            "language": segment.language,
            "language_probability": _rounded(segment.language_probability),
            "avg_logprob": _rounded(segment.average_log_probability),
            "no_speech_prob": _rounded(segment.no_speech_probability),
            "compression_ratio": _rounded(segment.compression_ratio),
        }
        for number, segment in enumerate(transcript.segments)
    ]
    return {
        "task": transcript.task,
        **as_json(transcript),
        "language_probability": _rounded(transcript.language_probability),
        "segments": segments,
        "suppressed": [suppressed_json(suppressed) for suppressed in transcript.suppressed],
    }


def as_text(transcript: Transcript) -> str:
    """Return plain lines: one a segment, or, where speakers are known, one a turn, as in a play."""
    spoken = [segment for segment in transcript.segments if plain(segment.text)]
    if not transcript.diarized or not transcript.speakers:
        return "".join(f"{plain(segment.text)}\n" for segment in spoken)
    turns = groupby(spoken, lambda segment: segment.speaker)
    return "".join(
        f"{_name(transcript, speaker) or UNKNOWN_SPEAKER}: {plain(transcript.joined(segments))}\n"
        for speaker, segments in turns
    )


def as_srt(transcript: Transcript) -> str:
    """Return SubRip subtitles; where the speaker is known, his name stands before each cue."""
    prefixes = [f"{name}:" for name in transcript.speakers] if transcript.diarized else []
    subtitles = [
        srt.Subtitle(
            number,
            timedelta(milliseconds=cue.start),
            timedelta(milliseconds=cue.end),
            # SubRip knows no escapes, and a reader may take this mark for a new cue's times.
            "\n".join(cue.lines).replace("-->", "→"),
        )
        for number, cue in enumerate(captions(transcript.segments, transcript.duration, prefixes), start=1)
    ]
    return str(srt.compose(subtitles, reindex=False))


def as_vtt(transcript: Transcript) -> str:
    """Return WebVTT captions; where the speaker is known, each cue is in his voice tag."""
    cues: list[webvtt.Caption] = []
    for cue in captions(transcript.segments, transcript.duration):
        name = _name(transcript, cue.speaker)
        # A voice span that fills its cue needs no end tag.
        voice = f"<v {_escaped(name)}>" if name else ""
        times = (_timestamp(cue.start), _timestamp(cue.end))
        cues.append(webvtt.Caption(*times, voice + _escaped("\n".join(cue.lines))))
    # The package ends a file without cues after its first line; the blank line that ends the header is ours.
    return str(webvtt.WebVTT(captions=cues).content) if cues else "WEBVTT\n\n"


def _name(transcript: Transcript, speaker: int | None) -> str | None:
    if not transcript.diarized or speaker is None:
        return None
    return plain(transcript.speakers[speaker])


def _summary(transcript: Transcript) -> Json:
    if not transcript.summary_asked:
        return {}
    summary = transcript.summary
    if summary is None:
        return {"summary": None, "summary_details": None}
    return {"summary": summary.text, "summary_details": details_json(summary, with_sources=True)}


def _segment(transcript: Transcript, segment: Segment) -> Json:
    speaker = {"speaker": _name(transcript, segment.speaker)} if transcript.diarized else {}
    return {
        "start": seconds_json(segment.start),
        "end": seconds_json(segment.end),
        "text": segment.text,
        **speaker,
        **({} if segment.channel is None else {"channel": segment.channel}),
        "confidence": _rounded(segment.confidence),
    }


def word_json(word: Word) -> Json:
    """Return a word as the contract's JSON has it."""
    return {"word": word.text.strip(), "start": seconds_json(word.start), "end": seconds_json(word.end)}


def _verbose_words(transcript: Transcript, segment: Segment) -> Json:
    if not transcript.word_timestamps:
        return {}
    return {"words": [_verbose_word(transcript, word) for word in segment.words]}


def _verbose_word(transcript: Transcript, word: Word) -> Json:
    said = {**word_json(word), "probability": _rounded(word.probability)}
    if not transcript.diarized:
        return said
    confidence = None if word.speaker_confidence is None else _rounded(word.speaker_confidence)
    speaker = {"speaker": _name(transcript, word.speaker), "speaker_confidence": confidence}
    return {**said, **speaker, "overlap": word.overlap}


def suppressed_json(suppressed: Suppressed) -> Json:
    """Return a text that was held back, as JSON."""
    return {
        "start": seconds_json(suppressed.start),
        "end": seconds_json(suppressed.end),
        "text": suppressed.text,
        "reason": suppressed.reason,
    }


def error_json(error: MeshError) -> Json:
    """Return the JSON form of `error`: a readable sentence, a code, and the field if one is wrong."""
    body: Json = {"error": error.message, "code": error.code}
    if error.field:
        body["field"] = error.field
    return body


def seconds_json(value: float) -> float:
    """Return seconds to the millisecond. Rounding never turns an order round, so the laws of times hold."""
    return round(value, 3)


def _rounded(value: float) -> float:
    return round(value, 4)


def _timestamp(milliseconds: int) -> str:
    """Return a WebVTT time, with as many digits of hours as it takes."""
    seconds, fraction = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}.{fraction:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_WRITERS: Final[dict[str, tuple[str, Callable[[Transcript], Json | str]]]] = {
    "json": (JSON, as_json),
    "verbose_json": (JSON, as_verbose_json),
    "txt": ("text/plain", as_text),
    "srt": ("application/x-subrip", as_srt),
    "vtt": ("text/vtt", as_vtt),
}

FORMATS: Final = tuple(_WRITERS)
"""What `render` can write."""
