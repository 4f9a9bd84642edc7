"""The diarizer on pyannote.audio 4: the one file that runs its pipeline.

Two kinds of model folder, one code path once the pipeline stands:

    config.yaml                           a pipeline as published: pyannote/speaker-diarization-community-1
    segmentation/pytorch_model.bin        pyannote/segmentation-3.0, and CAM++ for the embeddings, which are
    embedding/campplus_cn_en_common.pt    clustered bottom up: small enough for a laptop

Nearly all time goes into the embeddings of overlapping windows, so `SpeechOnlyEmbedding` leaves out what
the pipeline would throw away, and `segmentation_step` says how far the windows overlap.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.audio.pcm import SAMPLE_RATE
from services.diarize.campplus import CamPlusPlusEmbedding
from services.diarize.engine import MAX_SPEAKERS, Diarization, SpeakerBounds
from services.diarize.pyannote_import import (
    PLDA,
    AgglomerativeClustering,
    BaseInference,
    KMeansClustering,
    Pipeline,
    Problem,
    PyanNet,
    Resolution,
    SpeakerDiarization,
    Specifications,
)
from services.diarize.turns import LabelledSpan, to_diarization
from services.runtime.worker import Cancelled

SEGMENTATION_FILE = Path("segmentation/pytorch_model.bin")
EMBEDDING_FILE = Path("embedding/campplus_cn_en_common.pt")

PARAMETERS = {
    "segmentation": {"min_duration_off": 0.0},
    "clustering": {"method": "centroid", "threshold": 0.75, "min_cluster_size": 12},
}
"""Of the CAM++ pipeline; the threshold is a distance between centroids of embeddings of unit length.

