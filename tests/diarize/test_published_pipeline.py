"""A folder laid out as pyannote/speaker-diarization-community-1, mostly with random weights."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from services.diarize.engine import SpeakerBounds

if TYPE_CHECKING:
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


def test_a_published_pipeline_loads_and_runs_the_same_way(
    published_folder: Path, two_speaker_samples: NDArray[np.float32]
) -> None:
    from services.diarize.pyannote_engine import PyannoteDiarizer

    diarizer = PyannoteDiarizer(published_folder, device="cpu", threads=1, segmentation_step=0.5)
    diarizer.warm_up()
    samples = two_speaker_samples[: 20 * 16_000]

    exact = diarizer.diarize(samples, SpeakerBounds(exact=2), lambda _: None, lambda: False)
    free = diarizer.diarize(samples, SpeakerBounds(), lambda _: None, lambda: False)

    assert diarizer.model == published_folder.name
    assert {turn.speaker for turn in exact.turns} == {0, 1}
    assert free.turns[0].speaker == 0


def test_sharing_the_trunk_changes_no_embedding(published_folder: Path) -> None:
    import torch
    from pyannote.audio.pipelines.speaker_verification import PretrainedSpeakerEmbedding

    from services.diarize.pyannote_engine import SpeechOnlyEmbedding
    from services.diarize.pyannote_import import Model

    plain = PretrainedSpeakerEmbedding(Model.from_pretrained(published_folder / "embedding"))
    windows = torch.randn(2, 1, 32_000, generator=torch.Generator().manual_seed(0)) / 10
    masks = torch.zeros(6, 100)
    masks[0, :40] = masks[1, 40:] = masks[3, :90] = masks[5, 20:60] = 1
    waveforms = windows.repeat_interleave(3, dim=0)

    shared = SpeechOnlyEmbedding(plain)(waveforms, masks=masks)

    expected = plain(waveforms, masks=masks)
    speaks = masks.sum(dim=1).numpy() > 0
    assert np.allclose(shared[speaks], expected[speaks], atol=1e-4)
    assert np.isnan(shared[~speaks]).all()
