"""The recordings that are scored: the sample in pyannote.audio's wheel, and a folder with a manifest."""

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.scoring import Utterance, parse_rttm, parse_stm

SILENT_KINDS = frozenset({"noise", "no-speech"})
"""Kinds of the manifest in which nobody speaks."""


@dataclass(frozen=True)
class Recording:
    """One file and what is known to be in it."""

    id: str
    path: Path
    kind: str
    """As in the manifest: single, synthetic- or real-conversation, two-channel, noise, no-speech."""
    duration: float
    """Seconds."""
    language: str | None
    """ISO 639-1 code; None for several languages or none."""
    speaker_count: int
    transcript: str | None
    utterances: tuple[Utterance, ...] | None
    """Who said what; without times when only the words are known; None when the words are not."""
    turns: tuple[Utterance, ...] | None
    """Who spoke when; None when that is not known."""
    speaker: str | None = None
    """Who speaks, where one does."""

    @property
    def silent(self) -> bool:
        """Whether every word in its transcript is invented."""
        return self.kind in SILENT_KINDS


def wheel_sample() -> Recording:
    """Return the 30 s telephone conversation that pyannote.audio brings along.

    Raises:
        FileNotFoundError: pyannote.audio is not installed.
    """
    # Found without importing it: that takes seconds, and its telemetry is on until told otherwise.
    package = importlib.util.find_spec("pyannote")
    places = package.submodule_search_locations if package and package.submodule_search_locations else []
    for place in places:
        folder = Path(place) / "audio" / "sample"
        if (folder / "sample.wav").exists():
            utterances = tuple(parse_stm((folder / "sample.stm").read_text()))
            turns = tuple(parse_rttm((folder / "sample.rttm").read_text()))
            return Recording(
                "pyannote-sample-wheel",
                folder / "sample.wav",
                "real-conversation",
                30.0,
                "en",
                len({turn.speaker for turn in turns}),
                " ".join(utterance.words for utterance in utterances),
                utterances,
                turns,
            )
    raise FileNotFoundError("pyannote.audio is not installed, so its sample recording is not here.")


def manifest_recordings(folder: Path) -> list[Recording]:
    """Return the recordings that `manifest.json` in the folder lists, in its order."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return [_recording(folder, item) for item in manifest["items"]]


def _recording(folder: Path, item: Mapping[str, Any]) -> Recording:
    language = item.get("language")
    return Recording(
        item["id"],
        folder / item["path"],
        item["kind"],
        float(item["duration_s"]),
        language if isinstance(language, str) else None,
        len(item["speakers"]),
        item.get("transcript"),
        _utterances(folder, item),
        tuple(parse_rttm((folder / item["rttm"]).read_text())) if item.get("rttm") else None,
        item["speakers"][0] if len(item["speakers"]) == 1 else None,
    )


def _utterances(folder: Path, item: Mapping[str, Any]) -> tuple[Utterance, ...] | None:
    if item.get("stm"):
        return tuple(parse_stm((folder / item["stm"]).read_text(encoding="utf-8")))
    by_speaker = item.get("words_by_speaker")
    return tuple(Utterance(speaker, words) for speaker, words in by_speaker.items()) if by_speaker else None
