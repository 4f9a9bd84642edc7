import math
from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.asr.language import (
    CONVINCING,
    KNOWN_LANGUAGE_COST,
    NEW_LANGUAGE_COST,
    Decision,
    Heard,
    HeardWindow,
    LanguageState,
    LanguageTracker,
)

CODES = ("de", "en", "fr")


def heard(seconds: float = 3.0, **odds: float) -> Heard:
    """Return odds of German, English and French; what is not given is shared among those that are not named."""
    others = [language for language in CODES if language not in odds]
    rest = max(0.0, 1.0 - sum(odds.values())) / len(others) if others else 0.0
    return Heard({**odds, **dict.fromkeys(others, rest)}, seconds)


def whole(seconds: float = 8.0, **odds: float) -> HeardWindow:
    """Return a window of one utterance."""
    return HeardWindow(heard(seconds, **odds), [heard(seconds, **odds)])


ENGLISH = whole(8.0, en=0.9)


def window(*utterances: Heard) -> HeardWindow:
    """Return a window of a recording whose language is settled."""
    return HeardWindow(None, utterances)


def decided(windows: Sequence[HeardWindow]) -> list[list[Decision]]:
    """Return the decisions on windows that are heard in order."""
    tracker = LanguageTracker()
    due = [decisions for number, window in enumerate(windows) for decisions in tracker.hear(number, window)]
    return due + tracker.settle_by(len(windows))


def languages(*windows: HeardWindow) -> str:
    return " ".join(decision.language for decisions in decided(windows) for decision in decisions)


def in_english(*utterances: Heard) -> str:
    """Return the languages of the utterances of one window in an English recording."""
    return " ".join(decision.language for decision in decided([ENGLISH, window(*utterances)])[1])


# --- what language a recording is in ---


def test_an_empty_recording_has_no_language() -> None:
    tracker = LanguageTracker()

    assert tracker.settle_by(0) == []
    assert tracker.language is None


def test_a_sure_window_with_enough_speech_settles_the_recording_at_once() -> None:
    tracker = LanguageTracker()

    assert tracker.hear(0, whole(8.0, de=0.9)) == [[Decision("de", 0.9)]]
    assert tracker.language == "de"


def test_little_speech_settles_nothing_however_sure_it_is() -> None:
    tracker = LanguageTracker()

    assert tracker.hear(0, whole(5.0, de=0.99)) == []
    assert tracker.language is None
    assert tracker.hear(1, whole(5.0, de=0.99)) == [[Decision("de", 0.99)]] * 2


def test_an_unsure_window_waits_for_more_speech() -> None:
    tracker = LanguageTracker()

    assert tracker.hear(0, whole(12.0, de=0.45, en=0.5)) == []
    assert tracker.hear(1, whole(12.0, de=0.9)) == [[Decision("de", 0.45)], [Decision("de", 0.9)]]


def test_after_half_a_minute_the_likeliest_language_is_taken() -> None:
    tracker = LanguageTracker()
    unsure = whole(10.0, en=0.5, de=0.49)

    assert tracker.hear(0, unsure) == []
    assert tracker.hear(1, unsure) == []
    assert tracker.hear(2, unsure) == [[Decision("en", 0.5)]] * 3


def test_the_end_settles_a_short_recording() -> None:
    tracker = LanguageTracker()

    assert tracker.hear(0, whole(1.0, fr=0.6)) == []
    assert tracker.settle_by(1) == [[Decision("fr", 0.6)]]


def test_a_short_recording_may_end_before_it_is_heard() -> None:
    tracker = LanguageTracker()

    assert tracker.settle_by(2) == []
    assert tracker.hear(1, whole(1.0, fr=0.6)) == []
    assert tracker.hear(0, whole(1.0, fr=0.6)) == [[Decision("fr", 0.6)]] * 2


def test_a_word_or_two_count_less_than_a_sentence() -> None:
    assert languages(whole(0.3, en=0.9), whole(3.0, de=0.8)) == "de de"


