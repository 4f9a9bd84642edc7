"""One hostile file to 16 kHz mono PCM, in a process that serves no second one.

The descriptor is all that the decoder can reach: FFmpeg reads through our own file object, may use no protocol
and only demuxers that read one file; only audio decoders may open, so a video track is never decoded, not
even to probe it, and a picture of any size costs nothing. PyAV is imported in functions: the server loads it
before the first job, and tests look at this module without it.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from services.audio import pcm
from services.edge import sniff
from services.edge.decoder_protocol import (
    KIND_DONE,
    KIND_ERROR,
    KIND_PROBE,
    MAX_CHANNELS,
    FrameWriter,
    Job,
    Refusal,
)
from services.edge.pcm_sink import PcmSink, too_long
from services.edge.resampler import Resampler, shape
from services.edge.timeline import Timeline

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream
    from av.container import InputContainer

_READ_BYTES: Final = 64 * 1024

_MOST_TRACKS: Final = 4
"""Tracks that are tried one after the other, as long as they turn out to be empty."""

_MOST_PACKET_BYTES: Final = 16 * 1024 * 1024
"""Of the file, decoded at once; half a minute of six channels at 96 kHz."""

_LEAST_RATE: Final = 1000
"""Samples a second; fewer hold no speech, and one frame of a few bytes would be hours."""

_LOST_SECONDS: Final = 1.0
"""How much less may come out of the resampler than went in, in all; it rounds at every start."""

_BROADCAST_FORMATS: Final = frozenset({"mpeg", "mpegts"})
# These containers say how long they are; the others' duration is FFmpeg's estimate from the bit rate.
_EXACT_FORMATS: Final = frozenset({"mov", "matroska", "wav", "w64", "flac", "ogg", "asf", "avi", "caf", "aiff"})

# Demuxers that read one file and nothing else. mpegvideo: so that a bare video says "no audio track".
_DEMUXERS: Final = (
    "mp3,wav,w64,flac,ogg,mov,aac,asf,matroska,avi,mpeg,mpegts,mpegvideo,aiff,au,caf,amr,amrnb,amrwb,flv,ac3,eac3,"
    "ape,dts,dv,mpc,mpc8,mxf,nut,rm,tak,truehd,tta,voc,wtv,wv"
)
# Packets of 64 KiB instead of 1,024 samples, as each costs the same however little is in it; and one of them, not
# 2,500, to find out whether another coding hides in what says that it is PCM.
_WAV_OPTIONS: Final = {"max_size": str(64 * 1024), "max_probe_packets": "1"}
_AUDIO_DECODERS: Final = (
    "aac,aac_fixed,aac_latm,ac3,ac3_fixed,eac3,alac,amrnb,amrwb,libopencore_amrnb,libopencore_amrwb,dca,flac,"
    "gsm,gsm_ms,mp1,mp1float,mp2,mp2float,mp3,mp3float,nellymoser,opus,libopus,speex,libspeex,vorbis,libvorbis,"
    "wmalossless,wmapro,wmav1,wmav2,wmavoice,"
    "ape,atrac3,atrac3plus,cook,g723_1,g729,ilbc,mlp,mpc7,mpc8,real_144,real_288,s302m,sipr,tak,truehd,tta,wavpack,"
    "g722,g726,g726le,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_swf,adpcm_yamaha,"
    "pcm_alaw,pcm_mulaw,pcm_bluray,pcm_dvd,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_s8,pcm_s8_planar,pcm_u8,"
    "pcm_s16be,pcm_s16be_planar,pcm_s16le,pcm_s16le_planar,pcm_s24be,pcm_s24le,pcm_s24le_planar,"
    "pcm_s32be,pcm_s32le,pcm_s32le_planar,pcm_s64be,pcm_s64le,pcm_u16be,pcm_u16le,pcm_u24be,pcm_u24le,"
    "pcm_u32be,pcm_u32le"
)


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
    damaged_packets: int = 0
    ends_damaged: bool = False


class EmptyTrack(Refusal):
    """Nothing came out of the track; another one may hold the sound."""


class Decoding:
    """One track's decoding: frames from the demuxer to the sink, in file time.

    Args:
        container: the open file.
        stream: the track to decode.
        frames: where frames go.
        job: what is wanted.
    """

    def __init__(self, container: "InputContainer", stream: "AudioStream", frames: FrameWriter, job: Job) -> None:
        self._container = container
        self._stream = stream
        self._frames = frames
        self._job = job
        self._probe = describe(container, stream)
        if _guesses_its_length(container):
            self._probe["duration"] = None
        duration = self._probe["duration"]
        if duration is not None and duration > job.max_seconds and _says_its_length(container):
            raise too_long(job.max_seconds)
        self._timeline = Timeline(
            (container.start_time or 0) / 1e6, duration, _format_name(container) in _BROADCAST_FORMATS
        )
        self._sink: PcmSink | None = None
        self._time_base = float(stream.time_base or 0)
        self._resampler: Resampler | None = None
        self._tally = _Tally()

    def run(self) -> None:
        """Decode to the end and send the done frame.

        Raises:
            EmptyTrack: nothing decodes.
            Refusal: what decodes is not what was asked for, or too much.
        """
        for frame in self._decoded():
            if frame.sample_rate and frame.samples:
                self._take(frame)
        self._end_resampler()
        if self._sink is None:
            if self._tally.damaged_packets:
                raise EmptyTrack("unreadable_media", "Nothing in the file's audio track could be decoded.")
            raise EmptyTrack("empty_file", "The file holds no audio: its audio track is empty.")
        self._sink.flush()
        seconds = self._sink.samples / pcm.SAMPLE_RATE
        if seconds < self._timeline.position - _LOST_SECONDS:
            # A filter that gets no memory for a frame says nothing of it.
            raise _too_large_parts()
        self._frames.write_json(KIND_DONE, {"seconds": seconds, "warnings": self._warnings(seconds)})

    def _decoded(self) -> Iterator["AudioFrame"]:
        """Yield the track's frames; a damaged packet is counted and skipped, a damaged end ends it."""
        from av.error import FFmpegError

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                _refuse_for_want_of_memory(error)
                self._tally.ends_damaged = True
                packet = None
            if packet is not None and packet.size == 0:
                continue  # PyAV's own mark of the end, or an empty packet that would end the decoder early
            if packet is not None and packet.size > _MOST_PACKET_BYTES:
                raise _too_large_parts()  # decoded, it would be there twice
            # None is the end: the decoder gives out what it still holds.
            try:
                frames = self._stream.codec_context.decode(packet)
            except FFmpegError as error:
                _refuse_for_want_of_memory(error)
                self._tally.damaged_packets += 1
                self._tally.ends_damaged = True
                frames = []
            if frames:
                self._tally.ends_damaged = self._tally.ends_damaged and packet is None
                yield from frames
            if packet is None:
                return

    def _begin(self, frame: "AudioFrame") -> PcmSink:
        """Tell what the file is, which the first frame knows best, and return where its sound goes."""
        channels = frame.layout.nb_channels
        if self._job.separate and not 1 < channels <= MAX_CHANNELS:
            raise _inseparable(channels)
        self._probe |= {"sample_rate": frame.sample_rate, "channels": channels}
        self._frames.write_json(KIND_PROBE, self._probe)
        return PcmSink(self._frames, self._job.max_seconds, channels if self._job.separate else 1)

    def _take(self, frame: "AudioFrame") -> None:
        rate = frame.sample_rate
        if rate < _LEAST_RATE:
            raise Refusal("unreadable_media", f"The recording has only {rate} samples a second, which hold no speech.")
        if self._sink is None:
            self._sink = self._begin(frame)
        start = None if frame.pts is None else frame.pts * self._time_base
        duration = frame.samples / rate
        padded = self._timeline.place(start, duration)
        # The sink counts to the sample; this is before a few bytes of file become gigabytes of silence.
        if self._timeline.position > self._job.max_seconds + 1:
            raise too_long(self._job.max_seconds)
        if padded or (self._resampler is not None and self._resampler.shape != shape(frame)):
            self._end_resampler()
        if padded:
            until = round((self._timeline.position - duration) * pcm.SAMPLE_RATE)
            self._sink.write_silence(until - self._sink.samples)
        if self._resampler is None:
            self._resampler = self._resampler_for(frame)
        for channels in self._resampler.push(frame):
            self._sink.write(channels)

    def _resampler_for(self, frame: "AudioFrame") -> Resampler:
        if self._job.separate and frame.layout.nb_channels != self._probe["channels"]:
            message = "The number of channels changes within the recording: it cannot be transcribed by channel."
            raise Refusal("unreadable_media", message)
        return Resampler(frame, separate=self._job.separate)

    def _end_resampler(self) -> None:
        if self._resampler is not None:
            assert self._sink is not None
            for channels in self._resampler.push(None):
                self._sink.write(channels)
            self._resampler = None

    def _warnings(self, seconds: float) -> list[dict[str, str]]:
        warnings = []
        announced = self._probe["duration"]
        if self._tally.ends_damaged:
            cut = f"The recording ends in the middle of a frame: {seconds:.1f} s of it were transcribed."
            warnings.append({"code": "truncated", "message": cut})
        elif announced is not None and self._falls_short(seconds, announced):
            short = f"The file announces {announced:.1f} s of audio, but holds only {seconds:.1f} s."
            warnings.append({"code": "truncated", "message": short})
        damaged = self._tally.damaged_packets - (1 if self._tally.ends_damaged else 0)
        if damaged > 0:
            parts = "1 damaged part was" if damaged == 1 else f"{damaged} damaged parts were"
            warnings.append({"code": "damaged", "message": f"{parts} skipped."})
        if self._sink is not None and self._sink.are_alike:
            alike = "All channels carry the same sound, so that every word is there once for each of them."
            warnings.append({"code": "channels_alike", "message": alike})
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
            options=_WAV_OPTIONS if sniff.media_kind(head) == sniff.WAV else {},
            metadata_errors="replace",
            buffer_size=_READ_BYTES,
        )
    except FFmpegError as error:
        raise Refusal("unreadable_media", _unopened(head)) from error
    return container


