from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.asr.engine import LONGEST_WINDOW_SECONDS, Hypothesis
from services.asr.fallback import (
    TEMPERATURES,
    Attempt,
    Next,
    Trial,
    after_holes,
    best,
    is_good,
    is_silence,
    loops,
    next_step,
    repeats,
)

GOOD = Hypothesis((1, 2), "Good morning.", -0.2, 0.01, 1.1, complete=True)
GUESSED = replace(GOOD, average_log_probability=-1.2)
DENSE = replace(GOOD, compression_ratio=2.5)
LOOP = replace(GOOD, text="so so so so so")
CUT_OFF = replace(GOOD, complete=False)
SILENCE = replace(GUESSED, no_speech_probability=0.7)

SHORT = Attempt(15, timestamps=False)
LONG = Attempt(LONGEST_WINDOW_SECONDS, timestamps=False)


@pytest.mark.parametrize("hypothesis", [GOOD, replace(GOOD, no_speech_probability=0.9), replace(GOOD, text="")])
def test_a_likely_text_is_good(hypothesis: Hypothesis) -> None:
    assert is_good(hypothesis)


@pytest.mark.parametrize("hypothesis", [GUESSED, DENSE, LOOP, CUT_OFF, SILENCE])
def test_a_text_that_was_guessed_or_repeats_itself_or_was_cut_off_is_not(hypothesis: Hypothesis) -> None:
    assert not is_good(hypothesis)


def test_the_limits_themselves_are_good() -> None:
    assert is_good(replace(GOOD, average_log_probability=-1.0, compression_ratio=2.4))
    assert not is_silence(replace(SILENCE, no_speech_probability=0.6))


def test_silence_takes_two_signs() -> None:
    assert is_silence(SILENCE)
    assert not is_silence(GUESSED)
    assert not is_silence(replace(GOOD, no_speech_probability=0.99))


@pytest.mark.parametrize(
    "text",
    [
        "No no no no no",
        "No, no. no! NO? no,",
        "I was going there, " * 5,
        "And then he said " * 5 + "nothing.",
        "Well, " + "thank you. " * 5,
    ],
)
def test_up_to_four_words_five_times_in_a_row_are_a_loop(text: str) -> None:
    assert loops(text)
    assert repeats(replace(GOOD, text=text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no no no no",
        "No no no no yes no no no no",
        "I was going there, " * 4,
        "one two three four five " * 5,
        "It was the best of times, it was the worst of times, it was the age of wisdom",
    ],
)
def test_what_people_say_is_none(text: str) -> None:
    assert not loops(text)


def test_the_first_text_is_taken_when_it_is_good() -> None:
    assert next_step([Trial(SHORT, GOOD)]) is Next.TAKE


def test_silence_is_not_tried_again() -> None:
    assert next_step([Trial(SHORT, SILENCE)]) is Next.TAKE
    assert next_step([Trial(SHORT, replace(SILENCE, compression_ratio=9.0))]) is Next.TAKE


@pytest.mark.parametrize("attempt", [SHORT, LONG, replace(LONG, temperature=0.4)])
def test_a_text_that_was_cut_off_wants_its_window_parted(attempt: Attempt) -> None:
    assert next_step([Trial(attempt, CUT_OFF)]) is Next.SPLIT


def test_a_text_that_was_cut_off_because_it_went_round_in_circles_is_tried_again() -> None:
    assert next_step([Trial(SHORT, replace(LOOP, complete=False))]) == LONG


@pytest.mark.parametrize("failure", [GUESSED, DENSE, LOOP])
@pytest.mark.parametrize("timestamps", [False, True])
def test_a_window_that_fails_is_encoded_long_and_then_sampled_hotter_and_hotter(
    failure: Hypothesis, timestamps: bool
) -> None:
    trials = [Trial(replace(SHORT, timestamps=timestamps), failure)]
    while isinstance(step := next_step(trials), Attempt):
        trials.append(Trial(step, failure))

    assert step is Next.TAKE
    assert [trial.attempt.seconds for trial in trials] == [15] + [30] * 6
    assert [trial.attempt.temperature for trial in trials] == [0.0, 0.0, *TEMPERATURES]
    assert {trial.attempt.timestamps for trial in trials} == {timestamps}


