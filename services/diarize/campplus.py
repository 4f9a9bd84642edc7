"""CAM++, the speaker embedding network, and its form as a model of pyannote.audio.

Hui Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware Masking",
Interspeech 2023 (arXiv 2303.00332). The weights are those of the 3D-Speaker project (Apache-2.0); attributes
are named after the keys of its state dict, so that they load strictly.

    fbank (80 bins) -> FrontEnd: 2-D convolutions, frequency / 8 -> 320 channels
                    -> TDNN, time / 2 -> three dense blocks of masked layers, a transition after each
                    -> mean and standard deviation over time -> 192 numbers
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.compliance import kaldi

from services.audio.pcm import SAMPLE_RATE
from services.diarize.pyannote_import import Model

MEL_BINS = 80
"""Width of the features."""

GROWTH = 32
"""Channels that every dense layer adds."""

BOTTLENECK = 128
"""Channels inside a dense layer."""

CONTEXT_FRAMES = 100
"""Length of the segments whose mean is the near context of the mask, in frames of 20 ms."""

BLOCKS = ((12, 1), (24, 2), (16, 2))
"""Layers and dilation of each dense block."""

FRAMES_MULTIPLE = 50
"""Selections are rounded up to a multiple of this many frames (of 10 ms) by repeating their first ones.

The libraries below prepare a kernel for every new shape and keep it: with any length allowed they took more
memory with every recording. It also spares the pooling a deviation over two or three frames.
"""


def _activation(channels: int) -> nn.Sequential:
    activation = nn.Sequential()
    activation.add_module("batchnorm", nn.BatchNorm1d(channels))
    activation.add_module("relu", nn.ReLU(inplace=True))
    return activation


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; `stride` shortens the frequency axis alone."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, (stride, 1), padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(nn.Conv2d(channels, channels, 1, (stride, 1), bias=False))
            self.shortcut.append(nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        shortcut: Tensor = self.shortcut(x)
        return F.relu(y + shortcut)


class _FrontEnd(nn.Module):
    """The paper's FCM, convolutions in frequency and time: (batch, bins, frames) to (batch, 320, frames)."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layer1 = nn.Sequential(_ResidualBlock(channels, 2), _ResidualBlock(channels, 1))
        self.layer2 = nn.Sequential(_ResidualBlock(channels, 2), _ResidualBlock(channels, 1))
        self.conv2 = nn.Conv2d(channels, channels, 3, (2, 1), padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.out_channels = channels * MEL_BINS // 8

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x.unsqueeze(1))))
        x = self.layer2(self.layer1(x))
        return F.relu(self.bn2(self.conv2(x))).flatten(1, 2)


