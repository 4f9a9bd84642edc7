"""The diarizer on pyannote.audio 4: the one file that runs its networks and its clustering.

Two kinds of model folder, one code path once the pipeline stands:

    config.yaml                           a pipeline as published: pyannote/speaker-diarization-community-1
    segmentation/pytorch_model.bin        pyannote/segmentation-3.0, and CAM++ for the embeddings, which are
    embedding/campplus_cn_en_common.pt    clustered bottom up: small enough for a laptop

The pipeline runs its embedding network for each speaker of each of the overlapping windows, though neighbouring
windows share most of their audio and most speakers are silent. Here the network's trunk, where its time goes, runs
once over the audio of a block of windows, and each speaker of each window is pooled from what comes out.

The second look, moment by moment, is for CAM++ alone: its numbers were measured with it, and another embedding has
another scale. A published pipeline keeps its own clustering and parameters; what of them has no place here is
refused.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pyannote.core import SlidingWindow, SlidingWindowFeature
from torch import Tensor

from services.audio.pcm import SAMPLE_RATE
from services.diarize.campplus import CamPlusPlusEmbedding
from services.diarize.clustering import BoundedClustering
from services.diarize.engine import MAX_SPEAKERS, Frames, LocalSpeakers, SpeakerBounds
from services.diarize.pyannote_import import (
    PLDA,
    AgglomerativeClustering,
    Pipeline,
    Powerset,
    Problem,
    PyanNet,
    Resolution,
    SpeakerDiarization,
    Specifications,
)
from services.diarize.reconstruction import PAUSE_SECONDS, SPEAKS
from services.diarize.resegmentation import MOMENT_SECONDS
from services.diarize.windows import Block, WindowRules

SEGMENTATION_FILE = Path("segmentation/pytorch_model.bin")
EMBEDDING_FILE = Path("embedding/campplus_cn_en_common.pt")

THRESHOLD = 0.75
"""Of the CAM++ pipeline: distance between centroids of embeddings of unit length up to which they are one speaker.

Measured over 18 conversations and meetings with a step of 0.2, without a second look, error rates without collar:
14.5 % at 0.7, which splits speakers in noise and music, 14.0 % at 0.75, 15.1 % at 0.8, which begins to join some,
16.1 % at 0.85."""

CLUSTERED_SECONDS = 8.0
"""A group of embeddings whose windows begin over less than this is no speaker of its own."""

MAX_CLUSTERED_WINDOWS = 2000
"""Windows that are clustered: with three speakers each, the distances between them take 140 MB."""

BLOCK_SECONDS = 20.0
"""Audio from the start of one block to the start of the next: a second of work for one core."""

PADDED_TO = SAMPLE_RATE // 2
"""What the trunk is given is a multiple of so many samples.

