"""Decoded PCM into frames, in the decoder's process: a small first one, then large ones, never held back for long."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from services.audio import pcm
from services.edge.decoder_protocol import KIND_AUDIO, MAX_PAYLOAD_BYTES, FrameWriter, Refusal

_FIRST_CHUNK_BYTES: Final = 32 * 1024
_FLUSH_SECONDS: Final = 0.25


@dataclass(frozen=True)
class Wait:
    """For sound, in a track that may be silent throughout."""

    before_sound: Callable[[], None]
    """Is called before the first frame goes."""
    until: float
    """When it is given up, on `time.monotonic`."""


class PcmSink:
    """Gathers PCM of one channel, or of several that go on side by side.

    Args:
        frames: where the frames go.
        max_seconds: most audio that may pass; more is refused with `too_long`.
        channels: how many there are.
        wait: for the first sample that is not 0, before which nothing goes.
    """

    def __init__(
        self,
        frames: FrameWriter,
        max_seconds: float,
        channels: int = 1,
        wait: Wait | None = None,
    ) -> None:
        self._frames = frames
        self._max_seconds = max_seconds
        self._max_bytes = pcm.byte_count(max_seconds)
        self._pending = tuple(bytearray() for _ in range(channels))
        self._flush_at = _FIRST_CHUNK_BYTES
        self._last_flush = time.monotonic()
        self._bytes = 0
        self._wait = wait
        self.are_alike = channels > 1
        """Whether all channels have carried the very same samples so far."""

    @property
    def samples(self) -> int:
        """Samples of each channel taken so far."""
        return self._bytes // pcm.SAMPLE_BYTES

    def write(self, channels: Sequence[bytes | memoryview]) -> None:
        """Take PCM of any length, the same of every channel: a whole number of samples.

        Raises:
            Refusal: `too_long`.
        """
        self._bytes += len(channels[0])
        if self._bytes > self._max_bytes:
            raise too_long(self._max_seconds)
        if self._wait is not None:
            if all(map(_is_zero, channels)) and time.monotonic() < self._wait.until:
                return
            self._begin(self._wait, self._bytes - len(channels[0]))
        for pending, data in zip(self._pending, channels, strict=True):
            pending += data
        if len(self._pending[0]) >= self._flush_at or time.monotonic() - self._last_flush > _FLUSH_SECONDS:
            self.flush()

    @property
    def is_waiting(self) -> bool:
        """Whether all was silence so far, of which no frame went."""
        return self._wait is not None

    def _begin(self, wait: Wait, silent_bytes: int) -> None:
        self._wait = None
        wait.before_sound()
        all_bytes, self._bytes = self._bytes, 0
        self.write_silence(silent_bytes // pcm.SAMPLE_BYTES)
        self._bytes = all_bytes

    def write_silence(self, samples: int) -> None:
        """Take `samples` of silence, in pieces."""
        left = samples * pcm.SAMPLE_BYTES
        while left > 0:
            piece = min(left, MAX_PAYLOAD_BYTES)
            self.write([bytes(piece)] * len(self._pending))
            left -= piece

    def flush(self) -> None:
        """Send what was gathered."""
        first = self._pending[0]
        self.are_alike = self.are_alike and all(other == first for other in self._pending)
        for start in range(0, len(first), MAX_PAYLOAD_BYTES):
            for channel, pending in enumerate(self._pending):
                with memoryview(pending) as view, view[start : start + MAX_PAYLOAD_BYTES] as piece:
                    self._frames.write(KIND_AUDIO, piece, channel)
        for pending in self._pending:
            pending.clear()
        self._flush_at = MAX_PAYLOAD_BYTES
        self._last_flush = time.monotonic()


def _is_zero(data: bytes | memoryview) -> bool:
    return bytes(data).count(0) == len(data)


def too_long(max_seconds: float) -> Refusal:
    """Return the refusal of a recording longer than `max_seconds`."""
    hours, minutes = max_seconds / 3600, max_seconds / 60
    limit = f"{hours:.3g} hours" if hours >= 2 else f"{minutes:.3g} minutes" if minutes >= 2 else f"{max_seconds:g} s"
    return Refusal("too_long", f"The recording is longer than {limit}, which is the most that we transcribe at once.")
