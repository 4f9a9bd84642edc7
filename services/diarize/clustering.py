"""How embeddings are grouped into speakers, where the model folder brings no way of its own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.diarize.pyannote_import import AgglomerativeClustering, KMeansClustering

MIN_SHARE = 0.2
"""Share of a window in which a speaker must be heard alone for their embedding to be clustered."""


class BoundedClustering(AgglomerativeClustering):  # type: ignore[misc]  # pyannote.audio is untyped
    """Agglomerative clustering that keeps to the bounds.

    pyannote.audio's own searches the dendrogram for a cut with the wanted number of large clusters and takes
    the nearest when there is none, as is common in short recordings. Here k-means takes over whenever the
    threshold alone does not give the wanted number, as in its VBx clustering.
    """

    def filter_embeddings(
        self, embeddings: NDArray[Any], segmentations: Any = None, min_active_ratio: float = MIN_SHARE
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return the embeddings to cluster, with their windows and local speakers.

        Those of speakers who are heard alone long enough; when there is none, as in a recording of a second,
        all there are.
        """
        found = super().filter_embeddings(embeddings, segmentations, min_active_ratio=min_active_ratio)
        if not len(found[0]):
            windows, speakers = np.nonzero(~np.isnan(embeddings).any(axis=2))
            return embeddings[windows, speakers], windows, speakers
        return found[0], found[1], found[2]

    def cluster(
        self,
        embeddings: NDArray[Any],
        min_clusters: int | None = None,
        max_clusters: int | None = None,
        num_clusters: int | None = None,
    ) -> NDArray[Any]:
        """Return the cluster, from 0, of each of the embeddings, (embeddings, dimension)."""
        unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        clusters: NDArray[Any] = super().cluster(unit.copy(), min_clusters=1, max_clusters=len(unit))
        found = int(clusters.max()) + 1
        wanted = num_clusters or int(np.clip(found, min_clusters or 1, max_clusters or len(unit)))
        if wanted == found:
            return clusters
        forced: NDArray[Any] = KMeansClustering(self.metric).cluster(unit, num_clusters=wanted)
        return forced
