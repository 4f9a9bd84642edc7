"""The decoder: a child process that turns one hostile file into 16 kHz mono PCM, and then ends.

It is started by `media`, one child a file, and never serves a second one. It speaks over two descriptors:

    stdin   a Unix socket: one message, the job as JSON, with the file's descriptor beside it (SCM_RIGHTS).
            So a child can be started, with PyAV loaded, before there is a file for it.
    stdout  frames: kind (1 byte), payload length (u32, little endian), payload
            i   what the file is, as JSON; sent when the first audio has decoded
            a   PCM, at most 256 KiB, a whole number of samples
            d   done, as JSON: seconds and warnings; the last frame
            e   refused, as JSON: code and sentence; the last frame

The descriptor is all that the child can reach: FFmpeg reads through our own file object, may use no protocol
and only demuxers that read one file; only audio decoders may open, so a video track is never decoded, not
even to probe it. Limits on memory, CPU time, files and processes hold before the first byte is read. PyAV is
imported in functions: the parent shares this module's constants and must stay without it.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from services.audio import pcm
from services.edge import sniff
from services.edge.resampler import Resampler, shape
from services.edge.timeline import Timeline

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream
    from av.container import InputContainer

FRAME_HEADER: Final = struct.Struct("<cI")
KIND_PROBE: Final = b"i"
KIND_AUDIO: Final = b"a"
KIND_DONE: Final = b"d"
KIND_ERROR: Final = b"e"

MAX_PAYLOAD_BYTES: Final = 256 * 1024
"""Most that one frame carries: 8 s of PCM."""

EXIT_DECODING_FAILED: Final = 65
"""Exit status when not even an error frame could be written (EX_DATAERR); another one is our own fault."""

_FIRST_CHUNK_BYTES: Final = 32 * 1024
_FLUSH_SECONDS: Final = 0.25
_READ_BYTES: Final = 64 * 1024

_BROADCAST_FORMATS: Final = frozenset({"mpeg", "mpegts"})
# These containers say how long they are; the others' duration is FFmpeg's estimate from the bit rate.
_EXACT_FORMATS: Final = frozenset({"mov", "matroska", "wav", "w64", "flac", "ogg", "asf", "avi", "caf", "aiff"})

# Demuxers that read one file and nothing else. mpegvideo: so that a bare video says "no audio track".
_DEMUXERS: Final = (
    "mp3,wav,w64,flac,ogg,mov,aac,asf,matroska,avi,mpeg,mpegts,mpegvideo,aiff,au,caf,amr,amrnb,amrwb,flv,ac3,eac3"
)
_AUDIO_DECODERS: Final = (
    "aac,aac_fixed,aac_latm,ac3,ac3_fixed,eac3,alac,amrnb,amrwb,libopencore_amrnb,libopencore_amrwb,dca,flac,"
    "gsm,gsm_ms,mp1,mp1float,mp2,mp2float,mp3,mp3float,nellymoser,opus,libopus,speex,libspeex,vorbis,libvorbis,"
    "wmalossless,wmapro,wmav1,wmav2,wmavoice,"
    "adpcm_g722,adpcm_g726,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_swf,adpcm_yamaha,"
    "pcm_alaw,pcm_mulaw,pcm_bluray,pcm_dvd,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_s8,pcm_s8_planar,pcm_u8,"
    "pcm_s16be,pcm_s16be_planar,pcm_s16le,pcm_s16le_planar,pcm_s24be,pcm_s24le,pcm_s24le_planar,"
    "pcm_s32be,pcm_s32le,pcm_s32le_planar,pcm_s64be,pcm_s64le,pcm_u16be,pcm_u16le,pcm_u24be,pcm_u24le,"
    "pcm_u32be,pcm_u32le"
)

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38


@dataclass(frozen=True)
class Job:
    """What one child may spend on one file."""

    max_seconds: float
    """Most audio that may come out."""
    cpu_seconds: int
    """CPU time after which the kernel ends the child."""
    memory_bytes: int
    """Address space of the child; PyAV and Python alone map about 0.3 GB."""


class Refusal(Exception):
    """The file cannot be transcribed; the message is shown to the one who sent it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class FrameWriter:
    """The child's side of the frame stream.

    Args:
        descriptor: a pipe; writing blocks while the parent does not read, which is the back-pressure.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, kind: bytes, payload: bytes | bytearray | memoryview) -> None:
        """Write one whole frame."""
        view = memoryview(payload)
        written = os.writev(self._descriptor, [FRAME_HEADER.pack(kind, len(view)), view]) - FRAME_HEADER.size
        while written < len(view):
            written += os.write(self._descriptor, view[written:])

    def write_json(self, kind: bytes, value: dict[str, Any]) -> None:
        """Write one frame that carries JSON."""
        self.write(kind, json.dumps(value).encode())


class PcmSink:
    """Gathers PCM into frames: a small first one, then large ones, never holding audio back for long.

    Args:
        frames: where the frames go.
        max_seconds: most audio that may pass; more is refused with `too_long`.
    """

    def __init__(self, frames: FrameWriter, max_seconds: float) -> None:
        self._frames = frames
        self._max_seconds = max_seconds
        self._max_bytes = pcm.byte_count(max_seconds)
        self._pending = bytearray()
        self._flush_at = _FIRST_CHUNK_BYTES
        self._last_flush = time.monotonic()
        self._bytes = 0

    @property
    def samples(self) -> int:
        """Samples taken so far."""
        return self._bytes // pcm.SAMPLE_BYTES

    def write(self, data: bytes | memoryview) -> None:
        """Take PCM of any length, a whole number of samples."""
        self._bytes += len(data)
        if self._bytes > self._max_bytes:
            raise too_long(self._max_seconds)
        self._pending += data
        if len(self._pending) >= self._flush_at or time.monotonic() - self._last_flush > _FLUSH_SECONDS:
            self.flush()

    def write_silence(self, samples: int) -> None:
        """Take `samples` of silence, in pieces."""
        left = samples * pcm.SAMPLE_BYTES
        while left > 0:
            piece = min(left, MAX_PAYLOAD_BYTES)
            self.write(bytes(piece))
            left -= piece

    def flush(self) -> None:
        """Send what was gathered."""
        with memoryview(self._pending) as view:
            for start in range(0, len(view), MAX_PAYLOAD_BYTES):
                self._frames.write(KIND_AUDIO, view[start : start + MAX_PAYLOAD_BYTES])
        self._pending.clear()
        self._flush_at = MAX_PAYLOAD_BYTES
        self._last_flush = time.monotonic()


class FileReader:
    """A read-only file object for FFmpeg over a descriptor, with a position of its own.

    The parent may share the descriptor's offset, so every read names its place (pread).
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0
        self.size = os.fstat(descriptor).st_size

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end."""
        data = os.pread(self._descriptor, size, self._position)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset` from the start, the position or the end, and return the new position."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def head(self, size: int = sniff.HEAD_BYTES) -> bytes:
        """Return the file's first bytes without moving."""
        return os.pread(self._descriptor, size, 0)


