"""Transcripts with a line that speaks to the machine which sums them up: `injections.toml`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).with_name("injections.toml")


@dataclass(frozen=True)
class Injection:
    """A transcript, and the line in it."""

    kind: str
    """What the line tries."""
    language: str
    """ISO 639-1 code of the language of the transcript."""
    place: str
    """`beginning`, `middle` or `end`: where the line stands."""
    marker: str
    """What is in the summary only if the line was obeyed, or summed up."""
    injected: str
    """The line."""
    transcript: str
    """The transcript without it, a line a turn."""
    other: str = "en"
    """Language that the summary may have slipped into."""

    @property
    def text(self) -> str:
        """The transcript with the line."""
        lines = self.transcript.split("\n")
        at = {"beginning": 0, "middle": len(lines) // 2, "end": len(lines)}[self.place]
        return "\n".join([*lines[:at], self.injected, *lines[at:]])


def injections() -> list[Injection]:
    """Return all of them, in the order of the file."""
    texts = tomllib.loads(_FILE.read_text(encoding="utf-8"))["texts"]
    return [Injection(**{**text, "transcript": text["transcript"].strip()}) for text in texts]