def test_long_speech_counts_more_than_short() -> None:
    assert languages(whole(2.0, en=0.8), whole(5.0, de=0.7)) == "de de"


def test_a_language_that_is_impossible_in_one_window_can_still_be_the_recordings() -> None:
    windows = [whole(5.0, en=0.65, de=0.0, fr=0.35), *[whole(5.0, de=1.0, en=0.0, fr=0.0)] * 3]

    assert languages(*windows).split()[-1] == "de"


def test_odds_of_next_to_nothing_are_all_alike() -> None:
    windows = [whole(5.0, en=0.65, de=1e-9), whole(5.0, en=1e-7, de=0.999, fr=1e-9)]

    assert languages(*windows) == "de de"


def test_the_whole_window_settles_the_recording_not_its_utterances() -> None:
    doubtful = [heard(0.8, en=0.7), heard(0.8, en=0.7), heard(6.0, de=0.6)]

    assert languages(HeardWindow(heard(8.0, de=0.9), doubtful)) == "de de de"


# --- when an utterance departs from it ---


@pytest.mark.parametrize(
    "odd", [heard(3.0, de=1.0), heard(1.0, de=1.0), heard(30.0, de=0.79), heard(4.0, de=0.8, en=0.2)]
)
def test_a_recording_of_one_language_never_flips(odd: Heard) -> None:
    windows = [window(*[heard(3.0, en=0.97)] * 3, odd, *[heard(3.0, en=0.97)] * number) for number in range(20)]

    assert set(languages(ENGLISH, *windows).split()) == {"en"}


def test_what_is_not_convincing_anywhere_does_not_add_up() -> None:
    assert in_english(*[heard(3.0, de=0.75)] * 10) == " ".join(["en"] * 10)


def test_the_probability_is_that_of_the_language_in_the_utterance() -> None:
    assert decided([ENGLISH, window(heard(3.0, en=0.2, de=0.8))])[1] == [Decision("en", 0.2)]


def test_a_language_without_odds_has_no_probability() -> None:
    assert decided([ENGLISH, window(Heard({"de": 0.9, "fr": 0.1}, 3.0))])[1] == [Decision("en", 0.0)]


def test_two_surprising_utterances_in_a_row_are_of_a_language_of_their_own() -> None:
    odd, usual = heard(3.0, de=0.97), heard(3.0, en=0.97)

    assert in_english(usual, odd, odd, usual) == "en de de en"
    assert in_english(usual, odd, usual, usual, odd) == "en en en en en"


def test_a_long_and_certain_utterance_is_of_a_language_of_its_own() -> None:
    assert in_english(heard(3.0, en=0.97), heard(5.0, de=0.97), heard(3.0, en=0.97)) == "en de en"
    assert in_english(heard(3.0, en=0.97), heard(5.0, de=0.8), heard(3.0, en=0.97)) == "en en en"


def test_it_takes_less_to_return_to_a_language_that_was_spoken_before() -> None:
    once = window(heard(3.0, de=0.95))

    assert languages(ENGLISH, once, whole(8.0, de=0.97), ENGLISH, once, ENGLISH) == "en en de en de en"


def test_the_recordings_own_language_was_spoken_before_even_if_it_begins_with_another() -> None:
    begun = HeardWindow(heard(20.0, en=0.8), [heard(8.0, de=0.97), heard(3.0, en=0.9, de=0.05)])

    assert languages(begun) == "de en"


def test_a_few_words_do_not_return_either() -> None:
    assert languages(ENGLISH, whole(8.0, de=0.97), ENGLISH, window(heard(0.5, de=0.97))) == "en de en en"


def test_a_doubtful_utterance_is_in_the_language_before_it() -> None:
    unsure = window(heard(3.0, de=0.5, en=0.5))

    assert languages(ENGLISH, unsure, whole(8.0, de=0.97), unsure, ENGLISH, unsure) == "en en de de en en"


