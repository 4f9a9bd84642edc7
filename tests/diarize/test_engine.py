import pytest

from services.diarize.engine import MAX_SPEAKERS, SpeakerBounds
from services.runtime.errors import Fault, MeshError


@pytest.mark.parametrize(
    "bounds",
    [
        {},
        {"exact": 1},
        {"exact": MAX_SPEAKERS},
        {"minimum": 2},
        {"maximum": 3},
        {"minimum": 4, "maximum": 4},
    ],
)
def test_sensible_bounds_are_taken(bounds: dict[str, int]) -> None:
    taken = SpeakerBounds(**bounds)

    assert {name: getattr(taken, name) for name in bounds} == bounds


@pytest.mark.parametrize(
    ("bounds", "field"),
    [
        ({"exact": -1}, "speaker_count"),
        ({"minimum": -1}, "min_speaker_count"),
        ({"maximum": -3}, "max_speaker_count"),
        ({"exact": MAX_SPEAKERS + 1}, "speaker_count"),
        ({"minimum": MAX_SPEAKERS + 1}, "min_speaker_count"),
        ({"maximum": MAX_SPEAKERS + 1}, "max_speaker_count"),
        ({"exact": 2, "minimum": 1}, "speaker_count"),
        ({"exact": 2, "maximum": 3}, "speaker_count"),
        ({"minimum": 3, "maximum": 2}, "min_speaker_count"),
    ],
)
def test_wrong_bounds_are_refused_and_named(bounds: dict[str, int], field: str) -> None:
    with pytest.raises(MeshError) as refused:
        SpeakerBounds(**bounds)

    assert refused.value.fault is Fault.INVALID
    assert refused.value.field == field
    assert field in refused.value.message
