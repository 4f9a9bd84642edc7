from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pyannote.core import SlidingWindowFeature

    from services.diarize.clustering import BoundedClustering

# They need pyannote.audio, whose import alone takes seconds.
pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]


@pytest.fixture
def clustering() -> "BoundedClustering":
    from services.diarize.clustering import BoundedClustering

    bounded = BoundedClustering(metric="cosine")
    bounded.instantiate({"method": "centroid", "threshold": 0.75, "min_cluster_size": 4})
    return bounded


def around(*directions: int, number: int = 10) -> NDArray[np.float64]:
    """Return so many points near each of some directions of eight."""
    random = np.random.default_rng(0)
    return np.concatenate([np.eye(8)[direction] + random.normal(0, 0.05, (number, 8)) for direction in directions])


def speech(alone: list[list[float]]) -> "SlidingWindowFeature":
    """Return windows in which each speaker is alone for a share of the time."""
    from pyannote.core import SlidingWindow, SlidingWindowFeature

    frames = np.zeros((len(alone), 100, len(alone[0])), np.float32)
    for window, shares in enumerate(alone):
        begin = 0
        for speaker, share in enumerate(shares):
            end = begin + round(100 * share)
            frames[window, begin:end, speaker] = 1
            begin = end
    return SlidingWindowFeature(frames, SlidingWindow(10.0, 2.0))


def test_forced_clusters_are_as_many_as_asked(clustering: "BoundedClustering") -> None:
    points = np.random.default_rng(0).normal(size=(12, 4))

    for wanted in (1, 2, 5, 12):
        clusters = clustering.cluster(points.copy(), num_clusters=wanted)
        assert len(set(clusters.tolist())) == wanted


def test_the_threshold_finds_those_who_sound_alike_however_long_their_embeddings_are(
    clustering: "BoundedClustering",
) -> None:
    points = around(0, 1, 2)
    loudness = np.random.default_rng(1).uniform(0.5, 20, (len(points), 1))

    clusters = clustering.cluster(points * loudness)

    assert len(set(clusters.tolist())) == 3
    assert all(len(set(clusters[first : first + 10].tolist())) == 1 for first in (0, 10, 20))


@pytest.mark.parametrize(
    ("bounds", "found"),
    [
        ({"min_clusters": 2, "max_clusters": 4}, 3),
        ({"min_clusters": 5}, 5),
        ({"max_clusters": 2}, 2),
        ({"min_clusters": 3, "max_clusters": 3}, 3),
    ],
)
def test_bounds_move_the_number_only_when_it_lies_outside(
    clustering: "BoundedClustering", bounds: dict[str, int], found: int
) -> None:
    assert len(set(clustering.cluster(around(0, 1, 2), **bounds).tolist())) == found


def test_only_who_is_heard_alone_for_long_enough_is_clustered(clustering: "BoundedClustering") -> None:
    embeddings = np.arange(2 * 3 * 4, dtype=np.float64).reshape(2, 3, 4)
    embeddings[1, 2] = np.nan

    kept, windows, speakers = clustering.filter_embeddings(embeddings, speech([[0.5, 0.1, 0.0], [0.25, 0.3, 0.4]]))

    assert list(zip(windows.tolist(), speakers.tolist(), strict=True)) == [(0, 0), (1, 0), (1, 1)]
    assert np.array_equal(kept, embeddings[windows, speakers])


def test_when_nobody_is_heard_alone_for_long_enough_all_are_clustered(clustering: "BoundedClustering") -> None:
    embeddings = np.ones((2, 3, 4))
    embeddings[0, 1] = np.nan

    kept, windows, speakers = clustering.filter_embeddings(embeddings, speech([[0.1, 0.0, 0.0], [0.0, 0.1, 0.05]]))

    assert list(zip(windows.tolist(), speakers.tolist(), strict=True)) == [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert np.array_equal(kept, np.ones((5, 4)))
