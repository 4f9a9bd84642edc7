from pathlib import Path

import pytest

from benchmarks.diarize import Side
from benchmarks.recordings import Recording
from benchmarks.scoring import Utterance, timed_errors, turn_errors

TRUTH = (Utterance("ann", "", 0.0, 5.0), Utterance("bob", "", 5.0, 10.0))
RECORDING = Recording("two", Path("two.wav"), "synthetic-conversation", 10.0, "en", 2, None, None, TRUTH)


def test_the_scores_of_recordings_add_up() -> None:
    side = Side()

    side.add(RECORDING, [Utterance("0", "", 0.0, 5.0), Utterance("1", "", 5.0, 10.0)], seconds=1.0)
    side.add(RECORDING, [Utterance("0", "", 0.0, 10.0)], seconds=2.0)

    assert side.strict.rate == pytest.approx(25.0)
    assert (side.right, side.off, side.seconds, side.audio) == (1, 1, 3.0, 20.0)


def test_a_collar_forgives_what_lies_beside_an_edge() -> None:
    late = [Utterance("0", "", 0.0, 5.2), Utterance("1", "", 5.2, 10.0)]

    assert turn_errors(TRUTH, late, 10.0).rate == pytest.approx(2.0)
    assert turn_errors(TRUTH, late, 10.0, collar=0.25).rate == 0.0


def test_a_word_far_from_its_time_is_an_error_of_tcpwer() -> None:
    said = [Utterance("ann", "good morning", 0.0, 1.0)]

    assert timed_errors(said, said, "en").errors == 0
    assert timed_errors(said, [Utterance("x", "good morning", 60.0, 61.0)], "en").errors == 4
