"""One file being decoded, from the edge's side: what the decoder says, frame by frame.

The edge reads a frame only when it is asked for the next, and keeps no more than one plus the pipe's
buffer: the pipe fills, the decoder waits, and memory stays the same for a file of any length. What the decoder
says is not trusted: it has met hostile bytes (sizes are checked, JSON is validated).
"""

import asyncio
import json
import math
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final

from services.audio import pcm
from services.edge import decoder_protocol as protocol
from services.edge.life_line import LifeLine
from services.runtime.errors import Fault, MeshError
from services.runtime.logs import get_logger

log = get_logger()

_MAX_TEXT: Final = 500
_LONG_SECONDS: Final = 120.0
_UNTRUE: Final = (ValueError, TypeError, KeyError, OverflowError, RecursionError)
"""What reading something raises that is not what it should be."""

_FIELDS: Final = {
    "empty_file": "file",
    "no_audio_track": "file",
    "unreadable_media": "file",
    "too_long": "file",
    "one_channel": "channels",
    "too_many_channels": "channels",
}
"""The codes of refusals, and which field of the form is wrong."""


@dataclass(frozen=True)
class Probe:
    """What the file is, as far as it says."""

    duration: float | None
    """Seconds, None if unknown; an estimate for formats that do not say."""
    container: str
    """FFmpeg's name of the container, such as `mov`, `matroska`, `mp3`."""
    codec: str
    """FFmpeg's name of the audio coding, such as `aac`."""
    sample_rate: int
    """Samples a second in the file."""
    channels: int
    """Channels in the file."""
    has_video: bool
    """Whether there is a film beside the sound; a cover picture does not count."""
    is_guessed: bool
    """Whether `duration` may be made up from the size of the file and the bit rate of its beginning."""


@dataclass(frozen=True)
class MediaWarning:
    """Something wrong with a file that was decoded all the same."""

    code: str
    """`truncated`, `damaged`, `channels_alike` or `channels_opposite`."""
    message: str
    """One sentence for the user."""


@dataclass(frozen=True)
class Chunk:
    """A piece of what was decoded."""

    channel: int
    """From 0; always 0 where the channels are mixed."""
    pcm: bytes
    """16 kHz mono s16, at most 256 KiB."""


