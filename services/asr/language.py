"""Which language each utterance of a recording is in. Pure.

The model tells for every utterance how probable each language is. Taken one by one these odds flip: a few words, a
name or a quiet stretch are enough. So the recording gets a language first, from as much speech as it takes to be
sure. Then the languages of the utterances are those of the likeliest path through them (Viterbi 1967) on which
every change costs something, and more into a language that nothing before was in: one surprising utterance is not
enough, two in a row or a long and certain one are.

Decisions are made in the order of time and look at nothing else, so they are the same however the windows were
batched.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ENOUGH_SPEECH_SECONDS = 6.0
"""Speech after which a recording's language is settled, when it is also sure."""

SURE = 0.7
"""Probability at which it counts as sure."""

LONGEST_SEARCH_SECONDS = 30.0
"""Speech after which the likeliest language is taken, sure or not."""

SEARCH_SPAN_SECONDS = 30.0
"""Stretch of the recording, from its first speech on, after which it is taken however little speech there was."""

HASTY_SPEECH_SECONDS = 1.0
"""Speech after which a live stream's first words get a language, when it is more probable than all others together.

Of 60 English, French, Spanish, German and Russian clips the likeliest language was right for 75 % after 0.6 s, 92 %
after 1.0 s, and 98 % of those where it had more than 0.5 then; of those with more than 0.9 after 0.6 s for 96 %."""

HASTY_LONGEST_SECONDS = 2.0
"""Speech after which they get one in any case."""

HASTY_SPAN_SECONDS = 4.0
"""Stretch of the stream, from its first speech on, after which they get one however little speech there was."""

NEW_LANGUAGE_COST = 4.2
"""What it costs (in nats) to change into a language that nothing before was in.

More than one utterance of up to three seconds can bring: of 379 English, French, Spanish, German and Russian
stretches of 3 s one was given more than 0.9 for a wrong language, of 146 of 6 s none."""

KNOWN_LANGUAGE_COST = 2.0
"""What it costs to change into a language that something before was in."""

CONVINCING = 0.8
"""Probability that a language must reach in one utterance to be considered at all, if nothing before was in it."""

# Of a single utterance, no odds are lower than one in fifty; of what adds up to a recording's language they are.
_LEAST = 0.02
_NEXT_TO_NOTHING = 1e-6
_FULL_WEIGHT_SECONDS = 1.2
_LONG_SECONDS = 4.0
_LONG_WEIGHT = 2.0
_LIKELY = 0.5
_OBVIOUS = 0.9


@dataclass(frozen=True)
class Heard:
    """What the model says of one utterance."""

    odds: Mapping[str, float]
    """Probability of each language."""
    seconds: float
    """How long it is."""


@dataclass(frozen=True)
class HeardWindow:
    """What the model says of one window."""

    whole: Heard | None
    """Of all of it at once, which is surer; needed until the recording's language is settled."""
    utterances: Sequence[Heard]
    """Of each utterance, in order; not empty."""


@dataclass(frozen=True)
class Decision:
    """The language of an utterance or of several."""

    language: str
    probability: float
    """Of that language there, 0 to 1."""


@dataclass(frozen=True)
class LanguageState:
    """What a hasty tracker knows when the windows before number `decided` are decided on."""

    decided: int = 0
    weighed: int = 0
    """Windows that the evidence comes from; some of them may not be decided on."""
    evidence: Mapping[str, float] = field(default_factory=dict)
    """Weighed log odds of each language."""
    speech: float = 0.0
    """Seconds that they stand for."""
    now: str | None = None
    """The language that was decided on last, once the recording's is settled."""
    known: tuple[str, ...] = ()
    """Languages that something was in."""