def audio_tracks(container: "InputContainer") -> "Sequence[AudioStream]":
    """Return the tracks that can be decoded, in the order in which they are to be tried: FFmpeg's best one first
    (the default one, if there is one), then the others as they lie.

    Raises:
        Refusal: there is none.
    """
    tracks = container.streams.audio
    if not tracks:
        raise Refusal("no_audio_track", "The file has no audio track.")
    allowed = frozenset(_AUDIO_DECODERS.split(","))
    readable = [t for t in tracks if t.codec_context is not None and t.codec_context.name in allowed]
    if not readable:
        raise Refusal("unreadable_media", "The file's audio track is in a coding that we cannot read.")
    best = container.streams.best("audio")
    return sorted(readable, key=lambda track: track != best)


def read_only(container: "InputContainer", chosen: "AudioStream") -> None:
    """Have the demuxer skip all tracks but `chosen`."""
    from av.stream import Discard

    for stream in container.streams:
        if stream.index != chosen.index:
            stream.discard = Discard.all
    chosen.codec_context.thread_count = 1


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


def decode(source: FileReader, frames: FrameWriter, job: Job) -> None:
    """Decode a file into `frames`; the last one is done or error, whatever happens."""
    try:
        _decode_a_track(source, frames, job)
    except Refusal as refusal:
        frames.write_json(KIND_ERROR, {"code": refusal.code, "message": refusal.message})
    except BrokenPipeError:
        pass  # the edge has left
    except Exception as error:  # noqa: BLE001 - hostile bytes reach any corner of PyAV: all of it is the file's fault
        message = "The file could not be decoded; it may be damaged."
        frames.write_json(KIND_ERROR, {"code": "unreadable_media", "message": message, "detail": type(error).__name__})


