"""A transcript as lines for people. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield `[00:01.2 → 00:04.8] Speaker 1: text` for each segment of a JSON answer."""
    long = float(answer.get("duration") or 0.0) >= 3600
    for segment in answer.get("segments") or ():
        span = f"[{clock(segment['start'], long)} → {clock(segment['end'], long)}]"
        speaker = segment.get("speaker")
        yield (f"{span} {speaker}: {segment['text'].strip()}" if speaker else f"{span} {segment['text'].strip()}")


def summary_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield the summary of a JSON answer under a heading, a blank line before both; nothing where there is none."""
    if summary := answer.get("summary"):
        yield from ("", "Summary:", *str(summary).splitlines())


def warning_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield the sentences that a JSON answer warns with; codes, which are for programs, are left out."""
    for warning in answer.get("warnings") or ():
        if " " in str(warning):
            yield f"Warning: {warning}"


def headline(answer: Mapping[str, Any]) -> str:
    """Return the language, the duration, the model and the number of speakers in one line."""
    facts = [str(answer.get("language") or "no speech")]
    duration = float(answer.get("duration") or 0.0)
    facts.append(clock(duration, duration >= 3600))
    if answer.get("model"):
        facts.append(str(answer["model"]))
    if speakers := len(answer.get("speakers") or ()):
        facts.append(f"{speakers} speaker{'s' if speakers > 1 else ''}")
    return " · ".join(facts)


def clock(seconds: float, with_hours: bool = False) -> str:
    """Return `MM:SS.t`, or `H:MM:SS.t`, rounded to tenths of a second."""
    # Rounded before it is divided: 59.96 s is a minute, not 60.0 seconds.
    tenths = round(max(0.0, seconds) * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60) if with_hours or minutes >= 60 else (0, minutes)
    text = f"{minutes:02d}:{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{text}" if with_hours or hours else text