The libraries below prepare a kernel for every new shape and keep it: with any length allowed they took more memory
with every recording."""

# What is computed at once. On a CPU larger batches fall out of the caches.
CPU_WINDOWS, CPU_BLOCKS = 5, 1
GPU_WINDOWS, GPU_BLOCKS = 64, 8

AROUND_SECONDS = 1.5
"""Length of what is heard around a moment, as diarization by uniform segments has it."""

LEAST_AROUND_SECONDS = 0.5
"""Speech of one speaker alone that it must hold; less tells nothing."""

FEWEST_CLEAN_FRAMES = 15
"""A quarter of a second: who is heard alone for less is embedded from all of his speech."""

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
        published = (folder / "config.yaml").is_file()
        pipeline = _published(folder) if published else _assembled(folder)
        self._device = torch.device(device)
        pipeline.to(self._device)
        self._clustering = pipeline.clustering
        self._looks_twice = not published
        self._exclude_overlap = bool(pipeline.embedding_exclude_overlap)
        self._segmentation = pipeline._segmentation.model
        self._embedding = pipeline._embedding
        duration = pipeline._segmentation.duration
        length, step = round(duration * SAMPLE_RATE), max(1, round(segmentation_step * duration * SAMPLE_RATE))
        self.rules = WindowRules(length, step, max(1, round(BLOCK_SECONDS * SAMPLE_RATE / step)))
        field = self._segmentation.receptive_field
        self.frames = Frames(field.step, field.start + field.duration / 2)
        specifications = self._segmentation.specifications
        self._powerset = Powerset(len(specifications.classes), specifications.powerset_max_classes).to(self._device)
        on_cpu = self._device.type == "cpu"
        self._windows_at_once = CPU_WINDOWS if on_cpu else GPU_WINDOWS
        self.blocks_at_once = CPU_BLOCKS if on_cpu else GPU_BLOCKS

    def warm_up(self) -> None:
        """Run both networks once, so that the first request finds them ready."""
        noise = np.random.default_rng(0).normal(0, 300, self.rules.length).astype(np.int16)
        self.listen([Block(0, noise, (0,))])
        audio = torch.from_numpy(noise).float().to(self._device) / 32768
        # Noise is nobody's speech: a mask makes it so.
        speech = np.ones((1, 100, 1), np.float16)
        with torch.inference_mode():
            (trunk,) = self._trunks([audio])
            self._embed(trunk, len(audio), Block(0, noise, (0,)), speech)

    def listen(self, blocks: Sequence[Block]) -> list[list[LocalSpeakers]]:
        """Run the networks; see `engine.Diarizer`."""
        with torch.inference_mode():
            audio = [torch.from_numpy(block.samples.astype(np.float32) / 32768).to(self._device) for block in blocks]
            activity = self._segment(audio, blocks)
            by_block = np.split(activity, np.cumsum([len(block.offsets) for block in blocks])[:-1])
            # Nothing is pooled from a block in which nobody speaks.
            spoken = [waveform for waveform, own in zip(audio, by_block, strict=True) if (own > SPEAKS).any()]
            trunks = iter(self._trunks(spoken))
            silent = _Trunk(self._embedding, torch.empty(0), 1.0)
            return [
                self._embed(next(trunks) if (own > SPEAKS).any() else silent, len(waveform), block, own)
                for waveform, block, own in zip(audio, blocks, by_block, strict=True)
            ]

    def voices(self, windows: Sequence[LocalSpeakers], bounds: SpeakerBounds) -> NDArray[np.float32]:
        """Group the embeddings; see `engine.Diarizer`."""
        voiced = [window for window in windows if window.voiced]
        chosen = np.linspace(0, len(voiced) - 1, min(len(voiced), MAX_CLUSTERED_WINDOWS)).round().astype(int)
        embeddings = np.stack([voiced[number].embeddings for number in chosen])
        speech = np.stack([voiced[number].activity > SPEAKS for number in chosen]).astype(np.float32)
        seconds = SlidingWindow(self.rules.length / SAMPLE_RATE, self.rules.step / SAMPLE_RATE)
        known = ~np.isnan(embeddings).any(axis=2)
        if self._looks_twice:
            spacing = self.rules.step / SAMPLE_RATE * len(voiced) / len(chosen)
            self._clustering.min_cluster_size = _smallest_cluster(spacing)
        # pyannote.audio's VBx clustering cannot do without bounds.
        most = bounds.exact or bounds.maximum or MAX_SPEAKERS
        with _expected_warnings():
            _, _, centroids = self._clustering(
                embeddings=embeddings,
                segmentations=SlidingWindowFeature(speech, seconds),
                num_clusters=bounds.exact or None,
                min_clusters=min(bounds.exact or bounds.minimum or 1, int(known.sum())),
                max_clusters=most,
            )
        if np.isnan(centroids).any():  # nobody is heard for long enough to be grouped
            centroids = embeddings[known].mean(axis=0, keepdims=True)
        return np.asarray(centroids, np.float32)

    def _segment(self, audio: Sequence[Tensor], blocks: Sequence[Block]) -> NDArray[np.float16]:
        """Return the activity of the local speakers in all windows, (windows, frames, speakers)."""
        length = self.rules.length
        windows = [
            torch.nn.functional.pad(part, (0, length - len(part)))
            for waveform, block in zip(audio, blocks, strict=True)
            for part in (waveform[offset : offset + length] for offset in block.offsets)
        ]
        parts: list[NDArray[np.float16]] = []
        for start in range(0, len(windows), self._windows_at_once):
            scores = self._segmentation(torch.stack(windows[start : start + self._windows_at_once])[:, None])
            parts.append(self._powerset.to_multilabel(scores, soft=True).clamp(0, 1).cpu().numpy().astype(np.float16))
        return np.concatenate(parts)

    def _trunks(self, audio: Sequence[Tensor]) -> list["_Trunk"]:
        """Run the embedding network's trunk over the audio of some blocks, those of one length at once."""
        padded = [_padded(waveform) for waveform in audio]
        frames: dict[int, Tensor] = {}
        for length in {len(waveform) for waveform in padded}:
            numbers = [number for number, waveform in enumerate(padded) if len(waveform) == length]
            made = self._embedding.model_.forward_frames(torch.stack([padded[number] for number in numbers])[:, None])
            frames.update(zip(numbers, made, strict=True))
        return [
            _Trunk(self._embedding, frames[number], len(waveform) / frames[number].shape[-1])
            for number, waveform in enumerate(padded)
        ]

    def _embed(self, trunk: "_Trunk", samples: int, block: Block, activity: NDArray[np.float16]) -> list[LocalSpeakers]:
        """Return what is heard in a block's windows, whose activity is (windows, frames, speakers)."""
        masks = _masks(activity, self._exclude_overlap)
        heard: list[LocalSpeakers] = []
        for number, offset in enumerate(block.offsets):
            moments = self._moments(block, number, samples)
            heard.append(
                LocalSpeakers(
                    (block.start + offset) / SAMPLE_RATE,
                    activity[number],
                    self._speakers(trunk, masks[number], offset, samples),
                    moments.start,
                    self._around(trunk, activity[number], offset, moments, block.start),
                )
            )
        return heard

    def _speakers(self, trunk: "_Trunk", mask: NDArray[np.float32], offset: int, samples: int) -> NDArray[np.float32]:
        """Return the embeddings of one window's speakers, (speakers, dimension), from what the mask selects."""
        frames, speakers = mask.shape
        embeddings = np.full((speakers, trunk.dimension), np.nan, np.float32)
        # Less than a window in a recording that is shorter.
        share = min(1.0, (samples - offset) / self.rules.length)
        mask = mask[: math.ceil(share * frames)]
        speaking = np.flatnonzero(mask.any(axis=0))
        if len(speaking):
            span = (offset, offset + share * self.rules.length)
            embeddings[speaking] = trunk.pooled(span, mask[:, speaking].T)
        return embeddings

    def _moments(self, block: Block, number: int, samples: int) -> range:
        """Return the moments that are in the middle of a window, where it knows most; the first and the last
        window of a block have those before and after, too.
        """
        if not self._looks_twice:
            return range(0)
        margin = (self.rules.length - self.rules.step) // 2
        start = block.start + block.offsets[number] + margin if number or block.start else 0
        last = number == len(block.offsets) - 1
        end = block.start + samples if last else block.start + block.offsets[number] + margin + self.rules.step
        return range(*(round(place / SAMPLE_RATE / MOMENT_SECONDS) for place in (start, end)))

    def _around(
        self, trunk: "_Trunk", activity: NDArray[np.float16], offset: int, moments: range, start: int
    ) -> NDArray[np.float32]:
        """Return the embeddings of what is heard around each moment, (moments, dimension)."""
        embeddings = np.full((len(moments), trunk.dimension), np.nan, np.float32)
        speech = activity > SPEAKS
        # Who speaks alone in each frame: nobody is -1.
        alone = np.where(speech.sum(axis=1) == 1, speech.argmax(axis=1), -1)
        # Where each moment's surroundings begin and end, in frames of this window.
        begun = (start + offset) / SAMPLE_RATE + self.frames.middle
        middles = ((np.array(moments) + 0.5) * MOMENT_SECONDS - begun) / self.frames.step
        width = round(AROUND_SECONDS / self.frames.step)
        places = np.rint(middles[:, None] - width / 2 + np.arange(width)).astype(int)
        inside = (places >= 0) & (places < len(alone))
        around = np.where(inside, alone[places.clip(0, len(alone) - 1)], -1)
        # Of whoever speaks then: what others say just before or after is not his.
        weights = ((around == around[:, [width // 2]]) & (around >= 0)).astype(np.float32)
        enough = np.flatnonzero(weights.sum(axis=1) * self.frames.step >= LEAST_AROUND_SECONDS)
        if len(enough):
            seconds = (middles[enough] - width / 2) * self.frames.step + self.frames.middle
            begins = offset + seconds * SAMPLE_RATE
            embeddings[enough] = trunk.pooled_around(begins, AROUND_SECONDS * SAMPLE_RATE, weights[enough])
        return embeddings


class _Trunk:
    """What the embedding network makes of a block, to pool embeddings from.

    Args:
        embedding: pyannote.audio's, around a model with `forward_frames` and `forward_embedding`.
        frames: what `forward_frames` gave for the block, (..., frames).
        samples_a_frame: how much of the block each stands for.
    """

    def __init__(self, embedding: Any, frames: Tensor, samples_a_frame: float) -> None:
        self._model = embedding.model_
        self.dimension = int(embedding.dimension)
        self._frames = frames
        self._samples_a_frame = samples_a_frame

    def pooled(self, span: tuple[float, float], masks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return embeddings, (masks, dimension), of what each mask, (masks, any), selects of the span in samples."""
        first = round(span[0] / self._samples_a_frame)
        last = max(first + 2, round(span[1] / self._samples_a_frame))
        weights = torch.from_numpy(np.ascontiguousarray(masks)).to(self._frames.device)
        embeddings: Tensor = self._model.forward_embedding(self._frames[None, ..., first:last], weights=weights[None])
        return embeddings[0].cpu().numpy()

    def pooled_around(
        self, begins: NDArray[np.float64], samples: float, masks: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return embeddings, (spans, dimension), of equally long spans that begin at the given samples.

        `masks`, (spans, any), select; they select nothing outside the block.
        """
        width = max(2, round(samples / self._samples_a_frame))
        places = np.rint(begins[:, None] / self._samples_a_frame + np.arange(width)).astype(np.int64)
        inside = torch.from_numpy(places.clip(0, self._frames.shape[-1] - 1)).to(self._frames.device)
        spans = self._frames[..., inside].movedim(-2, 0)
        embeddings: Tensor = self._model.forward_embedding(
            spans, weights=torch.from_numpy(masks).to(self._frames.device)
        )
        return embeddings.cpu().numpy()


def _masks(activity: NDArray[np.float16], exclude_overlap: bool) -> NDArray[np.float32]:
    """Return the frames to embed speakers from.

    Args:
        activity: shape (windows, frames, speakers).
        exclude_overlap: whether those where they speak alone, unless that is too little, or all where they speak.

    Returns:
        Zeros and ones of that shape.
    """
    speech = activity > SPEAKS
    alone = speech & (speech.sum(axis=2, keepdims=True) == 1)
    enough = exclude_overlap & (alone.sum(axis=1, keepdims=True) > FEWEST_CLEAN_FRAMES)
    return np.where(enough, alone, speech).astype(np.float32)


def _padded(audio: Tensor) -> Tensor:
    """Return audio, (samples,), repeated until its length is a multiple of `PADDED_TO`."""
    length = math.ceil(len(audio) / PADDED_TO) * PADDED_TO
    return audio.repeat(math.ceil(length / len(audio)))[:length]


def _published(folder: Path) -> Any:
    """Return the pipeline that the config.yaml in `folder` describes.

    Raises:
        ValueError: it needs something that is not done here.
    """
    pipeline = Pipeline.from_pretrained(folder)
    model = getattr(pipeline._embedding, "model_", None)
    if not (hasattr(model, "forward_frames") and hasattr(model, "forward_embedding")):
        raise ValueError(f"{type(model).__name__} has no forward_frames and forward_embedding, which pool speakers.")
    if not pipeline._segmentation.model.specifications.powerset:
        raise ValueError("The segmentation must be one with powerset classes, such as pyannote/segmentation-3.0.")
    if pipeline.segmentation.min_duration_off > PAUSE_SECONDS:
        raise ValueError(f"min_duration_off must not exceed {PAUSE_SECONDS}, the pauses that are bridged.")
    if isinstance(pipeline.clustering, AgglomerativeClustering):
        parameters = pipeline.clustering.parameters(instantiated=True)
        pipeline.clustering = BoundedClustering(metric=pipeline.clustering.metric).instantiate(parameters)
    return pipeline


def _assembled(folder: Path) -> Any:
    """Return pyannote's pipeline around the two models in `folder`."""
    for file in (SEGMENTATION_FILE, EMBEDDING_FILE):
        if not (folder / file).is_file():
            raise FileNotFoundError(f"{folder} holds neither config.yaml nor {file}.")
    pipeline = SpeakerDiarization(
        segmentation=load_segmentation(folder / SEGMENTATION_FILE),
        embedding=CamPlusPlusEmbedding.from_weights(folder / EMBEDDING_FILE),
        embedding_exclude_overlap=True,
        # The pipeline loads a PLDA whether its clustering has a use for one or not.
        plda=NoPlda(),
        clustering="AgglomerativeClustering",
    )
    pipeline.clustering = BoundedClustering(metric="cosine")
    clustering = {"method": "centroid", "threshold": THRESHOLD, "min_cluster_size": 1}
    return pipeline.instantiate({"segmentation": {"min_duration_off": 0.0}, "clustering": clustering})


def _smallest_cluster(spacing: float) -> int:
    """Return how many windows, `spacing` seconds from one to the next, begin over `CLUSTERED_SECONDS`."""
    return min(20, max(1, round(CLUSTERED_SECONDS / spacing)))


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


class NoPlda(PLDA):  # type: ignore[misc]  # pyannote.audio is untyped
    """Stands where a PLDA must be given and none is used."""

    def __init__(self) -> None:
        pass


@contextmanager
def _expected_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        for message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        yield