@dataclass
class _Tally:
    frames: int = 0
    damaged_packets: int = 0
    ends_damaged: bool = False


class Decoding:
    """One file's decoding: frames from the demuxer to the sink, in file time.

    Args:
        container: the open file.
        stream: the track to decode.
        frames: where frames go.
        max_seconds: most audio that may come out.
    """

    def __init__(
        self, container: "InputContainer", stream: "AudioStream", frames: FrameWriter, max_seconds: float
    ) -> None:
        self._container = container
        self._stream = stream
        self._frames = frames
        self._probe = describe(container, stream)
        duration = self._probe["duration"]
        if duration is not None and duration > max_seconds and _says_its_length(container):
            raise too_long(max_seconds)
        self._timeline = Timeline(
            (container.start_time or 0) / 1e6, duration, _format_name(container) in _BROADCAST_FORMATS
        )
        self._sink = PcmSink(frames, max_seconds)
        self._time_base = float(stream.time_base or 0)
        self._resampler: Resampler | None = None
        self._tally = _Tally()

    def run(self) -> None:
        """Decode to the end and send the done frame; raises Refusal when nothing decodes."""
        for frame in self._decoded():
            if self._tally.frames == 0:
                self._frames.write_json(KIND_PROBE, self._probe)
            self._tally.frames += 1
            self._take(frame)
        self._end_resampler()
        if self._tally.frames == 0:
            if self._tally.damaged_packets:
                raise Refusal("unreadable_media", "Nothing in the file's audio track could be decoded.")
            raise Refusal("empty_file", "The file holds no audio: its audio track is empty.")
        self._sink.flush()
        seconds = self._sink.samples / pcm.SAMPLE_RATE
        self._frames.write_json(KIND_DONE, {"seconds": seconds, "warnings": self._warnings(seconds)})

    def _decoded(self) -> Iterator["AudioFrame"]:
        """Yield the track's frames; a damaged packet is counted and skipped, a damaged end ends it."""
        from av.error import FFmpegError

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError:
                self._tally.ends_damaged = True
                packet = None
            if packet is not None and packet.size == 0:
                continue  # PyAV's own mark of the end, or an empty packet that would end the decoder early
            # None is the end: the decoder gives out what it still holds.
            try:
                frames = self._stream.codec_context.decode(packet)
            except FFmpegError:
                self._tally.damaged_packets += 1
                self._tally.ends_damaged = True
                frames = []
            if frames:
                self._tally.ends_damaged = self._tally.ends_damaged and packet is None
                yield from frames
            if packet is None:
                return

    def _take(self, frame: "AudioFrame") -> None:
        rate = frame.sample_rate
        if not rate or not frame.samples:
            return
        start = None if frame.pts is None else frame.pts * self._time_base
        duration = frame.samples / rate
        padded = self._timeline.place(start, duration)
        if padded or (self._resampler is not None and self._resampler.shape != shape(frame)):
            self._end_resampler()
        if padded:
            until = round((self._timeline.position - duration) * pcm.SAMPLE_RATE)
            self._sink.write_silence(until - self._sink.samples)
        if self._resampler is None:
            self._resampler = Resampler(frame)
        for data in self._resampler.push(frame):
            self._sink.write(data)

    def _end_resampler(self) -> None:
        if self._resampler is not None:
            for data in self._resampler.push(None):
                self._sink.write(data)
            self._resampler = None

    def _warnings(self, seconds: float) -> list[dict[str, str]]:
        warnings = []
        announced = self._probe["duration"]
        if self._tally.ends_damaged:
            cut = f"The recording ends in the middle of a frame: {seconds:.1f} s of it were decoded."
            warnings.append({"code": "truncated", "message": cut})
        elif announced is not None and self._falls_short(seconds, announced):
            short = f"The file announces {announced:.1f} s of audio, but holds only {seconds:.1f} s."
            warnings.append({"code": "truncated", "message": short})
        damaged = self._tally.damaged_packets - (1 if self._tally.ends_damaged else 0)
        if damaged > 0:
            parts = "1 damaged part was" if damaged == 1 else f"{damaged} damaged parts were"
            warnings.append({"code": "damaged", "message": f"{parts} skipped."})
        return warnings

    def _falls_short(self, seconds: float, announced: float) -> bool:
        if self._probe["has_video"] and self._stream.duration is None:
            return False  # the picture may go on after the sound
        return announced - seconds > (1.0 if _says_its_length(self._container) else max(1.0, 0.1 * announced))


