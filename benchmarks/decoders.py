"""Our decoder and plain PyAV side by side, and generated files for both."""

import gc
import os
import time
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from services.audio.pcm import SAMPLE_BYTES, SAMPLE_RATE
from services.edge.decoders import Decoders
from services.edge.media import DecodeLimits

_PERIOD_SECONDS = 10


@dataclass(frozen=True)
class Format:
    """A kind of file."""

    name: str
    suffix: str
    codec: str
    rate: int
    channels: int
    bit_rate: int | None = None


MP3 = Format("MP3 44.1 kHz stereo", "mp3", "libmp3lame", 44_100, 2, 128_000)
WAV = Format("WAV 16 kHz mono", "wav", "pcm_s16le", 16_000, 1)
FORMATS = (
    WAV,
    Format("WAV 44.1 kHz stereo", "wav", "pcm_s16le", 44_100, 2),
    Format("FLAC 44.1 kHz stereo", "flac", "flac", 44_100, 2),
    MP3,
    Format("AAC in MP4 44.1 kHz stereo", "mp4", "aac", 44_100, 2, 128_000),
    Format("Opus in Ogg 48 kHz stereo", "ogg", "libopus", 48_000, 2, 64_000),
)


@dataclass(frozen=True)
class Decoded:
    """How decoding one file went."""

    seconds: float
    """It took, from the beginning until the last PCM was there."""
    audio_seconds: float
    """That came out."""


async def decode_by_ours(decoders: Decoders, path: Path) -> Decoded:
    """Decode a whole file as a request does; what comes out has come from another process."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        gc.collect()
        began = time.perf_counter()
        received = 0
        async with decoders.decode(descriptor, DecodeLimits()) as decoding:
            await decoding.probe()
            async for chunk in decoding.chunks():
                received += len(chunk.pcm)
            seconds = time.perf_counter() - began
        return Decoded(seconds, received / SAMPLE_BYTES / SAMPLE_RATE)
    finally:
        os.close(descriptor)


def decode_plainly(path: Path) -> Decoded:
    """Decode a whole file with PyAV in this thread alone, its resampler to 16 kHz mono s16 behind it."""
    gc.collect()
    began = time.perf_counter()
    samples = 0
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            for ready in resampler.resample(frame):
                samples += _taken(ready)
        for ready in resampler.resample(None):
            samples += _taken(ready)
    return Decoded(time.perf_counter() - began, samples / SAMPLE_RATE)


def _taken(frame: av.AudioFrame) -> int:
    """Take a frame's PCM as bytes, which are dropped; return its samples."""
    return len(bytes(memoryview(frame.planes[0])[: frame.samples * SAMPLE_BYTES])) // SAMPLE_BYTES


def make_file(folder: Path, kind: Format, seconds: float) -> Path:
    """Write a file of a generated signal; return where."""
    path = folder / f"{kind.codec}-{kind.rate}-{seconds:g}.{kind.suffix}"
    signal = _signal(kind.rate, kind.channels)
    layout = "mono" if kind.channels == 1 else "stereo"
    total = round(seconds * kind.rate)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(kind.codec, rate=kind.rate, layout=layout)
        if kind.bit_rate is not None:
            stream.bit_rate = kind.bit_rate
        for start in range(0, total, kind.rate):
            place = start % (_PERIOD_SECONDS * kind.rate)
            piece = signal[place : place + min(kind.rate, total - start)]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece.reshape(1, -1)), "s16", layout)
            frame.sample_rate, frame.pts = kind.rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _signal(rate: int, channels: int) -> NDArray[np.int16]:
    """Return ten seconds of something like speech: harmonics that come and go by the syllable, and some noise."""
    times = np.arange(_PERIOD_SECONDS * rate)[:, None] / rate
    pitch = 110 + 15 * np.sin(2 * np.pi * 0.3 * times) + 5 * np.arange(channels)
    phase = 2 * np.pi * np.cumsum(pitch, axis=0) / rate
    voice = np.sum([np.sin(number * phase) / number for number in range(1, 20)], axis=0)
    loud = np.clip(np.sin(2 * np.pi * 4 * times), 0, 1)
    noise = np.random.default_rng(8).normal(0, 0.02, voice.shape)
    return np.asarray(4000 * (loud * voice + noise), "<i2")


async def alternately(decoders: Decoders, path: Path, rounds: int) -> tuple[list[Decoded], list[Decoded]]:
    """Decode a file by ours and plainly, one after the other in every round, after one round for nothing."""
    runs: tuple[list[Decoded], list[Decoded]] = [], []
    for _ in range(rounds + 1):
        runs[0].append(await decode_by_ours(decoders, path))
        runs[1].append(decode_plainly(path))
    return runs[0][1:], runs[1][1:]
