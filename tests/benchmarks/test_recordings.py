import json
from pathlib import Path

from benchmarks.recordings import manifest_recordings, wheel_sample


def test_the_sample_of_the_wheel_has_two_speakers_and_their_words() -> None:
    sample = wheel_sample()
    assert sample.path.stat().st_size > 900_000
    assert sample.speaker_count == 2
    assert sample.utterances is not None
    assert len({utterance.speaker for utterance in sample.utterances}) == 2
    assert sample.turns is not None
    assert len(sample.turns) == 10
    assert not sample.silent


def test_a_manifest_is_read_with_all_its_kinds(tmp_path: Path) -> None:
    (tmp_path / "a.stm").write_text("a 1 anna 0 1 hello\n")
    (tmp_path / "a.rttm").write_text("SPEAKER a 1 0 1 <NA> <NA> anna <NA> <NA>\n")
    common = {"path": "a.flac", "duration_s": 2.0, "speakers": ["anna"], "transcript": "hello", "rttm": None}
    items = [
        {**common, "id": "one", "kind": "single", "language": "de"},
        {
            **common,
            "id": "two",
            "kind": "synthetic-conversation",
            "language": ["de", "en"],
            "stm": "a.stm",
            "rttm": "a.rttm",
        },
        {
            **common,
            "id": "three",
            "kind": "real-conversation",
            "language": "en",
            "words_by_speaker": {"x": "hi"},
        },
        {**common, "id": "four", "kind": "noise", "language": None},
    ]
    (tmp_path / "manifest.json").write_text(json.dumps({"items": items}))
    one, two, three, four = manifest_recordings(tmp_path)
    assert (one.language, one.utterances, one.turns) == ("de", None, None)
    assert two.language is None
    assert two.utterances is not None
    assert two.utterances[0].words == "hello"
    assert two.turns is not None
    assert three.utterances is not None
    assert three.utterances[0].speaker == "x"
    assert [recording.silent for recording in (one, two, three, four)] == [False, False, False, True]