class _MaskedConvolution(nn.Module):
    """A dilated convolution whose output is masked by what surrounds it (context-aware masking).

    The context of a frame is the mean over all time plus the mean over its segment of `CONTEXT_FRAMES`.
    """

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(BOTTLENECK, GROWTH, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(BOTTLENECK, BOTTLENECK // 2, 1)
        self.linear2 = nn.Conv1d(BOTTLENECK // 2, GROWTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        segments = F.avg_pool1d(x, CONTEXT_FRAMES, CONTEXT_FRAMES, ceil_mode=True)
        context = x.mean(dim=-1, keepdim=True) + segments
        mask = torch.sigmoid(self.linear2(F.relu(self.linear1(context))))
        local: Tensor = self.linear_local(x)
        return local * mask.repeat_interleave(CONTEXT_FRAMES, dim=-1)[..., : x.shape[-1]]


class _DenseLayer(nn.Module):
    """Narrow to `BOTTLENECK` channels, convolve with a mask, and append `GROWTH` channels to the input."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = _activation(channels)
        self.linear1 = nn.Conv1d(channels, BOTTLENECK, 1, bias=False)
        self.nonlinear2 = _activation(BOTTLENECK)
        self.cam_layer = _MaskedConvolution(dilation)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))], dim=1)


class _TimeDelayLayer(nn.Module):
    """One convolution over five frames that halves the frame rate."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, out_channels, 5, stride=2, padding=2, bias=False)
        self.nonlinear = _activation(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = self.nonlinear(self.linear(x))
        return activated


class _Transition(nn.Module):
    """Halve the channels after a dense block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.nonlinear = _activation(channels)
        self.linear = nn.Conv1d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        narrowed: Tensor = self.linear(self.nonlinear(x))
        return narrowed


class _Projection(nn.Module):
    """From pooled statistics, (batch, statistics), to the embedding, (batch, dimension)."""

    def __init__(self, statistics: int, dimension: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(statistics, dimension, 1, bias=False)
        self.nonlinear = nn.Sequential()
        self.nonlinear.add_module("batchnorm", nn.BatchNorm1d(dimension, affine=False))

    def forward(self, x: Tensor) -> Tensor:
        embedding: Tensor = self.nonlinear(self.linear(x.unsqueeze(-1)).squeeze(-1))
        return embedding


class CamPlusPlus(nn.Module):
    """The network: centred features, (batch, frames, `MEL_BINS`), to embeddings, (batch, `dimension`).

    Needs at least three frames.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.head = _FrontEnd()
        self.xvector = nn.Sequential()
        channels = BOTTLENECK
        self.xvector.add_module("tdnn", _TimeDelayLayer(self.head.out_channels, channels))
        for number, (layers, dilation) in enumerate(BLOCKS, start=1):
            block = nn.Sequential()
            for layer in range(1, layers + 1):
                block.add_module(f"tdnnd{layer}", _DenseLayer(channels, dilation))
                channels += GROWTH
            self.xvector.add_module(f"block{number}", block)
            self.xvector.add_module(f"transit{number}", _Transition(channels))
            channels //= 2
        self.xvector.add_module("out_nonlinear", _activation(channels))
        self.xvector.add_module("stats", _StatisticsPooling())
        self.xvector.add_module("dense", _Projection(2 * channels, dimension))

    def forward(self, features: Tensor) -> Tensor:
        """Return one embedding for each item of the batch."""
        embeddings: Tensor = self.xvector(self.head(features.transpose(1, 2)))
        return embeddings


class _StatisticsPooling(nn.Module):
    """Mean and standard deviation over time: (batch, channels, frames) to (batch, 2 * channels)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean(dim=-1), x.std(dim=-1)], dim=-1)


class CamPlusPlusEmbedding(Model):  # type: ignore[misc]  # pyannote.audio is untyped
    """CAM++ as the `embedding` of pyannote.audio's SpeakerDiarization.

    Args:
        dimension: length of the embeddings.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__(sample_rate=SAMPLE_RATE, num_channels=1)
        self.dimension = dimension
        self.network = CamPlusPlus(dimension)

    @classmethod
    def from_weights(cls, path: Path) -> "CamPlusPlusEmbedding":
        """Return the model with the state dict at `path`; every key must match."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        model = cls(dimension=state["xvector.dense.linear.weight"].shape[0])
        model.network.load_state_dict(state, strict=True)
        model.eval()
        return model

    def forward(self, waveforms: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return embeddings of the frames that `weights` selects.

        Args:
            waveforms: (batch, 1, samples), 16 kHz, -1 to 1; at least 25 ms.
            weights: (batch, frames) at any frame rate; above 0.5 is selected. Everything unless given.

        Returns:
            (batch, dimension). A row that selects nothing is NaN, pyannote.audio's sign for "no embedding".
        """
        selections = []
        for index, waveform in enumerate(waveforms):
            features = kaldi.fbank(waveform, num_mel_bins=MEL_BINS, sample_frequency=SAMPLE_RATE, dither=0.0)
            if weights is not None:
                features = features[_selected(weights[index], len(features))]
            selections.append(features)
        embeddings = waveforms.new_full((len(waveforms), self.dimension), torch.nan)
        # On a CPU a batch of several is no faster, it falls out of the caches, and takes far more memory.
        largest = 1 if waveforms.device.type == "cpu" else len(selections)
        for rows in _batches(selections, largest):
            # Centred over the speaker's own frames: the network was trained on recordings of one speaker.
            batch = torch.stack([_rounded_up(selections[row]) for row in rows])
            embeddings[rows] = self.network(batch - batch.mean(dim=1, keepdim=True))
        return embeddings


def _batches(selections: Sequence[Tensor], largest: int) -> Iterator[list[int]]:
    """Group the rows that select anything by the length they are rounded up to, at most `largest` in a group."""
    groups: dict[int, list[int]] = {}
    for row, features in enumerate(selections):
        if len(features):
            groups.setdefault(-(-len(features) // FRAMES_MULTIPLE), []).append(row)
    for rows in groups.values():
        for start in range(0, len(rows), largest):
            yield rows[start : start + largest]


def _rounded_up(features: Tensor) -> Tensor:
    """Repeat features, (frames, bins), from the first on until their number is a multiple."""
    frames = -(-len(features) // FRAMES_MULTIPLE) * FRAMES_MULTIPLE
    return features.repeat(-(-frames // len(features)), 1)[:frames]


def _selected(weights: Tensor, frames: int) -> Tensor:
    """Stretch weights, (any,), over `frames` and return a boolean mask, (frames,)."""
    return F.interpolate(weights[None, None], size=frames, mode="nearest")[0, 0] > 0.5