def open_container(source: FileReader) -> "InputContainer":
    """Open a media file by its content alone.

    Raises:
        Refusal: it is empty, plainly something else, or nothing that FFmpeg's allowed demuxers know.
    """
    import av
    from av.error import FFmpegError

    if source.size == 0:
        raise Refusal("empty_file", "The file is empty.")
    head = source.head()
    name = sniff.stringified_object(head)
    if name is not None:
        raise Refusal(
            "unreadable_media",
            f'The file holds only the text "[object {name}]": the program that sent it turned an object into '
            "text. In Node, use the built-in FormData with fs.openAsBlob.",
        )
    other = sniff.other_kind(head)
    if other is not None:
        raise Refusal("unreadable_media", f"This is not a media file that we can read (it looks like {other}).")
    try:
        container: InputContainer = av.open(
            source,
            container_options={
                "protocol_whitelist": "none",
                "format_whitelist": _DEMUXERS,
                "codec_whitelist": _AUDIO_DECODERS,
            },
            metadata_errors="replace",
            buffer_size=_READ_BYTES,
        )
    except FFmpegError as error:
        raise Refusal("unreadable_media", _unopened(head)) from error
    return container


def choose_audio(container: "InputContainer") -> "AudioStream":
    """Return the track to transcribe: FFmpeg's best (the default one first), else the first that decodes.

    The other tracks are marked so that the demuxer skips them.

    Raises:
        Refusal: there is none.
    """
    from av.stream import Discard

    tracks = container.streams.audio
    if not tracks:
        raise Refusal("no_audio_track", "The file has no audio track.")
    allowed = frozenset(_AUDIO_DECODERS.split(","))
    readable = [t for t in tracks if t.codec_context is not None and t.codec_context.name in allowed]
    if not readable:
        raise Refusal("unreadable_media", "The file's audio track is in a coding that we cannot read.")
    best = container.streams.best("audio")
    chosen = best if best in readable else readable[0]
    for stream in container.streams:
        if stream.index != chosen.index:
            stream.discard = Discard.all
    chosen.codec_context.thread_count = 1
    return chosen


