"""CAM++, the speaker embedding network, and its form as a model of pyannote.audio.

Hui Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware Masking",
Interspeech 2023 (arXiv 2303.00332). The weights are those of the 3D-Speaker project (Apache-2.0); attributes
are named after the keys of its state dict, so that they load strictly.

    fbank (80 bins) -> FrontEnd: 2-D convolutions, frequency / 8 -> 320 channels
                    -> TDNN, time / 2 -> three dense blocks of masked layers, a transition after each
                    -> mean and standard deviation over time -> 192 numbers
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.compliance import kaldi

from services.audio.pcm import SAMPLE_RATE
from services.diarize.pyannote_import import Model, StatsPool

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
    """The network. Needs at least three frames."""

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
        self.pooling = StatsPool()
        self.xvector.add_module("dense", _Projection(2 * channels, dimension))

    def trunk(self, features: Tensor) -> Tensor:
        """Turn centred features, (batch, frames, `MEL_BINS`), into what is pooled, (batch, channels, frames / 2)."""
        layers = list(self.xvector)
        frames: Tensor = nn.Sequential(*layers[:-1])(self.head(features.transpose(1, 2)))
        return frames

    def pooled(self, frames: Tensor, weights: Tensor | None) -> Tensor:
        """Turn what the trunk gives into embeddings, as `CamPlusPlusEmbedding.forward_embedding`."""
        statistics: Tensor = self.pooling(frames, weights)
        embeddings: Tensor = self.xvector[-1](statistics.flatten(0, -2))
        return embeddings.reshape(*statistics.shape[:-1], -1)


class CamPlusPlusEmbedding(Model):  # type: ignore[misc]  # pyannote.audio is untyped
    """CAM++ as the `embedding` of pyannote.audio's SpeakerDiarization, with the methods of its own WeSpeaker models.

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
        # A quarter faster on a CPU; the numbers stay the same.
        model.network.head.to(memory_format=torch.channels_last)
        model.eval()
        return model

    def forward(self, waveforms: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return embeddings, (batch, dimension) or (batch, speakers, dimension); see the two steps below."""
        return self.forward_embedding(self.forward_frames(waveforms), weights)

    def forward_frames(self, waveforms: Tensor) -> Tensor:
        """Return what speakers are pooled from, (batch, channels, frames of 20 ms).

        Args:
            waveforms: (batch, 1, samples), 16 kHz, -1 to 1; at least 65 ms.
        """
        features = torch.stack(
            [
                kaldi.fbank(waveform, num_mel_bins=MEL_BINS, sample_frequency=SAMPLE_RATE, dither=0.0)
                for waveform in waveforms
            ]
        )
        return self.network.trunk(features - features.mean(dim=1, keepdim=True))

    def forward_embedding(self, frames: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the embeddings of what the weights select.

        Args:
            frames: of `forward_frames`.
            weights: (batch, frames) or (batch, speakers, frames) at any frame rate. Everything unless given.

        Returns:
            (batch, dimension) or (batch, speakers, dimension).
        """
        return self.network.pooled(frames, weights)