def test_the_language_is_that_which_was_decided_on_last() -> None:
    tracker = LanguageTracker()
    tracker.hear(0, ENGLISH)
    tracker.hear(1, window(heard(8.0, de=0.97), heard(8.0, fr=0.97)))

    assert tracker.language == "fr"


def test_a_recording_of_three_languages_comes_out_right() -> None:
    spoken = ["en"] * 5 + ["de"] * 4 + ["en"] * 2 + ["fr"] * 6 + ["de", "en", "fr"] * 3
    windows = [whole(6.0, **{language: 0.97}) for language in spoken]

    assert languages(*windows).split() == spoken
    assert languages(whole(8.0, en=0.97), window(*(window.utterances[0] for window in windows))).split()[1:] == spoken


# --- laws ---

shares = st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3)
odds = shares.map(lambda shares: {code: share / sum(shares) for code, share in zip(CODES, shares, strict=True)})
sure = st.sampled_from(CODES).map(lambda code: dict(heard(**{code: 0.97}).odds))
utterances = st.builds(Heard, odds | sure, st.sampled_from([0.4, 1.2, 3.0, 5.0, 12.0]))
windows = st.lists(st.builds(HeardWindow, utterances, st.lists(utterances, min_size=1, max_size=4)), max_size=8)


@given(windows, st.data())
def test_decisions_come_in_order_once_and_whenever_the_windows_are_heard(
    windows: list[HeardWindow], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(windows))))
    end = data.draw(st.integers(0, len(windows)))
    expected = decided(windows)
    tracker = LanguageTracker()
    due: list[list[Decision]] = []
    for step, number in enumerate(order):
        due += tracker.settle_by(len(windows)) if step == end else []
        due += tracker.hear(number, windows[number])
        # What is given out is never taken back.
        assert due == expected[: len(due)]
    due += tracker.settle_by(len(windows)) if end == len(windows) else []

    assert due == expected
    assert [len(decisions) for decisions in due] == [len(window.utterances) for window in windows]


@given(windows)
def test_once_the_recording_is_settled_a_window_is_decided_on_at_once_and_needs_no_odds_of_the_whole(
    windows: list[HeardWindow],
) -> None:
    tracker = LanguageTracker()
    due: list[list[Decision]] = []
    for number, window in enumerate(windows):
        settled = tracker.language is not None
        due += tracker.hear(number, HeardWindow(None, window.utterances) if settled else window)
        assert len(due) == (number + 1 if tracker.language is not None else 0)

    assert due + tracker.settle_by(len(windows)) == decided(windows)


@given(windows)
def test_a_decision_tells_the_odds_of_its_utterance(windows: list[HeardWindow]) -> None:
    for window, decisions in zip(windows, decided(windows), strict=True):
        for heard, decision in zip(window.utterances, decisions, strict=True):
            assert decision.probability == heard.odds[decision.language]


@given(st.booleans(), st.lists(st.builds(Heard, odds | sure, st.sampled_from([1.2, 3.0, 5.0])), min_size=1, max_size=5))
def test_the_languages_are_those_of_the_likeliest_path(german_before: bool, utterances: list[Heard]) -> None:
    before = [ENGLISH, *[whole(8.0, de=0.97), ENGLISH] * german_before]
    known = {"en", "de"} if german_before else {"en"}
    convincing = {code for heard in utterances for code in CODES if heard.odds[code] >= CONVINCING}

    def score(path: Sequence[str]) -> float:
        changes = [after for came_from, after in zip(["en", *path], path, strict=False) if came_from != after]
        costs = sum(KNOWN_LANGUAGE_COST if code in known else NEW_LANGUAGE_COST for code in changes)
        gained = (
            math.log(max(heard.odds[code], 0.02)) * (2.0 if heard.seconds >= 4.0 else 1.0)
            for code, heard in zip(path, utterances, strict=True)
        )
        return sum(gained) - costs

    path = [decision.language for decision in decided([*before, window(*utterances)])[-1]]

    assert score(path) == pytest.approx(max(map(score, product(known | convincing, repeat=len(utterances)))))


