from hypothesis import given
from hypothesis import strategies as st

from services.diarize.engine import Turn
from services.diarize.turns import LabelledSpan, to_diarization

SECONDS = st.floats(-5, 40)
SPANS = st.lists(st.builds(LabelledSpan, SECONDS, SECONDS, st.sampled_from("abcd")), max_size=12)


def test_speakers_are_numbered_by_first_speech() -> None:
    spans = [LabelledSpan(5, 6, "B"), LabelledSpan(1, 2, "C"), LabelledSpan(3, 4, "A")]

    diarization = to_diarization(spans, [], duration=10)

    assert diarization.turns == (Turn(1, 2, 0), Turn(3, 4, 1), Turn(5, 6, 2))


def test_exclusive_turns_carry_the_numbers_of_the_overlapping_ones() -> None:
    spans = [LabelledSpan(0, 4, "A"), LabelledSpan(1, 6, "B")]
    exclusive = [LabelledSpan(1, 6, "B")]

    assert to_diarization(spans, exclusive, duration=10).exclusive_turns == (Turn(1, 6, 1),)


def test_what_the_padding_said_is_cut_off() -> None:
    spans = [
        LabelledSpan(-0.5, 1, "A"),
        LabelledSpan(2, 10, "A"),
        LabelledSpan(3, 8, "B"),
        LabelledSpan(1, 1, "C"),
    ]

    assert to_diarization(spans, [], duration=3).turns == (Turn(0, 1, 0), Turn(2, 3, 0))


@given(SPANS, SPANS, st.floats(0, 30))
def test_turns_lie_in_order_inside_the_recording(
    spans: list[LabelledSpan], exclusive: list[LabelledSpan], duration: float
) -> None:
    diarization = to_diarization(spans, exclusive, duration)

    for turns in (diarization.turns, diarization.exclusive_turns):
        assert all(0 <= turn.start < turn.end <= duration for turn in turns)
        assert list(turns) == sorted(turns, key=lambda turn: turn.start)
    speakers = {turn.speaker for turn in (*diarization.turns, *diarization.exclusive_turns)}
    assert speakers == set(range(len(speakers)))
