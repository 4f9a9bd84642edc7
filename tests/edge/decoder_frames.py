"""What a decoder writes, read back."""

import array
import io
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.edge import decoder_protocol as protocol
from services.edge.decoder_protocol import FrameWriter


@dataclass
class Frames:
    """What a decoder said."""

    kinds: str = ""
    probe: dict[str, Any] = field(default_factory=dict)
    done: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)
    chunks: list[int] = field(default_factory=list)
    samples: "array.array[int]" = field(default_factory=lambda: array.array("h"))
    """Of the first channel."""
    others: dict[int, "array.array[int]"] = field(default_factory=dict)
    """Of the other channels."""

    @property
    def seconds(self) -> float:
        return len(self.samples) / 16_000

    def level(self, start: float, end: float) -> float:
        """Mean magnitude between two times."""
        part = self.samples[round(start * 16_000) : round(end * 16_000)]
        return sum(abs(sample) for sample in part) / len(part)


def read_frames(stream: io.BufferedReader) -> Frames:
    frames = Frames()
    while header := stream.read(protocol.FRAME_HEADER.size):
        kind, channel, size = protocol.FRAME_HEADER.unpack(header)
        payload = stream.read(size)
        assert len(payload) == size
        if not (frames.kinds.endswith("a") and kind == b"a"):
            frames.kinds += kind.decode()
        if kind == b"a":
            frames.chunks.append(size)
            into = frames.samples if channel == 0 else frames.others.setdefault(channel, array.array("h"))
            into.frombytes(payload)
        else:
            name = {b"i": "probe", b"d": "done", b"e": "error"}[kind]
            setattr(frames, name, json.loads(payload))
    return frames


def run_writer(write: Callable[[FrameWriter], None]) -> Frames:
    """Return what `write` puts into a pipe."""
    reading, writing = os.pipe()

    def work() -> None:
        try:
            write(FrameWriter(writing))
        finally:
            os.close(writing)

    thread = threading.Thread(target=work)
    thread.start()
    with open(reading, "rb") as stream:
        frames = read_frames(stream)
    thread.join()
    return frames
