"""A folder laid out as pyannote/speaker-diarization-community-1, mostly with random weights.

It shows that models are exchangeable: another embedding network and another clustering, the same code.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from services.diarize.engine import SpeakerBounds
from services.diarize.windows import Block
from tests.diarize.recordings import RATE, diarized, speakers_of

if TYPE_CHECKING:
    from services.diarize.pyannote_engine import PyannoteDiarizer
    from services.diarize.pyannote_import import Model

# They need torch, whose import alone takes seconds.
pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

CONFIG = """
dependencies:
  pyannote.audio: 4.0.0
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: VBxClustering
    segmentation: $model/segmentation
    segmentation_batch_size: 32
    embedding: $model/embedding
    embedding_batch_size: 32
    embedding_exclude_overlap: true
    plda: $model/plda
params:
  clustering: {threshold: 0.6, Fa: 0.07, Fb: 0.8}
  segmentation: {min_duration_off: 0.0}
"""


@pytest.fixture(scope="module")
def published_folder(tmp_path_factory: pytest.TempPathFactory, campplus_folder: Path) -> Path:
    import torch
    from pyannote.audio.models.embedding import WeSpeakerResNet34

    from services.diarize.pyannote_import import Problem, Resolution, Specifications

    folder = tmp_path_factory.mktemp("community-1")
    (folder / "config.yaml").write_text(CONFIG)
    for part in ("segmentation", "embedding", "plda"):
        (folder / part).mkdir()
    segmentation = (campplus_folder / "segmentation" / "pytorch_model.bin").read_bytes()
    (folder / "segmentation" / "pytorch_model.bin").write_bytes(segmentation)
    torch.manual_seed(0)
    specifications = Specifications(
        problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=10.0, classes=["a"]
    )
    save_checkpoint(WeSpeakerResNet34(), specifications, folder / "embedding" / "pytorch_model.bin")
    save_plda(folder / "plda")
    return folder


def save_checkpoint(model: "Model", specifications: object, path: Path) -> None:
    import torch

    checkpoint = {
        "pytorch-lightning_version": "2.6.0",
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "pyannote.audio": {
            "versions": {"pyannote.audio": "4.0.0"},
            "architecture": {"module": type(model).__module__, "class": type(model).__name__},
            "specifications": specifications,
        },
    }
    torch.save(checkpoint, path)


def save_plda(folder: Path) -> None:
    random = np.random.default_rng(0)
    np.savez(
        folder / "xvec_transform.npz",
        mean1=random.normal(size=256),
        mean2=random.normal(size=128),
        lda=random.normal(size=(256, 128)),
    )
    np.savez(folder / "plda.npz", mu=np.zeros(128), tr=np.eye(128), psi=np.linspace(2, 0.1, 128))


@pytest.fixture(scope="module")
def published_diarizer(published_folder: Path) -> "PyannoteDiarizer":
    from services.diarize.pyannote_engine import PyannoteDiarizer

    return PyannoteDiarizer(published_folder, device="cpu", threads=1, segmentation_step=0.5)


def test_a_published_pipeline_loads_and_runs_the_same_way(
    published_diarizer: "PyannoteDiarizer", published_folder: Path, two_speaker_samples: NDArray[np.int16]
) -> None:
    from pyannote.audio.models.embedding import WeSpeakerResNet34

    published_diarizer.warm_up()
    samples = two_speaker_samples[: 20 * RATE]

    exact = diarized(published_diarizer, samples, SpeakerBounds(exact=2))
    free = diarized(published_diarizer, samples)

    assert isinstance(published_diarizer._embedding.model_, WeSpeakerResNet34)
    assert published_diarizer.model == published_folder.name
    assert speakers_of(exact) == {0, 1}
    assert free.turns[0].speaker == 0


@pytest.mark.parametrize("fixture", ["published_diarizer", "pyannote_diarizer"])
def test_a_window_has_the_embeddings_that_pyannote_itself_gives_it(
    request: pytest.FixtureRequest, two_speaker_samples: NDArray[np.int16], fixture: str
) -> None:
    import torch
    from pyannote.audio.pipelines.speaker_verification import PretrainedSpeakerEmbedding

    diarizer: PyannoteDiarizer = request.getfixturevalue(fixture)
    samples = two_speaker_samples[11 * RATE : 21 * RATE]
    ((window,),) = diarizer.listen([Block(0, samples, (0,))])

    # Both speak for seconds, so each is embedded from where he speaks alone.
    speech = window.activity > 0.5
    speaking = np.flatnonzero(speech.any(axis=0))
    masks = (speech & (speech.sum(axis=1, keepdims=True) == 1)).T[speaking].astype(np.float32)
    waveforms = torch.from_numpy(samples.astype(np.float32) / 32768).expand(len(speaking), 1, -1)
    expected = PretrainedSpeakerEmbedding(diarizer._embedding.model_)(waveforms, masks=torch.from_numpy(masks))
    assert len(speaking) == 2
    assert np.allclose(window.embeddings[speaking], expected, atol=1e-4)


def test_an_embedding_network_that_pools_no_frames_is_refused(
    published_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyannote.audio.models.embedding import WeSpeakerResNet34

    from services.diarize.pyannote_engine import PyannoteDiarizer

    monkeypatch.delattr(WeSpeakerResNet34.__mro__[1], "forward_frames")

    with pytest.raises(ValueError, match="forward_frames"):
        PyannoteDiarizer(published_folder, device="cpu", threads=1, segmentation_step=0.5)


def test_a_published_parameter_that_has_no_place_here_is_refused(published_folder: Path, tmp_path: Path) -> None:
    from services.diarize.pyannote_engine import PyannoteDiarizer

    folder = tmp_path / "pauses"
    shutil.copytree(published_folder, folder)
    (folder / "config.yaml").write_text(CONFIG.replace("min_duration_off: 0.0", "min_duration_off: 0.6"))

    with pytest.raises(ValueError, match="min_duration_off"):
        PyannoteDiarizer(folder, device="cpu", threads=1, segmentation_step=0.5)


def test_published_agglomerative_clustering_keeps_its_parameters_and_the_bounds(
    published_folder: Path, tmp_path: Path, two_speaker_samples: NDArray[np.int16]
) -> None:
    from services.diarize.clustering import BoundedClustering
    from services.diarize.pyannote_engine import PyannoteDiarizer

    folder = tmp_path / "agglomerative"
    shutil.copytree(published_folder, folder)
    config = CONFIG.replace("VBxClustering", "AgglomerativeClustering").replace(
        "{threshold: 0.6, Fa: 0.07, Fb: 0.8}", "{method: centroid, threshold: 0.7, min_cluster_size: 12}"
    )
    (folder / "config.yaml").write_text(config)

    diarizer = PyannoteDiarizer(folder, device="cpu", threads=1, segmentation_step=0.2)

    assert isinstance(diarizer._clustering, BoundedClustering)
    assert (diarizer._clustering.threshold, diarizer._clustering.min_cluster_size) == (0.7, 12)
    for wanted in (1, 3):
        found = diarized(diarizer, two_speaker_samples, SpeakerBounds(exact=wanted))
        assert speakers_of(found) == set(range(wanted))