Measured over 17 conversations and meetings with a step of 0.2, error rates without collar: 23.0 % at 0.7,
which splits speakers in noise and music, 20.1 % at 0.75, 19.2 % at 0.8, which begins to join some, 21.5 % at
0.9.
"""

MIN_SAMPLES = SAMPLE_RATE // 10
"""Shorter audio holds no speech that could be told apart."""

MAX_CLUSTERED = 6000
"""Most embeddings that are clustered; the distances between them take 8 * n * n / 2 bytes."""

MIN_SHARE = 0.2
"""Share of a window in which a speaker must be heard alone for their embedding to be clustered."""

# One batch is what cannot be cancelled: about half a second of work on a CPU.
CPU_WINDOWS = 4
GPU_WINDOWS = 32

# How the time of a run is spread over the steps of the pipeline, roughly: (begins at, share).
STEPS = {"segmentation": (0.0, 0.2), "embeddings": (0.2, 0.75), "discrete_diarization": (0.95, 0.03)}

# pyannote.audio's own remarks on recordings too short for what was asked; the result is what we want.
EXPECTED_WARNINGS = (
    r"\s*The detected number of speakers",
    r"Mean of empty slice",
    r"invalid value encountered",
    r"std\(\): degrees of freedom",
)


class PyannoteDiarizer:
    """A `Diarizer` on the model in `folder`.

    Args:
        folder: the model folder; nothing is ever downloaded.
        device: "cpu", "cuda" or "cuda:1".
        threads: CPU threads of torch in this process; 0 leaves torch's own choice.
        segmentation_step: step between windows as a share of the window, above 0 to 1; 0.1 is pyannote's own.

    Raises:
        FileNotFoundError: the folder holds neither kind of model.
    """

    def __init__(self, folder: Path, device: str, threads: int, segmentation_step: float) -> None:
        if not 0 < segmentation_step <= 1:
            raise ValueError(f"segmentation_step is {segmentation_step}; it must be above 0 and at most 1.")
        self.model = folder.name
        if threads:
            torch.set_num_threads(threads)
        pipeline = _load(folder)
        on_cpu = torch.device(device).type == "cpu"
        _set_windows(pipeline, segmentation_step, CPU_WINDOWS if on_cpu else GPU_WINDOWS)
        pipeline._embedding = SpeechOnlyEmbedding(pipeline._embedding)
        pipeline.to(torch.device(device))
        self._pipeline = pipeline

    def warm_up(self) -> None:
        """Run both networks once, so that the first request finds them ready."""
        self.diarize(np.zeros(SAMPLE_RATE, np.float32), SpeakerBounds(), lambda _: None, lambda: False)
        # The pipeline ends early on silence; noise under a full mask takes the other half.
        noise = torch.randn(1, 1, 10 * SAMPLE_RATE, generator=torch.Generator().manual_seed(0))
        self._pipeline._embedding(noise / 100, masks=torch.ones(1, 100))
        assert self._pipeline._embedding.min_num_samples  # found by trial, once

    def diarize(
        self,
        samples: NDArray[np.float32],
        bounds: SpeakerBounds,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> Diarization:
        """Diarize a whole recording; see `engine.Diarizer`."""
        if cancelled():
            raise Cancelled
        if len(samples) < MIN_SAMPLES:
            progress(1.0)
            return Diarization((), ())
        waveform = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))
        with _expected_warnings():
            output = self._pipeline(
                {"waveform": waveform[None], "sample_rate": SAMPLE_RATE, "uri": "request"},
                num_speakers=bounds.exact or None,
                min_speakers=bounds.minimum or None,
                max_speakers=None if bounds.exact else bounds.maximum or MAX_SPEAKERS,
                hook=_Hook(progress, cancelled),
            )
        progress(1.0)
        return to_diarization(
            _spans(output.speaker_diarization),
            _spans(output.exclusive_speaker_diarization),
            duration=len(samples) / SAMPLE_RATE,
        )


def _load(folder: Path) -> Any:
    """Return the pipeline that `folder` holds."""
    if (folder / "config.yaml").is_file():
        return Pipeline.from_pretrained(folder)
    for file in (SEGMENTATION_FILE, EMBEDDING_FILE):
        if not (folder / file).is_file():
            raise FileNotFoundError(f"{folder} holds neither config.yaml nor {file}.")
    pipeline = SpeakerDiarization(
        segmentation=load_segmentation(folder / SEGMENTATION_FILE),
        embedding=CamPlusPlusEmbedding.from_weights(folder / EMBEDDING_FILE),
        embedding_exclude_overlap=True,
        # The pipeline loads a PLDA whether its clustering has a use for one or not.
        plda=_NoPlda(),
        clustering="AgglomerativeClustering",
    )
    pipeline.clustering = BoundedClustering(metric="cosine")
    return pipeline.instantiate(PARAMETERS)


def load_segmentation(path: Path) -> Any:
    """Return the segmentation network of the checkpoint at `path`.

    `Model.from_pretrained` would unpickle anything; this admits the types that the checkpoint needs.
    """
    with torch.serialization.safe_globals([Specifications, Problem, Resolution, torch.torch_version.TorchVersion]):
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    model = PyanNet(**checkpoint["hyper_parameters"])
    model.on_load_checkpoint(checkpoint)
    model.load_state_dict(checkpoint["state_dict"], strict=True)
    return model.eval()


def _set_windows(pipeline: Any, step: float, windows: int) -> None:
    """Set how far windows overlap and how many go into one batch."""
    segmentation = pipeline._segmentation
    # Whole samples: otherwise rounding makes the crops of one batch differ in length by a sample.
    segmentation.step = round(step * segmentation.duration * SAMPLE_RATE) / SAMPLE_RATE
    pipeline.segmentation_step = step
    pipeline.segmentation_batch_size = windows
    # A window has one row for each of its local speakers.
    pipeline.embedding_batch_size = windows * len(segmentation.model.specifications.classes)


class _NoPlda(PLDA):  # type: ignore[misc]  # pyannote.audio is untyped
    """Stands where a PLDA must be given and none is used."""

    def __init__(self) -> None:
        pass


class SpeechOnlyEmbedding(BaseInference):  # type: ignore[misc]  # pyannote.audio is untyped
    """A speaker embedding that leaves out work whose result the pipeline throws away.

    The pipeline asks for every pair of window and local speaker, and most of those speakers are silent.
    Their rows are NaN here, "no embedding". WeSpeaker's ResNet, which only pools by the mask, runs once for
    each window instead of once for each of its speakers, with the same result.
    """

    def __init__(self, embedding: Any) -> None:
        self._embedding = embedding

    def to(self, device: torch.device) -> "SpeechOnlyEmbedding":
        """Move the model to `device`."""
        self._embedding.to(device)
        return self

    @property
    def sample_rate(self) -> int:
        """Samples a second."""
        return int(self._embedding.sample_rate)

    @property
    def dimension(self) -> int:
        """Length of an embedding."""
        return int(self._embedding.dimension)

    @property
    def metric(self) -> str:
        """Distance to compare embeddings by."""
        return str(self._embedding.metric)

    @cached_property
    def min_num_samples(self) -> int:
        """Fewest samples that give an embedding; found by trial."""
        return int(self._embedding.min_num_samples)

    def __call__(self, waveforms: Tensor, masks: Tensor) -> NDArray[np.float32]:
        """Embed waveforms, (batch, 1, samples), under masks, (batch, frames): (batch, dimension)."""
        embeddings = np.full((len(waveforms), self.dimension), np.nan, dtype=np.float32)
        speaks = masks.sum(dim=1) > 0
        if speaks.any():
            embed = self._pooled if hasattr(self._embedding.model_, "forward_frames") else self._embedding
            embeddings[speaks.numpy()] = embed(waveforms[speaks], masks=masks[speaks])
        return embeddings

    def _pooled(self, waveforms: Tensor, masks: Tensor) -> NDArray[np.float32]:
        """Run the trunk once for each run of equal waveforms and pool it under each of their masks."""
        starts = [
            row for row in range(len(waveforms)) if row == 0 or not torch.equal(waveforms[row], waveforms[row - 1])
        ]
        model, device = self._embedding.model_, self._embedding.device
        runs = torch.tensor([sum(start <= row for start in starts) - 1 for row in range(len(waveforms))])
        with torch.inference_mode():
            frames = model.forward_frames(waveforms[starts].to(device))
            embeddings: Tensor = model.forward_embedding(frames[runs.to(device)], weights=masks.to(device))
        return embeddings.cpu().numpy()


class BoundedClustering(AgglomerativeClustering):  # type: ignore[misc]  # pyannote.audio is untyped
    """Agglomerative clustering that keeps to the bounds and to a bounded amount of memory.

    pyannote.audio's own searches the dendrogram for a cut with the wanted number of large clusters and takes
    the nearest when there is none, as is common in short recordings. Here k-means takes over whenever the
    threshold alone does not give the wanted number, as in its VBx clustering.
    """

    def filter_embeddings(
        self, embeddings: NDArray[Any], segmentations: Any = None, min_active_ratio: float = MIN_SHARE
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return the embeddings to cluster, with their windows and local speakers.

        Those of speakers who are heard alone long enough; when there is none, as in a recording of a second,
        all there are. No more than `MAX_CLUSTERED`, evenly spread: the rest goes to the nearest centroid.
        """
        found = super().filter_embeddings(embeddings, segmentations, min_active_ratio=min_active_ratio)
        if not len(found[0]):
            windows, speakers = np.nonzero(~np.isnan(embeddings).any(axis=2))
            found = embeddings[windows, speakers], windows, speakers
        kept = np.linspace(0, len(found[0]) - 1, min(len(found[0]), MAX_CLUSTERED)).astype(int)
        return found[0][kept], found[1][kept], found[2][kept]

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


class _Hook:
    """What the pipeline calls between batches: passes progress on and stops when cancelled."""

    def __init__(self, progress: Callable[[float], None], cancelled: Callable[[], bool]) -> None:
        self._progress = progress
        self._cancelled = cancelled
        self._reached = 0.0

    def __call__(
        self,
        step: str,
        artifact: object,
        file: object = None,
        total: int | None = None,
        completed: int | None = None,
    ) -> None:
        if self._cancelled():
            raise Cancelled
        if step not in STEPS:
            return
        begin, share = STEPS[step]
        done = 1.0 if completed is None or not total else min(1.0, completed / total)
        # The last batch may count past the end, and the step itself reports once more after it.
        if begin + share * done > self._reached:
            self._reached = float(begin + share * done)
            self._progress(self._reached)


@contextmanager
def _expected_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        for message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        yield


def _spans(annotation: Any) -> list[LabelledSpan]:
    """Return the segments of a pyannote.core Annotation."""
    return [
        LabelledSpan(segment.start, segment.end, str(label))
        for segment, _, label in annotation.itertracks(yield_label=True)
    ]