def describe(container: "InputContainer", stream: "AudioStream") -> dict[str, Any]:
    """Return the probe: the fields of `media.Probe`."""
    duration = container.duration / 1e6 if container.duration is not None else None
    if stream.duration is not None and stream.time_base is not None:
        # The track's own end: a picture may run on for an hour after the sound.
        late = 0.0
        if stream.start_time is not None and container.start_time is not None:
            late = max(0.0, float(stream.start_time * stream.time_base) - container.start_time / 1e6)
        duration = late + float(stream.duration * stream.time_base)
    return {
        "duration": duration if duration is not None and duration > 0 else None,
        "container": _format_name(container),
        "codec": stream.codec_context.codec.canonical_name,
        "sample_rate": stream.codec_context.sample_rate,
        "channels": stream.codec_context.channels,
        "has_video": any(_is_motion(video) for video in container.streams.video),
    }


def too_long(max_seconds: float) -> Refusal:
    """Return the refusal of a recording longer than `max_seconds`."""
    hours, minutes = max_seconds / 3600, max_seconds / 60
    limit = f"{hours:.3g} hours" if hours >= 2 else f"{minutes:.3g} minutes" if minutes >= 2 else f"{max_seconds:g} s"
    return Refusal("too_long", f"The recording is longer than {limit}, which is the most that we transcribe at once.")


def decode(descriptor: int, frames: FrameWriter, max_seconds: float) -> None:
    """Decode the file behind `descriptor` into `frames`; the last one is done or error, whatever happens."""
    try:
        container = open_container(FileReader(descriptor))
        Decoding(container, choose_audio(container), frames, max_seconds).run()
    except Refusal as refusal:
        frames.write_json(KIND_ERROR, {"code": refusal.code, "message": refusal.message})
    except BrokenPipeError:
        pass  # the parent has left
    except Exception as error:  # noqa: BLE001 - hostile bytes reach any corner of PyAV: all of it is the file's fault
        message = "The file could not be decoded; it may be damaged."
        frames.write_json(KIND_ERROR, {"code": "unreadable_media", "message": message, "detail": type(error).__name__})


def confine() -> None:
    """Give up what a decoder never needs: writing, core dumps, new processes, outliving the parent."""
    libc = ctypes.CDLL(None)
    # Fires when the parent's thread that started us ends; the edge starts children from its main thread.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC):
        resource.setrlimit(kind, (0, 0))


def load() -> None:
    """Load PyAV with all that it would otherwise load late: after `limit` no file can be opened any more."""
    import av
    import av.filter
    import av.subtitles.stream

    av.logging.set_level(None)


def limit(job: Job, descriptor: int) -> None:
    """Set what the job may spend, and close the door: no file or socket opens beside `descriptor`."""
    for kind, soft, hard in (
        (resource.RLIMIT_CPU, job.cpu_seconds, job.cpu_seconds + 1),
        (resource.RLIMIT_AS, job.memory_bytes, job.memory_bytes),
        (resource.RLIMIT_NOFILE, descriptor + 1, descriptor + 1),
    ):
        resource.setrlimit(kind, (soft, hard))


def receive_job(channel: socket.socket) -> tuple[Job, int] | None:
    """Return the job and the file's descriptor, or None when the parent left without one."""
    message, descriptors, _, _ = socket.recv_fds(channel, 4096, 1)
    if not message:
        return None
    return Job(**json.loads(message)), descriptors[0]


def send_job(channel: socket.socket, job: Job, descriptor: int) -> None:
    """Give a child its job; the descriptor may be closed afterwards."""
    socket.send_fds(channel, [json.dumps(asdict(job)).encode()], [descriptor])


def main() -> None:
    """Serve one job and end the process."""
    confine()
    load()
    channel = socket.socket(fileno=0)  # stays open: a closed one would leave a number for another file
    given = receive_job(channel)
    if given is None:
        os._exit(0)
    job, descriptor = given
    limit(job, descriptor)
    status = EXIT_DECODING_FAILED
    try:
        decode(descriptor, FrameWriter(1), job.max_seconds)
        status = 0
    finally:
        os._exit(status)  # no clean-up of a library that a hostile file may have confused


def _unopened(head: bytes) -> str:
    kind = sniff.media_kind(head)
    if kind is None:
        return "This is not a media file that we can read."
    if kind == sniff.MP4:
        damage = "its index (moov) is missing or damaged, as after an interrupted recording"
    else:
        damage = "it is damaged or cut off"
    return f"The file looks like {kind}, but {damage}."


def _format_name(container: "InputContainer") -> str:
    return str(container.format.name).partition(",")[0]


def _says_its_length(container: "InputContainer") -> bool:
    return _format_name(container) in _EXACT_FORMATS


def _is_motion(video: Any) -> bool:
    """Say whether a video track is a film, not a cover picture."""
    from av.stream import Disposition

    return not video.disposition & (Disposition.attached_pic | Disposition.still_image)