# --- live streams: every window is decided on at once ---


def at_once(*windows: HeardWindow, state: LanguageState | None = None) -> str:
    tracker = LanguageTracker(hasty=True, state=state)
    first = state.decided if state else 0
    due = [decisions for number, window in enumerate(windows) for decisions in tracker.hear(first + number, window)]
    due += tracker.settle_by(first + len(windows))
    assert len(due) == len(windows)
    return " ".join(decision.language for (decision, *_) in due)


def test_a_hasty_tracker_decides_at_once_by_all_that_was_heard() -> None:
    assert at_once(whole(1.2, en=0.6), whole(1.0, de=0.5), whole(1.2, de=0.9)) == "en en de"


def test_a_hasty_tracker_settles_when_it_is_sure_and_then_does_not_flicker() -> None:
    assert at_once(ENGLISH, whole(1.0, de=0.9), ENGLISH) == "en en en"


def test_a_hasty_tracker_decides_in_order_whatever_is_heard_first() -> None:
    tracker = LanguageTracker(hasty=True)

    assert tracker.hear(1, whole(2.0, de=0.9)) == []
    assert [[d.language for d in decisions] for decisions in tracker.hear(0, whole(2.0, en=0.8))] == [["en"], ["de"]]


def test_the_first_words_of_a_hasty_tracker_wait_for_more() -> None:
    tracker = LanguageTracker(hasty=True)

    assert tracker.hear(0, whole(0.3, fr=0.6)) == []
    assert [[d.language for d in decisions] for decisions in tracker.hear(1, whole(0.9, en=0.9))] == [["en"], ["en"]]
    assert [[d.language for d in decisions] for decisions in tracker.hear(2, whole(0.3, en=0.4))] == [["en"]]


def test_or_until_nothing_more_comes_for_a_while() -> None:
    tracker = LanguageTracker(hasty=True)
    tracker.hear(0, whole(0.3, fr=0.6))

    assert [[d.language for d in decisions] for decisions in tracker.settle_by(1)] == [["fr"]]
    assert tracker.language is None
    assert tracker.guess(heard(0.3, en=0.5)) == "fr"


def test_what_is_too_short_to_tell_is_not_guessed() -> None:
    tracker = LanguageTracker(hasty=True)

    assert tracker.guess(heard(0.6, de=0.8)) is None
    assert tracker.guess(heard(0.6, de=0.95)) == "de"
    assert tracker.guess(heard(1.0, de=0.8)) == "de"


@given(st.lists(st.tuples(st.floats(0.2, 9), st.sampled_from(CODES), st.floats(0.35, 1.0)), min_size=1), st.data())
def test_another_tracker_goes_on_from_a_state(heards: list[tuple[float, str, float]], data: st.DataObject) -> None:
    windows = [whole(seconds, **{code: odds}) for seconds, code, odds in heards]
    place = data.draw(st.integers(0, len(windows)))
    tracker = LanguageTracker(hasty=True)
    for number, one in enumerate(windows):
        tracker.hear(number, one)
    tracker.settle_by(len(windows))

    rest = at_once(*windows[place:], state=tracker.state_after(place))

    assert rest.split() == at_once(*windows).split()[place:]


def test_another_tracker_decides_first_on_what_was_weighed_before() -> None:
    windows = [whole(1.0, de=0.5), whole(1.0, de=0.5), whole(1.0, en=1.0)]
    tracker = LanguageTracker(hasty=True)
    for number, one in enumerate(windows):
        tracker.hear(number, one)
    other = LanguageTracker(hasty=True, state=tracker.state_after(1))

    assert other.hear(2, windows[2]) == []
    assert [[d.language for d in decisions] for decisions in other.hear(1, windows[1])] == [["de"], ["en"]]


def test_what_is_not_over_is_guessed_by_what_was_heard_before() -> None:
    tracker = LanguageTracker(hasty=True)
    tracker.hear(0, ENGLISH)

    assert tracker.guess(heard(0.6, de=0.6)) == "en"
