from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.diarize.engine import LocalSpeakers, SpeakerBounds, Turn
from services.diarize.windows import Block
from tests.diarize.recordings import RATE, diarized, heard_in, speakers_of

if TYPE_CHECKING:
    from services.diarize.pyannote_engine import PyannoteDiarizer

# They need torch, whose import alone takes seconds, and the weights.
pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]


def error_rate(reference: Path, turns: tuple[Turn, ...], seconds: float) -> float:
    """Return the diarization error rate against an RTTM file: no collar, overlap scored."""
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.database.util import load_rttm
    from pyannote.metrics.diarization import DiarizationErrorRate

    hypothesis = Annotation()
    for number, turn in enumerate(turns):
        hypothesis[Segment(turn.start, turn.end), number] = turn.speaker
    (truth,) = load_rttm(reference).values()
    return float(DiarizationErrorRate(collar=0)(truth, hypothesis, uem=Timeline([Segment(0, seconds)])))


def test_the_real_conversation_has_two_speakers_and_few_errors(
    pyannote_diarizer: "PyannoteDiarizer", two_speaker_samples: NDArray[np.int16], two_speakers: Path
) -> None:
    diarization = diarized(pyannote_diarizer, two_speaker_samples)

    assert speakers_of(diarization) == {0, 1}
    assert error_rate(two_speakers.with_suffix(".rttm"), diarization.turns, seconds=30) < 0.10


def test_a_whole_number_of_samples_is_stepped_whatever_the_share(
    campplus_folder: Path, two_speaker_samples: NDArray[np.int16]
) -> None:
    from services.diarize.pyannote_engine import PyannoteDiarizer

    diarizer = PyannoteDiarizer(campplus_folder, device="cpu", threads=1, segmentation_step=0.1234567)

    assert speakers_of(diarized(diarizer, two_speaker_samples)) == {0, 1}


@pytest.mark.parametrize("step", [0, -0.1, 1.5])
def test_a_step_outside_the_window_is_refused(tmp_path: Path, step: float) -> None:
    from services.diarize.pyannote_engine import PyannoteDiarizer

    with pytest.raises(ValueError, match="segmentation_step"):
        PyannoteDiarizer(tmp_path, device="cpu", threads=1, segmentation_step=step)


def test_a_recording_of_two_seconds_with_both_speakers_is_no_error(
    pyannote_diarizer: "PyannoteDiarizer", two_speaker_samples: NDArray[np.int16]
) -> None:
    diarization = diarized(pyannote_diarizer, two_speaker_samples[17 * RATE : 19 * RATE], SpeakerBounds(exact=2))

    assert diarization.turns
    assert len(speakers_of(diarization)) <= 2


def test_silence_around_it_changes_no_speakers_embedding_much(
    pyannote_diarizer: "PyannoteDiarizer", two_speaker_samples: NDArray[np.int16]
) -> None:
    """A recording shorter than a window is embedded from its own audio, not from what pads it."""
    short = two_speaker_samples[22 * RATE : 26 * RATE]
    whole = np.concatenate([short, np.zeros(6 * RATE, np.int16)])

    (alone,), (padded,) = (heard_in(pyannote_diarizer, samples) for samples in (short, whole))

    one, other = (window.embeddings[~np.isnan(window.embeddings).any(axis=1)] for window in (alone, padded))
    assert len(one) == len(other) == 1
    assert float(one[0] @ other[0] / np.linalg.norm(one) / np.linalg.norm(other)) > 0.9


def test_warming_up_takes_no_recording(pyannote_diarizer: "PyannoteDiarizer") -> None:
    pyannote_diarizer.warm_up()

    assert pyannote_diarizer.model == "segmentation-3.0-campplus"


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    from services.diarize.pyannote_engine import PyannoteDiarizer

    with pytest.raises(FileNotFoundError, match=r"config\.yaml"):
        PyannoteDiarizer(tmp_path, device="cpu", threads=1, segmentation_step=0.2)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    import pickle

    import torch

    from services.diarize.pyannote_engine import load_segmentation

    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("ran",)

    torch.save({"state_dict": Malicious()}, tmp_path / "model.bin")

    with pytest.raises(pickle.UnpicklingError):
        load_segmentation(tmp_path / "model.bin")


def test_where_nobody_speaks_the_embedding_network_does_not_run(
    pyannote_diarizer: "PyannoteDiarizer", monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise AssertionError("it ran")

    monkeypatch.setattr(pyannote_diarizer._embedding.model_, "forward_frames", refuse)

    (heard,) = pyannote_diarizer.listen([Block(0, np.zeros(30 * RATE, np.int16), (0, 20 * RATE))])

    assert [window.voiced for window in heard] == [False, False]


def test_the_networks_run_once_over_audio_that_windows_share(
    pyannote_diarizer: "PyannoteDiarizer", two_speaker_samples: NDArray[np.int16], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = pyannote_diarizer._embedding.model_
    forward_frames, seconds = model.forward_frames, []

    def counted(waveforms: Any) -> Any:
        seconds.append(waveforms.shape[-1] / RATE)
        return forward_frames(waveforms)

    monkeypatch.setattr(model, "forward_frames", counted)

    heard_in(pyannote_diarizer, two_speaker_samples)

    # Two blocks, which share what the last window of the first goes beyond the start of the second.
    assert sum(seconds) <= 30 + 10


def windows(voiced: Sequence[bool], directions: int = 2) -> list[LocalSpeakers]:
    """Return windows in each of which one speaker speaks all the time, in turn of so many, or nobody."""
    random = np.random.default_rng(0)
    found = []
    for number, speaks in enumerate(voiced):
        activity = np.zeros((589, 3), np.float16)
        embeddings = np.full((3, 192), np.nan, np.float32)
        if speaks:
            activity[:, 0] = 1
            embeddings[0] = np.eye(192)[number % directions] + random.normal(0, 0.01, 192)
        found.append(LocalSpeakers(2.0 * number, activity, embeddings))
    return found


def test_voices_are_those_that_sound_alike(pyannote_diarizer: "PyannoteDiarizer") -> None:
    voices = pyannote_diarizer.voices(windows([True] * 40), SpeakerBounds())

    assert sorted(voices.argmax(axis=1).tolist()) == [0, 1]


def test_a_long_recording_is_clustered_by_a_bounded_sample(
    pyannote_diarizer: "PyannoteDiarizer", monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.diarize import pyannote_engine

    monkeypatch.setattr(pyannote_engine, "MAX_CLUSTERED_WINDOWS", 30)
    clustering, clustered = pyannote_diarizer._clustering, []

    def counted(embeddings: NDArray[np.float32], **others: Any) -> Any:
        clustered.append(len(embeddings))
        return clustering(embeddings=embeddings, **others)

    monkeypatch.setattr(pyannote_diarizer, "_clustering", counted)

    # More than half of it at the end is silence, and so would most of a sample be.
    voices = pyannote_diarizer.voices(windows([True] * 101 + [False] * 200), SpeakerBounds(exact=2))

    assert clustered == [30]
    assert sorted(voices.argmax(axis=1).tolist()) == [0, 1]


def test_in_a_long_silence_the_few_who_speak_are_found(
    pyannote_diarizer: "PyannoteDiarizer", monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.diarize import pyannote_engine

    monkeypatch.setattr(pyannote_engine, "MAX_CLUSTERED_WINDOWS", 5)
    silence = [False] * 33

    voices = pyannote_diarizer.voices(windows([*silence, True, *silence]), SpeakerBounds())

    assert voices.argmax(axis=1).tolist() == [1]