@dataclass(frozen=True)
class DecodeLimits:
    """What one file may cost."""

    max_seconds: float = 24 * 3600.0
    """Most audio that may come out."""
    stall_seconds: float = 30.0
    """Longest time without a byte from a decoder that is asked for one; in all it may take this long and half as
    long as what it has decoded lasts."""
    memory_bytes: int = 160 * 1024**2
    """Memory of the decoder's own, beside that for the index of a large file."""
    most_index_bytes: int = 256 * 1024**2
    """The most that goes with the size of a file, half as much again: the index of a day of AAC in 170 MB takes 230 MB
    for a moment. A small file that claims to need one does not get it."""
    cpu_seconds: int | None = None
    """CPU time of the decoder; None for a minute and one second for every 10 s of `max_seconds`."""

    def job(self, file_bytes: int, *, separate: bool = False) -> protocol.Job:
        """Return the decoder's part of the limits, for a file of this size."""
        cpu_seconds = 60 + math.ceil(self.max_seconds / 10) if self.cpu_seconds is None else self.cpu_seconds
        memory_bytes = self.memory_bytes + min(file_bytes * 3 // 2, self.most_index_bytes)
        return protocol.Job(self.max_seconds, cpu_seconds, memory_bytes, separate)


class Decoding:
    """One file being decoded. Made by `Decoders`; ask `probe` first, then iterate over `chunks` once.

    Args:
        frames: what the decoder writes.
        line: to its server.
        pid: its process id.
        limits: what it may cost.
        separate: whether it was told to keep the channels apart.
    """

    def __init__(
        self, frames: asyncio.StreamReader, line: LifeLine, pid: int, limits: DecodeLimits, *, separate: bool = False
    ) -> None:
        self.pid = pid
        self._separate = separate
        self._frames = frames
        self._line = line
        self._limits = limits
        self._probe: Probe | None = None
        self._waited = 0.0
        self._yields = False
        self._streamed = 0
        self.decoded_seconds = 0.0
        """Seconds given out so far of the first channel; the whole recording once `chunks` has ended."""
        self.warnings: tuple[MediaWarning, ...] = ()
        """Known once `chunks` has ended."""

    async def probe(self) -> Probe:
        """Return what the file is, once its first audio has decoded.

        Raises:
            MeshError: INVALID when it cannot be decoded, TOO_LARGE when it says that it is too long.
        """
        if self._probe is None:
            kind, _, payload = await self._frame()
            if kind != protocol.KIND_PROBE:
                raise self._broken("no probe first")
            try:
                told = json.loads(payload)
                self._probe = _parse_probe(told)
                if not told["is_filtered"]:
                    log.warning("decoder_without_seccomp")
            except _UNTRUE as error:
                raise self._broken("malformed probe") from error
            if self._separate and not 1 < self._probe.channels <= protocol.MAX_CHANNELS:
                raise self._broken("wrong number of channels")
        return self._probe

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """Yield the audio; the decoder waits between two chunks. Channels take turns, the first one first.

        Raises:
            MeshError: as `probe`; TOO_LARGE also late, when more audio came out than the file announced.
        """
        probe = await self.probe()
        channels = probe.channels if self._separate else 1
        while True:
            kind, channel, payload = await self._frame()
            if kind == protocol.KIND_AUDIO:
                if channel >= channels:
                    raise self._broken("unknown channel")
                if channel == 0:
                    self._streamed += len(payload)
                    self.decoded_seconds = pcm.seconds(self._streamed)
                    self._let_others_go_first()
                yield Chunk(channel, payload)
            elif kind == protocol.KIND_DONE:
                try:
                    self.warnings = _parse_warnings(json.loads(payload))
                except _UNTRUE as error:
                    raise self._broken("malformed end") from error
                return
            else:
                raise self._broken("unexpected frame")

    def _let_others_go_first(self) -> None:
        """Lower the priority of a decoder of a long recording: it is ahead of the services anyway."""
        if self._yields or self.decoded_seconds < _LONG_SECONDS:
            return
        self._yields = True
        self._line.let_others_go_first()

    async def _frame(self) -> tuple[bytes, int, bytes]:
        """Return the next frame; an error frame, a dead decoder and a silent one are raised."""
        asked = time.monotonic()
        patience = self._limits.stall_seconds + self.decoded_seconds / 2 - self._waited
        try:
            async with asyncio.timeout(min(patience, self._limits.stall_seconds)):
                header = await self._frames.readexactly(protocol.FRAME_HEADER.size)
                kind, channel, size = protocol.FRAME_HEADER.unpack(header)
                if size > protocol.MAX_PAYLOAD_BYTES or (kind == protocol.KIND_AUDIO and size % pcm.SAMPLE_BYTES):
                    raise self._broken("malformed frame")
                payload = await self._frames.readexactly(size)
        except TimeoutError:
            raise self._broken("stalled") from None
        except asyncio.IncompleteReadError:
            raise await self._ended() from None
        self._waited += time.monotonic() - asked
        if kind == protocol.KIND_ERROR:
            raise self._refused(payload)
        return kind, channel, payload

    def _refused(self, payload: bytes) -> MeshError:
        try:
            refusal = json.loads(payload)
            code, message, detail = refusal["code"], refusal["message"], refusal.get("detail")
        except _UNTRUE:
            return self._broken("malformed refusal")
        if code not in _FIELDS or not isinstance(message, str):
            return self._broken("unknown refusal")
        if detail is not None:
            log.warning("decoder_failed", detail=str(detail)[:_MAX_TEXT])
        fault = Fault.TOO_LARGE if code == "too_long" else Fault.INVALID
        return MeshError(fault, message[:_MAX_TEXT], code=code, field=_FIELDS[code])

    async def _ended(self) -> Exception:
        """Return the error for a decoder that ended in the middle of its work."""
        try:
            async with asyncio.timeout(self._limits.stall_seconds):
                status = await self._line.ended()
        except TimeoutError:
            return self._broken("silent, but alive")
        if status is None:
            return decoder_unavailable()
        if status < 0 or status == protocol.EXIT_DECODING_FAILED:
            return self._broken(f"exit status {status}")
        # Another exit is not the file's doing: the decoder could not begin.
        return RuntimeError(f"the decoder ended with status {status} before its work was done")

    def _broken(self, reason: str) -> MeshError:
        log.warning("decoder_broken", reason=reason)
        return MeshError(
            Fault.INVALID,
            "The file could not be decoded; it may be damaged.",
            code="unreadable_media",
            field="file",
        )


def _parse_probe(value: dict[str, Any]) -> Probe:
    duration = value["duration"]
    if duration is not None and not 0 < float(duration) < math.inf:
        raise ValueError("duration")
    return Probe(
        duration=None if duration is None else float(duration),
        container=str(value["container"])[:_MAX_TEXT],
        codec=str(value["codec"])[:_MAX_TEXT],
        sample_rate=int(value["sample_rate"]),
        channels=int(value["channels"]),
        has_video=bool(value["has_video"]),
        is_guessed=bool(value["is_guessed"]),
    )


def _parse_warnings(value: dict[str, Any]) -> tuple[MediaWarning, ...]:
    return tuple(
        MediaWarning(str(warning["code"])[:_MAX_TEXT], str(warning["message"])[:_MAX_TEXT])
        for warning in value["warnings"][:8]
    )


def decoder_unavailable() -> MeshError:
    """Return the error for a recording that cannot be decoded, for no fault of its own."""
    return MeshError(Fault.UNAVAILABLE, "The recording cannot be decoded at this moment.", code="decoder_unavailable")
