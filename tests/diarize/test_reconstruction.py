from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.diarize.engine import Diarization, Frames, LocalSpeakers, SpeakerBounds, Turn
from services.diarize.reconstruction import SPEAKS, reconstruct

FRAMES = Frames(step=0.1, middle=0.05)
VOICES = np.eye(6, dtype=np.float32)
PROBABILITIES = {".": 0.0, "-": 0.4, "+": 0.6, "*": 0.8, "#": 1.0}


def window(start: float, **speakers: str) -> LocalSpeakers:
    """Return what is heard in a window: the voices "a" to "f", in this order, and a sign for every tenth of a second.

    A voice may carry a digit, for another of the window's speakers that sounds nearly like it.
    """
    activity = np.array([[PROBABILITIES[sign] for sign in signs] for signs in speakers.values()], np.float16).T
    embeddings = np.stack([VOICES["abcdef".index(name[0])] + 0.1 * (name[1:] > "0") for name in speakers])
    embeddings[~(activity > SPEAKS).any(axis=0)] = np.nan
    return LocalSpeakers(start, activity, embeddings.astype(np.float32))


def who_spoke(
    *windows: LocalSpeakers, voices: int = 2, duration: float = 4.0, bounds: SpeakerBounds | None = None
) -> Diarization:
    return reconstruct(windows, VOICES[:voices], FRAMES, duration, bounds or SpeakerBounds())


def assert_spans(turns: tuple[Turn, ...], *spans: tuple[int, float, float]) -> None:
    assert [turn.speaker for turn in turns] == [speaker for speaker, _, _ in spans]
    # To the frame.
    assert [turn.start for turn in turns] == pytest.approx([start for _, start, _ in spans], abs=0.101)
    assert [turn.end for turn in turns] == pytest.approx([end for _, _, end in spans], abs=0.101)


def test_windows_that_overlap_and_agree_give_turns_across_them() -> None:
    diarization = who_spoke(
        window(0.0, a="###############.....", b="...............#####"),
        window(1.0, a="#####...............", b=".....###############"),
        window(2.0, a="....................", b="##########.........."),
    )

    assert_spans(diarization.turns, (0, 0.0, 1.5), (1, 1.5, 3.0))
    assert_spans(diarization.exclusive_turns, (0, 0.0, 1.5), (1, 1.5, 3.0))


def test_a_window_may_number_its_speakers_as_it_likes() -> None:
    diarization = who_spoke(
        window(0.0, a="##########..........", b="..........##########"),
        window(2.0, b="##########..........", a="..........##########"),
    )

    assert_spans(diarization.turns, (0, 0.0, 1.0), (1, 1.0, 3.0), (0, 3.0, 4.0))


def test_speakers_are_numbered_by_who_speaks_first() -> None:
    diarization = who_spoke(window(0.0, a="..........##########", b="##########.........."), duration=2.0)

    assert_spans(diarization.turns, (0, 0.0, 1.0), (1, 1.0, 2.0))
    assert diarization.activity.probabilities[0][0] == 255
    assert diarization.activity.probabilities[1][-1] == 255


def test_a_voice_that_speaks_nowhere_is_nobody() -> None:
    diarization = who_spoke(window(0.0, a="####################"), voices=3, duration=2.0)

    assert {turn.speaker for turn in diarization.turns} == {0}
    assert len(diarization.activity.probabilities) == 1


def test_who_speaks_at_the_same_time_overlaps_in_turns_but_not_in_exclusive_ones() -> None:
    diarization = who_spoke(window(0.0, a="###############.....", b="..........**********"), duration=2.0)

    assert_spans(diarization.turns, (0, 0.0, 1.5), (1, 1.0, 2.0))
    assert_spans(diarization.exclusive_turns, (0, 0.0, 1.5), (1, 1.5, 2.0))


# --- who is real ---

GHOST = window(0.0, a="############....####", b="............###.....")


def test_an_odd_sound_is_no_speaker() -> None:
    diarization = who_spoke(GHOST, duration=2.0)

    assert {turn.speaker for turn in (*diarization.turns, *diarization.exclusive_turns)} == {0}
    assert len(diarization.activity.probabilities) == 1


@pytest.mark.parametrize("bounds", [SpeakerBounds(exact=2), SpeakerBounds(minimum=2)])
def test_an_odd_sound_is_a_speaker_when_there_must_be_so_many(bounds: SpeakerBounds) -> None:
    diarization = who_spoke(GHOST, duration=2.0, bounds=bounds)

    assert {turn.speaker for turn in diarization.turns} == {0, 1}


def test_of_odd_sounds_those_who_speak_most_are_kept_where_there_must_be_more() -> None:
    odd = window(0.0, a="############........", b="............##......", c="...............####.")

    diarization = who_spoke(odd, voices=3, duration=2.0, bounds=SpeakerBounds(minimum=2))

    assert {turn.speaker for turn in diarization.turns} == {0, 1}
    assert diarization.activity.probabilities[1][-6:] > diarization.activity.probabilities[1][26:32]


def test_the_only_speaker_is_one_however_little_he_says() -> None:
    assert_spans(who_spoke(window(0.0, a="#..................."), voices=1, duration=2.0).turns, (0, 0.0, 0.1))


# --- whose voice is whose ---


