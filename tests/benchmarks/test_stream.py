from pathlib import Path

import pytest

from benchmarks.recordings import Recording
from benchmarks.scoring import Utterance
from benchmarks.stream import stream_of


def recording(name: str) -> Recording:
    return Recording(
        name, Path(name), "synthetic-conversation", 10.0, "en", 1, "one", (Utterance(name, "one", 1, 2),), None
    )


def test_a_stream_is_as_long_as_it_should_be_and_knows_what_is_said_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.baselines.PlainWhisper.pcm", staticmethod(lambda path: bytes(320_000)))

    pcm, spoken = stream_of([recording("a"), recording("b")], 25.0, number=1)

    assert len(pcm) == 25 * 32_000
    assert [(utterance.speaker, utterance.start) for utterance in spoken] == [("b", 1), ("a", 11), ("b", 21)]
