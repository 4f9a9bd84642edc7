from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from services.diarize.campplus import CamPlusPlusEmbedding

# They need torch, whose import alone takes seconds, and the weights.
pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

RATE = 16_000
FIRST_SPEAKER = [(10.9, 14.4), (18.7, 21.4)]
SECOND_SPEAKER = [(14.7, 17.9), (21.9, 27.5)]


@pytest.fixture(scope="module")
def model(campplus_folder: Path) -> "CamPlusPlusEmbedding":
    import torch

    from services.diarize.campplus import CamPlusPlusEmbedding

    torch.set_num_threads(1)
    return CamPlusPlusEmbedding.from_weights(campplus_folder / "embedding" / "campplus_cn_en_common.pt")


@pytest.fixture(scope="module")
def conversation(two_speaker_samples: NDArray[np.int16]) -> NDArray[np.float32]:
    return two_speaker_samples.astype(np.float32) / np.float32(32768)


def embed(model: "CamPlusPlusEmbedding", samples: NDArray[np.float32], mask: "Tensor | None" = None) -> "Tensor":
    import torch

    with torch.inference_mode():
        weights = None if mask is None else mask[None]
        waveforms = torch.from_numpy(np.ascontiguousarray(samples))[None, None]
        embeddings: Tensor = model(waveforms, weights=weights)
    return embeddings[0]


def cosine(one: "Tensor", other: "Tensor") -> float:
    import torch

    return float(torch.cosine_similarity(one, other, dim=0))


def test_a_voice_is_nearer_to_itself_than_to_another(
    model: "CamPlusPlusEmbedding", conversation: NDArray[np.float32]
) -> None:
    first, second = (
        [embed(model, conversation[int(start * RATE) : int(end * RATE)]) for start, end in spans]
        for spans in (FIRST_SPEAKER, SECOND_SPEAKER)
    )

    same = [cosine(*first), cosine(*second)]
    different = [cosine(one, other) for one in first for other in second]
    assert min(same) > max(different) + 0.2


def test_the_embedding_has_the_length_of_the_weights(model: "CamPlusPlusEmbedding") -> None:
    assert model.dimension == 192
    assert embed(model, np.zeros(RATE, np.float32)).shape == (192,)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (11, [-0.1489, -1.0662, 0.3699, -0.2815, 0.3786, -0.3468]),
        (22, [0.3198, -1.5859, -0.3369, -0.0726, -0.2404, -0.4115]),
    ],
)
def test_the_embedding_of_a_whole_recording_is_the_one_of_the_published_network(
    model: "CamPlusPlusEmbedding", conversation: NDArray[np.float32], start: int, expected: list[float]
) -> None:
    frames = 300
    recording = conversation[start * RATE :][: 400 + 160 * (frames - 1)]

    assert embed(model, recording)[:6].tolist() == pytest.approx(expected, abs=2e-3)


def test_only_the_frames_under_the_mask_are_pooled(
    model: "CamPlusPlusEmbedding", conversation: NDArray[np.float32]
) -> None:
    import torch

    window = conversation[18 * RATE : 28 * RATE]
    mask = torch.zeros(500)
    mask[200:] = 1  # from 22 s on, the second speaker

    masked = embed(model, window, mask)

    alone = embed(model, conversation[22 * RATE : 28 * RATE])
    other = embed(model, conversation[11 * RATE : 14 * RATE])
    assert cosine(masked, alone) > 0.9 > 0.6 > cosine(masked, other)
    assert cosine(masked, embed(model, window)) < 0.98


def test_frames_are_pooled_for_several_speakers_as_for_each_alone(
    model: "CamPlusPlusEmbedding", conversation: NDArray[np.float32]
) -> None:
    import torch

    windows = torch.from_numpy(conversation[: 3 * 8 * RATE].reshape(3, 1, 8 * RATE))
    masks = torch.zeros(3, 2, 589)
    for row in range(3):
        masks[row, 0, 100 + row : 300] = 1
        masks[row, 1, 310:] = 1

    with torch.inference_mode():
        frames = model.forward_frames(windows)
        pooled = model.forward_embedding(frames, masks)
        whole = model(windows, weights=masks)

    assert pooled.shape == (3, 2, 192)
    assert torch.equal(pooled, whole)
    for row, speaker in ((0, 0), (1, 1), (2, 0), (2, 1)):
        alone = embed(model, windows[row, 0].numpy(), masks[row, speaker])
        assert torch.allclose(pooled[row, speaker], alone, atol=1e-3)


def test_without_weights_everything_is_pooled(model: "CamPlusPlusEmbedding", conversation: NDArray[np.float32]) -> None:
    import torch

    window = conversation[11 * RATE : 14 * RATE]

    assert torch.allclose(embed(model, window), embed(model, window, torch.ones(150)), atol=1e-3)


def test_weights_that_do_not_match_are_refused(tmp_path: Path, campplus_folder: Path) -> None:
    import torch

    from services.diarize.campplus import CamPlusPlusEmbedding

    state = torch.load(campplus_folder / "embedding" / "campplus_cn_en_common.pt", weights_only=True)
    del state["head.conv1.weight"]
    torch.save(state, tmp_path / "broken.pt")

    with pytest.raises(RuntimeError, match=r"head\.conv1\.weight"):
        CamPlusPlusEmbedding.from_weights(tmp_path / "broken.pt")