def test_with_fewer_voices_than_speakers_of_a_window_nobodys_speech_is_lost() -> None:
    crowd = window(0.0, a="#######.............", b=".......#######......", c="..............######")

    assert_spans(who_spoke(crowd, voices=1, duration=2.0).turns, (0, 0.0, 2.0))


def test_two_who_are_heard_at_once_in_a_window_are_two() -> None:
    alike = window(0.0, a="####################", a1="..........##########")
    other = window(2.0, b="####################")

    diarization = who_spoke(alike, other)

    assert {turn.speaker for turn in diarization.turns if turn.start < 1.9} == {0, 1}


# --- turns and pauses ---


def test_a_short_pause_ends_no_turn_but_an_exclusive_one() -> None:
    diarization = who_spoke(window(0.0, a="########..##########"), duration=2.0)

    assert_spans(diarization.turns, (0, 0.0, 2.0))
    assert_spans(diarization.exclusive_turns, (0, 0.0, 0.8), (0, 1.0, 2.0))


def test_a_long_pause_ends_a_turn() -> None:
    assert_spans(who_spoke(window(0.0, a="########....########")).turns, (0, 0.0, 0.8), (0, 1.2, 2.0))


def test_turns_end_with_the_recording() -> None:
    diarization = who_spoke(window(0.0, a="####################"), duration=1.23)

    assert [turn.end for turn in (*diarization.turns, *diarization.exclusive_turns)] == [1.23, 1.23]


# --- activity ---


def test_the_probabilities_of_windows_are_averaged_not_their_decisions() -> None:
    diarization = who_spoke(
        window(0.0, a="********************"),
        window(0.0, a="----------##########"),
        duration=2.0,
    )

    (row,) = diarization.activity.probabilities
    assert set(row[:18]) <= {152, 153, 154}
    assert set(row[22:]) <= {229, 230}
    assert_spans(diarization.turns, (0, 0.0, 2.0))


@pytest.mark.parametrize("duration", [0.1, 0.12, 1.0, 1.9, 2.0])
def test_a_row_of_activity_has_a_byte_for_every_step(duration: float) -> None:
    activity = who_spoke(
        window(0.0, a="##########..........", b="#####.........######"),
        duration=duration,
        bounds=SpeakerBounds(exact=2),
    ).activity

    lengths = {len(row) for row in activity.probabilities}
    assert len(lengths) == 1
    assert duration - 1e-9 <= lengths.pop() * activity.step < duration + activity.step + 1e-9


def test_activity_tells_where_it_is_sure() -> None:
    (row,) = who_spoke(window(0.0, a="##########.........."), duration=2.0).activity.probabilities

    assert set(row[:18]) == {255}
    assert set(row[22:]) == {0}


# --- laws ---


@st.composite
def recordings(draw: st.DrawFn) -> tuple[list[LocalSpeakers], NDArray[np.float32], float]:
    """Return windows of two seconds every second, voices, and how long the recording is."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    number, speakers = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    windows = []
    for start in range(number):
        activity = np.repeat(random.integers(0, 11, (10, speakers)) / 10, 2, axis=0)
        embeddings = random.normal(size=(speakers, 6)).astype(np.float32)
        embeddings[~(activity > SPEAKS).any(axis=0)] = np.nan
        windows.append(LocalSpeakers(float(start), activity.astype(np.float16), embeddings))
    voices = random.normal(size=(draw(st.integers(1, 5)), 6)).astype(np.float32)
    return windows, voices, draw(st.floats(number - 0.95, number + 1.0))


@settings(max_examples=100)
@given(recordings(), st.sampled_from([SpeakerBounds(), SpeakerBounds(exact=3), SpeakerBounds(minimum=2)]))
def test_whatever_is_heard_the_answer_is_in_order(
    recording: tuple[list[LocalSpeakers], NDArray[np.float32], float], bounds: SpeakerBounds
) -> None:
    windows, voices, duration = recording

    diarization = reconstruct(windows, voices, FRAMES, duration, bounds)

    for turns in (diarization.turns, diarization.exclusive_turns):
        assert all(0 <= turn.start < turn.end <= duration for turn in turns)
        assert list(turns) == sorted(turns, key=lambda turn: turn.start)
    assert all(one.end <= other.start for one, other in pairwise(diarization.exclusive_turns))
    for speaker in {turn.speaker for turn in diarization.turns}:
        own = [turn for turn in diarization.turns if turn.speaker == speaker]
        assert all(one.end < other.start for one, other in pairwise(own))
    first_heard = list(dict.fromkeys(turn.speaker for turn in (*diarization.turns, *diarization.exclusive_turns)))
    assert first_heard == list(range(len(first_heard)))
    assert len(diarization.activity.probabilities) == len(first_heard) <= len(voices)
    assert len({len(row) for row in diarization.activity.probabilities}) <= 1


@settings(max_examples=50)
@given(recordings())
def test_who_speaks_alone_also_has_a_turn_there(
    recording: tuple[list[LocalSpeakers], NDArray[np.float32], float],
) -> None:
    windows, voices, duration = recording

    diarization = reconstruct(windows, voices, FRAMES, duration, SpeakerBounds())

    for alone in diarization.exclusive_turns:
        assert any(
            turn.speaker == alone.speaker and turn.start <= alone.start and alone.end <= turn.end
            for turn in diarization.turns
        )
