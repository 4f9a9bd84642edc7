from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.diarize.engine import Diarization, SpeakerBounds, Turn

if TYPE_CHECKING:
    from services.diarize.pyannote_engine import PyannoteDiarizer

# They need torch, whose import alone takes seconds, and the weights.
pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

RATE = 16_000


def run(diarizer: "PyannoteDiarizer", samples: NDArray[np.float32], bounds: SpeakerBounds | None = None) -> Diarization:
    return diarizer.diarize(samples, bounds or SpeakerBounds(), lambda _: None, lambda: False)


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
    pyannote_diarizer: "PyannoteDiarizer", two_speaker_samples: NDArray[np.float32], two_speakers: Path
) -> None:
    diarization = run(pyannote_diarizer, two_speaker_samples)

    assert {turn.speaker for turn in diarization.turns} == {0, 1}
    assert error_rate(two_speakers.with_suffix(".rttm"), diarization.turns, seconds=30) < 0.10


def test_a_whole_number_of_samples_is_stepped_whatever_the_share(
    campplus_folder: Path, two_speaker_samples: NDArray[np.float32]
) -> None:
    from services.diarize.pyannote_engine import PyannoteDiarizer

    diarizer = PyannoteDiarizer(campplus_folder, device="cpu", threads=1, segmentation_step=0.1234567)

    assert {turn.speaker for turn in run(diarizer, two_speaker_samples).turns} == {0, 1}


def test_a_recording_of_two_seconds_with_both_speakers_is_no_error(
    pyannote_diarizer: "PyannoteDiarizer", two_speaker_samples: NDArray[np.float32]
) -> None:
    diarization = run(pyannote_diarizer, two_speaker_samples[17 * RATE : 19 * RATE], SpeakerBounds(exact=2))

    assert diarization.turns
    assert len({turn.speaker for turn in diarization.turns}) <= 2


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


def test_silent_speakers_are_not_embedded() -> None:
    import torch

    from services.diarize.pyannote_engine import SpeechOnlyEmbedding

    class Counting:
        dimension = 3
        model_ = None
        rows = 0

        def __call__(self, waveforms: torch.Tensor, masks: torch.Tensor) -> NDArray[np.float32]:
            self.rows += len(waveforms)
            return masks[:, :3].numpy()

    inner = Counting()
    masks = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 1, 1]])

    embeddings = SpeechOnlyEmbedding(inner)(torch.zeros(3, 1, 10), masks=masks)

    assert inner.rows == 2
    assert np.array_equal(embeddings[[0, 2]], [[1, 0, 1], [0, 1, 1]])
    assert np.isnan(embeddings[1]).all()


def test_forced_clusters_are_as_many_as_asked() -> None:
    from services.diarize.pyannote_engine import PARAMETERS, BoundedClustering

    clustering = BoundedClustering(metric="cosine")
    clustering.instantiate(PARAMETERS["clustering"])
    points = np.random.default_rng(0).normal(size=(12, 4))

    for wanted in (1, 2, 5, 12):
        clusters = clustering.cluster(points.copy(), num_clusters=wanted)
        assert len(set(clusters.tolist())) == wanted


def test_a_long_recording_is_clustered_by_a_bounded_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyannote.core import SlidingWindow, SlidingWindowFeature

    from services.diarize import pyannote_engine

    monkeypatch.setattr(pyannote_engine, "MAX_CLUSTERED", 10)
    embeddings = np.arange(300, dtype=float).reshape(50, 2, 3)
    speech = np.zeros((50, 20, 2))
    speech[:, :10, 0] = 1
    speech[:, 10:, 1] = 1
    windows = SlidingWindowFeature(speech, SlidingWindow(duration=10, step=2))

    kept, chunks, speakers = pyannote_engine.BoundedClustering().filter_embeddings(embeddings, windows)

    assert len(kept) == 10
    assert (chunks[0], chunks[-1]) == (0, 49)
    assert np.array_equal(kept, embeddings[chunks, speakers])