class LanguageTracker:
    """Decides for the windows of one recording, each of one utterance or more.

    Windows are numbered from 0. Decisions come in order; some come only when later windows were heard.

    Args:
        hasty: windows are decided on at once, but for the first ones, which wait for a second of speech or a few
            seconds. Until the recording's language is settled, it is the likeliest by all that was heard so far.
        state: where another tracker stood, to go on from there; only a hasty one can.
    """

    def __init__(self, *, hasty: bool = False, state: LanguageState | None = None) -> None:
        state = state or LanguageState()
        self._hasty = hasty
        self._heard: dict[int, HeardWindow] = {}
        self._evidence_count: int | None = None
        self._weighed = state.weighed
        self._decided = state.decided
        self._ready = state.decided > 0
        self._evidence = dict(state.evidence)
        self._speech = state.speech
        self._now = state.now
        self._known = set(state.known)
        # Of a hasty one, what it knew after so many windows.
        self._states = {state.decided: state}

    def state_after(self, count: int) -> LanguageState:
        """Return where a hasty tracker stood when `count` windows were decided on, and forget what was before.

        Raises:
            KeyError: they are not, or that was forgotten.
        """
        self._states = {number: state for number, state in self._states.items() if number >= count}
        return self._states[count]

    @property
    def language(self) -> str | None:
        """The language that was decided on last; the recording's first once that is settled, None before."""
        return self._now

    def guess(self, heard: Heard) -> str | None:
        """Return the likeliest language of speech that is not over yet; None when it is too soon. Changes nothing."""
        if self._now is not None:
            return _likeliest_path([heard], self._now, self._known)[0]
        together = {code: self._evidence.get(code, 0.0) + _gain(heard, code) for code in heard.odds}
        code, probability = _likeliest(together)
        enough = self._speech + heard.seconds >= HASTY_SPEECH_SECONDS and probability >= _LIKELY
        return code if self._ready or enough or heard.odds[code] >= _OBVIOUS else None

    def hear(self, number: int, window: HeardWindow) -> list[list[Decision]]:
        """Take the odds of window `number`; return what is due now: for windows in order, for each utterance."""
        self._heard[number] = window
        return self._decide()

    def settle_by(self, count: int) -> list[list[Decision]]:
        """Take that the recording's language is to be settled by its first `count` windows at the latest: because
        there are no more, or because they are far apart. Return what is due now, as `hear` does.

        To be called before any later window is heard. The first call counts.
        """
        if self._evidence_count is None:
            self._evidence_count = count
        return self._decide()

    def _decide(self) -> list[list[Decision]]:
        # One that goes on may have to decide first on what was weighed before.
        decisions = self._for_now()
        while (
            self._now is None and self._weighed in self._heard and not (self._ready and self._decided < self._weighed)
        ):
            whole = self._heard[self._weighed].whole
            assert whole is not None, "the recording's language is not settled yet"
            self._weigh(whole)
            self._weighed += 1
            self._settle()
            decisions += self._for_now()
        if self._now is None and self._weighed == self._evidence_count:
            self._settle()
            decisions += self._for_now()
        while self._now is not None and self._decided in self._heard:
            utterances = self._heard.pop(self._decided).utterances
            path = _likeliest_path(utterances, self._now, self._known)
            self._known.update(path)
            self._now = path[-1] if path else self._now
            decisions.append(
                [Decision(code, heard.odds.get(code, 0.0)) for code, heard in zip(path, utterances, strict=True)]
            )
            self._decided += 1
            self._remember()
        return decisions

    def _remember(self) -> None:
        if self._hasty:
            known = tuple(sorted(self._known))
            self._states[self._decided] = LanguageState(
                self._decided, self._weighed, dict(self._evidence), self._speech, self._now, known
            )

    def _for_now(self) -> list[list[Decision]]:
        """Return a hasty tracker's decisions on what was weighed, if that is enough to decide on anything."""
        if not self._hasty or self._now is not None or not self._evidence:
            return []
        likeliest, probability = _likeliest(self._evidence)
        self._ready = self._ready or (
            (self._speech >= HASTY_SPEECH_SECONDS and probability >= _LIKELY)
            or self._speech >= HASTY_LONGEST_SECONDS
            or self._weighed == self._evidence_count
        )
        decisions: list[list[Decision]] = []
        while self._ready and self._decided < self._weighed and self._decided in self._heard:
            utterances = self._heard.pop(self._decided).utterances
            self._decided += 1
            self._remember()
            decisions.append([Decision(likeliest, heard.odds.get(likeliest, 0.0)) for heard in utterances])
        return decisions

    def _weigh(self, window: Heard) -> None:
        for language in window.odds:
            self._evidence[language] = self._evidence.get(language, 0.0) + _gain(window, language)
        self._speech += window.seconds

    def _settle(self) -> None:
        if not self._evidence:
            return
        likeliest, probability = _likeliest(self._evidence)
        sure = self._speech >= ENOUGH_SPEECH_SECONDS and probability >= SURE
        # A live stream has no last window after which it would be too late.
        last = self._weighed == self._evidence_count and not self._hasty
        if sure or last or self._speech >= LONGEST_SEARCH_SECONDS:
            self._now = likeliest
            self._known.add(likeliest)


def _likeliest(evidence: Mapping[str, float]) -> tuple[str, float]:
    """Return the likeliest language by log odds, and its probability."""
    likeliest = max(evidence, key=lambda language: evidence[language])
    return likeliest, 1.0 / sum(math.exp(value - evidence[likeliest]) for value in evidence.values())


def _gain(heard: Heard, language: str) -> float:
    return _weight(heard) * math.log(max(heard.odds[language], _NEXT_TO_NOTHING))


def _weight(heard: Heard) -> float:
    """Return how much a stretch of speech says.

    The model is surer than it is right about short ones, so the seconds do not add up; of long ones it is right.
    """
    return _LONG_WEIGHT if heard.seconds >= _LONG_SECONDS else min(1.0, heard.seconds / _FULL_WEIGHT_SECONDS)


def _likeliest_path(utterances: Sequence[Heard], start: str, known: set[str]) -> list[str]:
    """Return the language of each utterance, coming from `start`."""
    convincing = {code for heard in utterances for code, odds in heard.odds.items() if odds >= CONVINCING}
    candidates = sorted({start, *known, *convincing})

    def cost(before: str, after: str) -> float:
        if before == after:
            return 0.0
        return KNOWN_LANGUAGE_COST if after in known else NEW_LANGUAGE_COST

    paths: dict[str, tuple[float, list[str]]] = {start: (0.0, [])}
    for heard in utterances:
        longer: dict[str, tuple[float, list[str]]] = {}
        for code in candidates:
            gained = _weight(heard) * math.log(max(heard.odds.get(code, 0.0), _LEAST))
            came_from = max(paths, key=lambda before: (paths[before][0] - cost(before, code), before == code))
            score, path = paths[came_from]
            longer[code] = (score - cost(came_from, code) + gained, [*path, code])
        paths = longer
    return max(paths.values(), key=lambda scored: scored[0])[1]