def _decode_a_track(source: FileReader, frames: FrameWriter, job: Job) -> None:
    """Decode the first track that holds any sound; raise Refusal where none does."""
    refusals: list[EmptyTrack] = []
    while True:
        container = open_container(source)
        tracks = audio_tracks(container)[:_MOST_TRACKS]
        if len(refusals) >= len(tracks):
            raise refusals[0]
        track = tracks[len(refusals)]
        read_only(container, track)
        try:
            return Decoding(container, track, frames, job).run()
        except EmptyTrack as refusal:
            refusals.append(refusal)
        source.seek(0)


def _refuse_for_want_of_memory(error: Exception) -> None:
    """Raise Refusal where that is what went wrong: no damage to be skipped."""
    if isinstance(error, MemoryError):
        raise _too_large_parts() from error


def _too_large_parts() -> Refusal:
    return Refusal("unreadable_media", "The file could not be decoded: parts of it are too large.")


def _inseparable(channels: int) -> Refusal:
    if channels == 1:
        return Refusal("one_channel", "The recording has one channel only: there is nothing to separate.")
    return Refusal(
        "too_many_channels",
        f"The recording has {channels} channels; up to {MAX_CHANNELS} can be transcribed apart from each other.",
    )


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


def _guesses_its_length(container: "InputContainer") -> bool:
    """Say whether FFmpeg has made up the length of a Matroska file that does not tell, as one that was written to a
    pipe does not: from the size of the file and the bit rates of those tracks whose bit rates are known, which may be
    the sound's alone.
    """
    if _format_name(container) != "matroska" or container.duration is None:
        return False
    known = sum(stream.codec_context.bit_rate or 0 for stream in container.streams if stream.codec_context is not None)
    guess = container.size * 8 / known if known else 0.0
    return abs(container.duration / 1e6 - guess) <= 0.001 * guess


def _is_motion(video: Any) -> bool:
    """Say whether a video track is a film, not a cover picture."""
    from av.stream import Disposition

    return not video.disposition & (Disposition.attached_pic | Disposition.still_image)