def test_the_ladder_is_left_at_the_first_good_text() -> None:
    trials = [Trial(SHORT, LOOP), Trial(LONG, GUESSED), Trial(replace(LONG, temperature=0.2), GOOD)]

    assert next_step(trials) is Next.TAKE
    assert best(trials) is trials[-1]


# --- holes ---


def test_a_text_with_holes_is_decoded_with_timestamps_and_then_parted() -> None:
    step = after_holes([Trial(SHORT, GOOD)])

    assert step == replace(SHORT, timestamps=True)
    assert after_holes([Trial(SHORT, GOOD), Trial(replace(SHORT, timestamps=True), GOOD)]) is Next.SPLIT


def test_a_sampled_text_with_holes_is_not_decoded_again() -> None:
    assert after_holes([Trial(SHORT, LOOP), Trial(replace(LONG, temperature=0.4), GOOD)]) is Next.SPLIT


# --- which text is taken ---


def test_a_good_last_text_is_taken_even_if_an_earlier_one_was_likelier() -> None:
    trials = [Trial(SHORT, replace(CUT_OFF, average_log_probability=-0.05)), Trial(LONG, GOOD)]

    assert best(trials) is trials[1]


def test_of_bad_texts_the_likeliest_is_taken() -> None:
    trials = [Trial(LONG, replace(GUESSED, average_log_probability=value)) for value in (-1.5, -1.1, -1.3)]

    assert best(trials) is trials[1]


@pytest.mark.parametrize("circular", [DENSE, LOOP])
def test_one_that_repeats_itself_is_taken_only_if_all_do(circular: Hypothesis) -> None:
    trials = [Trial(LONG, circular), Trial(LONG, replace(GUESSED, average_log_probability=-3.0)), Trial(LONG, circular)]

    assert best(trials) is trials[1]
    assert best([trials[0], trials[2]]) is trials[0]


# --- laws ---

hypotheses = st.builds(
    Hypothesis,
    tokens=st.just((1,)),
    text=st.sampled_from(["", "Good morning.", "so so so so so"]),
    average_log_probability=st.floats(-3.0, 0.0),
    no_speech_probability=st.floats(0.0, 1.0),
    compression_ratio=st.floats(0.0, 4.0),
    complete=st.booleans(),
)
attempts = st.builds(Attempt, st.sampled_from([10, 15, 30]), st.booleans())


@given(attempts, st.functions(like=lambda attempt: ..., returns=hypotheses, pure=True), st.booleans())
def test_every_ladder_ends_and_no_attempt_is_made_twice(
    attempt: Attempt, decode: Callable[[Attempt], Hypothesis], holes: bool
) -> None:
    trials = [Trial(attempt, decode(attempt))]
    while True:
        step = next_step(trials)
        if step is Next.TAKE and holes:
            step = after_holes(trials)
        if not isinstance(step, Attempt):
            break
        assert step not in [trial.attempt for trial in trials]
        assert step.seconds >= trials[-1].attempt.seconds
        assert step.temperature >= trials[-1].attempt.temperature
        trials.append(Trial(step, decode(step)))

    # Short and long, with timestamps and without, and every temperature.
    assert len(trials) <= 3 + len(TEMPERATURES)
    assert step in Next


@given(st.lists(st.builds(Trial, attempts, hypotheses), min_size=1, max_size=8))
def test_the_text_that_is_taken_was_tried_and_none_of_its_kind_is_likelier(trials: list[Trial]) -> None:
    taken = best(trials)

    assert any(taken is trial for trial in trials)
    if not is_good(taken.hypothesis):
        alike = [trial.hypothesis for trial in trials if repeats(trial.hypothesis) <= repeats(taken.hypothesis)]
        assert all(other.average_log_probability <= taken.hypothesis.average_log_probability for other in alike)
