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


def test_rows_of_one_length_are_batched_and_empty_ones_left_out() -> None:
    import torch

    from services.diarize.campplus import _batches

    selections = [torch.zeros(frames, 80) for frames in (120, 0, 150, 400, 101, 3)]

    assert list(_batches(selections, largest=6)) == [[0, 2, 4], [3], [5]]
    assert list(_batches(selections, largest=2)) == [[0, 2], [4], [3], [5]]


@pytest.fixture(scope="module")
def model(campplus_folder: Path) -> "CamPlusPlusEmbedding":
    import torch

    from services.diarize.campplus import CamPlusPlusEmbedding

    torch.set_num_threads(1)
    return CamPlusPlusEmbedding.from_weights(campplus_folder / "embedding" / "campplus_cn_en_common.pt")


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
    model: "CamPlusPlusEmbedding", two_speaker_samples: NDArray[np.float32]
) -> None:
    first, second = (
        [embed(model, two_speaker_samples[int(start * RATE) : int(end * RATE)]) for start, end in spans]
        for spans in (FIRST_SPEAKER, SECOND_SPEAKER)
    )

    same = [cosine(*first), cosine(*second)]
    different = [cosine(one, other) for one in first for other in second]
    assert min(same) > max(different) + 0.2


def test_the_embedding_has_the_length_of_the_weights(model: "CamPlusPlusEmbedding") -> None:
    assert model.dimension == 192
    assert embed(model, np.zeros(RATE, np.float32)).shape == (192,)


def test_only_the_frames_under_the_mask_count(
    model: "CamPlusPlusEmbedding", two_speaker_samples: NDArray[np.float32]
) -> None:
    import torch

    window = two_speaker_samples[18 * RATE : 28 * RATE]
    mask = torch.zeros(500)
    mask[200:] = 1  # from 22 s on, the second speaker
    changed = window.copy()
    changed[: 3 * RATE] = 0.1

    masked = embed(model, window, mask)

    assert cosine(masked, embed(model, changed, mask)) == pytest.approx(1, abs=1e-5)
    assert cosine(masked, embed(model, window)) < 0.98


def test_an_embedding_is_the_same_alone_and_in_a_batch(
    model: "CamPlusPlusEmbedding", two_speaker_samples: NDArray[np.float32]
) -> None:
    import torch

    windows = torch.from_numpy(two_speaker_samples[: 3 * 8 * RATE].reshape(3, 1, 8 * RATE))
    masks = torch.zeros(3, 400)
    masks[0, 100:300] = 1
    masks[1, 50:250] = 1
    masks[2, :7] = 1

    with torch.inference_mode():
        together = model(windows, weights=masks)

    for row in range(3):
        alone = embed(model, windows[row, 0].numpy(), masks[row])
        assert torch.allclose(together[row], alone, atol=1e-3)


def test_a_mask_that_selects_nothing_gives_no_embedding(model: "CamPlusPlusEmbedding") -> None:
    import torch

    assert embed(model, np.ones(RATE, np.float32), torch.zeros(50)).isnan().all()


def test_weights_that_do_not_match_are_refused(tmp_path: Path, campplus_folder: Path) -> None:
    import torch

    from services.diarize.campplus import CamPlusPlusEmbedding

    state = torch.load(campplus_folder / "embedding" / "campplus_cn_en_common.pt", weights_only=True)
    del state["head.conv1.weight"]
    torch.save(state, tmp_path / "broken.pt")

    with pytest.raises(RuntimeError, match=r"head\.conv1\.weight"):
        CamPlusPlusEmbedding.from_weights(tmp_path / "broken.pt")
