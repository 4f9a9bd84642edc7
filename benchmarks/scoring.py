"""Scores of transcripts: WER and CER, cpWER and ORC-WER (meeteval), DER (pyannote.metrics). Pure.

Texts are normalised first, as Whisper's authors do (Radford et al. 2022, appendix C):
`EnglishTextNormalizer` for English, `BasicTextNormalizer` otherwise. All averages are micro-averages:
errors over reference words, summed over files.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from meeteval.io import SegLST
from meeteval.wer import (
    ErrorRate,
    cp_word_error_rate,
    greedy_orc_word_error_rate,
    siso_word_error_rate,
    time_constrained_minimum_permutation_word_error_rate,
)
from pyannote.core import Annotation, Timeline
from pyannote.core import Segment as Span
from pyannote.metrics.diarization import DiarizationErrorRate
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

CHARACTER_LANGUAGES = frozenset({"ja", "ko", "th", "yue", "zh"})
"""Languages scored by character: words are not parted by spaces, or not dependably."""

MARK_LANGUAGES = frozenset({"bn", "gu", "hi", "kn", "ml", "mr", "ne", "pa", "sa", "si", "ta", "te"})
"""Languages whose vowel signs are marks, which the basic normaliser would otherwise take out of the words."""


@dataclass(frozen=True)
class Utterance:
    """What one speaker says in one go."""

    speaker: str
    words: str
    start: float = 0.0
    """Seconds."""
    end: float = 0.0
    """Seconds."""


@dataclass(frozen=True)
class Tally:
    """Errors against a reference; tallies add up to a micro-average."""

    errors: int = 0
    length: int = 0
    """Words (or characters) of the reference."""
    insertions: int = 0
    deletions: int = 0
    substitutions: int = 0

    @property
    def rate(self) -> float | None:
        """Errors over reference length in percent; None without a reference."""
        return 100.0 * self.errors / self.length if self.length else None

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.errors + other.errors,
            self.length + other.length,
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.substitutions + other.substitutions,
        )


@dataclass(frozen=True)
class Turns:
    """Seconds of diarization error; adds up to a micro-average."""

    total: float = 0.0
    """Seconds of reference speech, overlap counted for each speaker."""
    false_alarm: float = 0.0
    missed: float = 0.0
    confusion: float = 0.0

    @property
    def rate(self) -> float | None:
        """Diarization error rate in percent; None without reference speech."""
        wrong = self.false_alarm + self.missed + self.confusion
        return 100.0 * wrong / self.total if self.total else None

    def __add__(self, other: "Turns") -> "Turns":
        return Turns(
            self.total + other.total,
            self.false_alarm + other.false_alarm,
            self.missed + other.missed,
            self.confusion + other.confusion,
        )


@cache
def normaliser(language: str | None) -> Callable[[str], str]:
    """Return what makes texts of a language comparable; None stands for several or unknown ones."""
    if language == "en":
        normalise: Callable[[str], str] = EnglishTextNormalizer()
    else:
        normalise = BasicTextNormalizer(preserve_marks=language in MARK_LANGUAGES)
    return lambda text: " ".join(normalise(text).split())


def word_errors(reference: str, hypothesis: str, language: str | None) -> Tally:
    """Return the word errors, or the character errors in `CHARACTER_LANGUAGES`, of normalised texts."""
    normalise = normaliser(language)
    texts = [normalise(reference), normalise(hypothesis)]
    if language in CHARACTER_LANGUAGES:
        texts = [" ".join(text.replace(" ", "")) for text in texts]
    return _tally(siso_word_error_rate(*texts))


def invented_words(hypothesis: str, language: str | None) -> int:
    """Return how many words a transcript of no speech has."""
    # The English normaliser leaves single dots behind.
    return sum(any(c.isalnum() for c in word) for word in normaliser(language)(hypothesis).split())


def attributed_errors(
    reference: Sequence[Utterance], hypothesis: Sequence[Utterance], language: str | None
) -> tuple[Tally, Tally]:
    """Return the errors of cpWER and of ORC-WER.

    cpWER counts a word at the wrong speaker as an error, ORC-WER does not: their difference is the cost of
    attribution. ORC-WER is meeteval's greedy one, an upper bound that is nearly always exact; the exact
    one takes time exponential in the number of speakers.
    """
    texts = [_seglst(side, normaliser(language)) for side in (reference, hypothesis)]
    return _tally(cp_word_error_rate(*texts)), _tally(greedy_orc_word_error_rate(*texts))


def timed_errors(reference: Sequence[Utterance], hypothesis: Sequence[Utterance], language: str | None) -> Tally:
    """Return the errors of tcpWER: those of cpWER when a word also has to be said within 5 s of its time.

    Words have times here only by their utterance, over which they are spread by their length, as meeteval does.
    """
    texts = [_seglst(side, normaliser(language)) for side in (reference, hypothesis)]
    return _tally(time_constrained_minimum_permutation_word_error_rate(*texts, collar=5))


def turn_errors(
    reference: Iterable[Utterance], hypothesis: Iterable[Utterance], duration: float, collar: float = 0.0
) -> Turns:
    """Return the diarization errors, with overlap scored, over the whole recording.

    Args:
        reference: who spoke when.
        hypothesis: who is said to have.
        duration: of the recording in seconds.
        collar: seconds on either side of an edge of the reference that are not scored.
    """
    # pyannote.metrics counts both sides together.
    metric = DiarizationErrorRate(collar=2 * collar, skip_overlap=False)
    scores = metric(
        _annotation(reference),
        _annotation(hypothesis),
        uem=Timeline([Span(0.0, duration)]),
        detailed=True,
    )
    return Turns(scores["total"], scores["false alarm"], scores["missed detection"], scores["confusion"])


def utterances_of(answer: Mapping[str, Any]) -> list[Utterance]:
    """Return the segments of a JSON answer; those whose speaker is unknown are together one more speaker."""
    return [
        Utterance(segment.get("speaker") or "unknown", segment["text"], segment["start"], segment["end"])
        for segment in answer["segments"]
    ]


def parse_stm(text: str) -> list[Utterance]:
    """Return the lines of an STM file: recording, channel, speaker, start, end, optional <label>, words."""
    utterances: list[Utterance] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith(";;"):
            continue
        _, _, speaker, start, end, *rest = line.split(maxsplit=5)
        words = rest[0] if rest else ""
        if words.startswith("<"):
            words = words.partition(">")[2]
        utterances.append(Utterance(speaker, words.strip(), float(start), float(end)))
    return utterances


def parse_rttm(text: str) -> list[Utterance]:
    """Return the SPEAKER lines of an RTTM file, without words."""
    lines = (line.split() for line in text.splitlines())
    turns = (line for line in lines if line and line[0] == "SPEAKER")
    return [Utterance(line[7], "", float(line[3]), float(line[3]) + float(line[4])) for line in turns]


def broken_laws(answer: Mapping[str, Any]) -> int:
    """Return how many times of a JSON answer run backwards or lie outside the file."""
    edges = [0.0]
    for segment in answer["segments"]:
        inner = [time for word in segment["words"] for time in (word["start"], word["end"])]
        edges += [segment["start"], *inner, segment["end"]]
    edges.append(answer["duration"])
    return sum(before > after for before, after in pairwise(edges))


def _tally(rate: ErrorRate) -> Tally:
    return Tally(rate.errors, rate.length, rate.insertions, rate.deletions, rate.substitutions)


def _seglst(utterances: Sequence[Utterance], normalise: Callable[[str], str]) -> SegLST:
    return SegLST(
        [
            {
                "session_id": "recording",
                "speaker": utterance.speaker,
                "words": normalise(utterance.words),
                "start_time": utterance.start,
                "end_time": utterance.end,
            }
            for utterance in utterances
        ]
    )


def _annotation(utterances: Iterable[Utterance]) -> Annotation:
    annotation = Annotation()
    for number, utterance in enumerate(utterances):
        if utterance.end > utterance.start:
            annotation[Span(utterance.start, utterance.end), number] = utterance.speaker
    return annotation
