"""Media files made at test time with PyAV: a tone in any container, beside a film or alone."""

import array
import io
import math
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

DEV_DATA = Path(__file__).parents[2].parent / "shared/data/dev"


MILLISECOND = Fraction(1, 1_000)


@dataclass(frozen=True)
class Recipe:
    """What to encode: `spans` are the (start, end) seconds that carry the tone, with nothing between them."""

    container: str
    codec: str
    video: str | None = None
    subtitles: str | None = None
    rate: int = 16_000
    layout: str = "mono"
    hot: int | None = None
    spans: tuple[tuple[float, float], ...] = ((0.0, 2.0),)


def tone(rate: int, layout: str, hot: int | None, start: float, end: float) -> Iterator[av.AudioFrame]:
    """Yield 440 Hz frames of 1024 samples; on the channel `hot` alone, or on all."""
    channels = av.AudioLayout(layout).nb_channels
    for first in range(round(start * rate), round(end * rate), 1024):
        count = min(1024, round(end * rate) - first)
        wave = [int(16_000 * math.sin(2 * math.pi * 440 * (first + i) / rate)) for i in range(count)]
        samples = array.array("h", [0]) * (count * channels)
        for channel in range(channels):
            if hot is None or hot == channel:
                samples[channel::channels] = array.array("h", wave)
        frame = av.AudioFrame(format="s16", layout=layout, samples=count)
        frame.planes[0].update(samples.tobytes())
        frame.sample_rate = rate
        frame.time_base = Fraction(1, rate)
        frame.pts = first
        yield frame


def film(seconds: float) -> Iterator[av.VideoFrame]:
    """Yield 25 grey pictures a second."""
    for number in range(round(seconds * 25)):
        frame = av.VideoFrame(64, 48, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([number % 200 + 16]) * plane.buffer_size)
        frame.pts = number
        frame.time_base = Fraction(1, 25)
        yield frame


def title(stream: av.stream.Stream, coding: str | None) -> av.Packet:
    """Return a subtitle of a second."""
    text = b"Hello"
    packet = av.Packet(struct.pack(">H", len(text)) + text if coding == "mov_text" else text)
    packet.stream, packet.time_base = stream, MILLISECOND
    packet.pts = packet.dts = 500
    packet.duration = 1_000
    return packet


def encode(recipe: Recipe) -> bytes:
    """Return the file."""
    target = io.BytesIO()
    with av.open(target, "w", format=recipe.container) as output:
        # Every track is there before the first packet: that is when the header is written.
        video = output.add_stream(recipe.video, rate=25) if recipe.video is not None else None
        audio = None
        if recipe.spans:
            # FFmpeg's own Vorbis encoder calls itself experimental.
            experimental = {"strict": "experimental"}
            audio = output.add_stream(recipe.codec, rate=recipe.rate, layout=recipe.layout, options=experimental)
            if recipe.codec == "wmav2":
                audio.bit_rate = 96_000  # it has no default
        titles = output.add_mux_stream(recipe.subtitles, time_base=MILLISECOND) if recipe.subtitles else None
        if titles is not None:
            output.mux(title(titles, recipe.subtitles))
        if video is not None:
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            for picture in film(recipe.spans[-1][1] if recipe.spans else 2.0):
                output.mux(video.encode(picture))
            output.mux(video.encode(None))
        if audio is not None:
            for start, end in recipe.spans:
                for frame in tone(recipe.rate, recipe.layout, recipe.hot, start, end):
                    output.mux(audio.encode(frame))
            output.mux(audio.encode(None))
    return target.getvalue()


def wav_header(data_bytes: int, rate: int = 16_000, channels: int = 1) -> bytes:
    """Return a WAV header for 16-bit samples; sizes beyond 4 GB are clipped as recorders do."""
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    riff = min(36 + data_bytes, 0xFFFFFFFF)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", min(data_bytes, 0xFFFFFFFF))
    return b"RIFF" + struct.pack("<I", riff) + body


@pytest.fixture(scope="session")
def media() -> Callable[..., bytes]:
    """Return a maker of media files, the fields of `Recipe` as arguments; each is encoded once."""
    made: dict[Recipe, bytes] = {}

    def make(container: str, codec: str, **more: Any) -> bytes:
        recipe = Recipe(container, codec, **more)
        if recipe not in made:
            made[recipe] = encode(recipe)
        return made[recipe]

    return make


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[Callable[[bytes], int]]:
    """Return a function that gives an open descriptor of a file with this content."""
    opened: list[int] = []

    def make(content: bytes) -> int:
        path = tmp_path / f"upload{len(opened)}"
        path.write_bytes(content)
        opened.append(os.open(path, os.O_RDONLY))
        return opened[-1]

    yield make
    for number in opened:
        os.close(number)


@pytest.fixture
def wav() -> Callable[..., bytes]:
    """Return a maker of WAV files: `samples` of noise behind a header that claims `claim` bytes."""

    def make(samples: int, claim: int | None = None, rate: int = 16_000) -> bytes:
        data = array.array("h", [(i * 7919) % 20_000 - 10_000 for i in range(samples)]).tobytes()
        return wav_header(len(data) if claim is None else claim, rate) + data

    return make


@pytest.fixture
def long_wav(tmp_path: Path) -> Iterator[Callable[[float], int]]:
    """Return a maker of sparse WAV files of any length, as descriptors."""
    opened: list[int] = []

    def make(seconds: float) -> int:
        path = tmp_path / f"long{len(opened)}.wav"
        data_bytes = round(seconds * 32_000)
        with path.open("wb") as file:
            file.write(wav_header(data_bytes))
            file.truncate(44 + data_bytes)
        opened.append(os.open(path, os.O_RDONLY))
        return opened[-1]

    yield make
    for number in opened:
        os.close(number)


@pytest.fixture(scope="session")
def dev_data() -> Path:
    """Return the folder of the development recordings, or skip."""
    if not (DEV_DATA / "formats_truth.json").exists():
        pytest.skip(f"the development recordings are not at {DEV_DATA}")
    return DEV_DATA
