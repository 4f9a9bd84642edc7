"""One hostile file to 16 kHz mono PCM, in a process that serves no second one."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from services.audio import pcm
from services.edge.announced_size import mpeg_frame_bytes
from services.edge.containers import (
    FileReader,
    audio_tracks,
    describe,
    has_edits,
    is_broadcast,
    latest_end,
    open_container,
    read_only,
    says_its_length,
)
from services.edge.decoder_protocol import KIND_DONE, KIND_ERROR, KIND_PROBE, MAX_CHANNELS, FrameWriter, Job, Refusal
from services.edge.pcm_sink import PcmSink, Wait, too_long
from services.edge.polarity import Polarity
from services.edge.resampler import Resampler, is_stereo, pairs, shape
from services.edge.timeline import Timeline

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream, Packet
    from av.container import InputContainer

_MOST_TRACKS: Final = 4
"""Tracks that are tried one after the other, as long as they turn out to be empty."""

_MOST_PACKET_BYTES: Final = 16 * 1024 * 1024
"""Of the file, decoded at once; half a minute of six channels at 96 kHz."""

_LEAST_RATE: Final = 1000
"""Samples a second; fewer hold no speech, and one frame of a few bytes would be hours."""

_LOST_SECONDS: Final = 1.0
"""How much less may come out of the resampler than went in, in all; it rounds at every start."""

_MISSING_SECONDS: Final = 0.1
"""Of sound that would be in the rest of the file; less may be a header's own mistake."""

_HELD_SECONDS: Final = 2.0
"""Of stereo, heard before anything of it goes: whether left and right would cancel each other."""

_MOST_RATE: Final = 768_000
"""Samples a second as which more are counted, as a file may tell any number and two seconds are to stay small."""

_PAIRS_A_SECOND: Final = 200
_FEWEST_PAIRS: Final = 16
_MOST_PAIRS: Final = 64
"""Samples of left that are compared with those of right, of each frame that is held, and of one now and then later."""

_DOUBTED_SECONDS: Final = 0.3
_SETTLED_SECONDS: Final = 4.0
"""How far apart those are, as long as it is not known that the mix is right, and then: to compare costs time."""

_SILENT_TRACKS_SECONDS: Final = 10.0
"""How long it may take to find out that tracks are silent, all of them together: nobody waits longer for a word."""


@dataclass
class _Tally:
    damaged_packets: int = 0
    ends_damaged: bool = False
    lost_parts: int = 0
    pending_junk: int = 0
    """Packets behind the last frame that are none: damage only if another frame comes."""


class EmptyTrack(Refusal):
    """Nothing came out of the track; another one may hold the sound."""


class SilentTrack(EmptyTrack):
    """Only zeros came out of the track, and none was sent; another one may hold the sound."""


class Decoding:
    """One track's decoding: frames from the demuxer to the sink, in file time.

    Args:
        source: the file.
        container: the open file.
        stream: the track to decode.
        probe: what the file is; the first frame adds to it.
        frames: where frames go.
        job: what is wanted.
        silent_until: how long a track that is silent throughout may take, on `time.monotonic`; it is not wanted. None
            where it is.
    """

    def __init__(
        self,
        source: FileReader,
        container: "InputContainer",
        stream: "AudioStream",
        probe: dict[str, Any],
        frames: FrameWriter,
        job: Job,
        *,
        silent_until: float | None = None,
    ) -> None:
        self._source = source
        self._container = container
        self._stream = stream
        self._frames = frames
        self._job = job
        self._silent_until = silent_until
        self._probe = probe
        self._announced: float | None = None if probe["is_guessed"] else probe["duration"]
        if self._announced is not None and self._announced > job.max_seconds and says_its_length(container):
            raise too_long(job.max_seconds)
        end = None if self._announced is None else latest_end(container, self._announced)
        self._timeline = Timeline((container.start_time or 0) / 1e6, end, is_broadcast(container))
        self._sink: PcmSink | None = None
        self._time_base = float(stream.time_base or 0)
        self._resampler: Resampler | None = None
        self._tally = _Tally()
        self._file_share = 0.0
        self._polarity = Polarity()

    def run(self) -> None:
        """Decode to the end and send the done frame.

        Raises:
            EmptyTrack: nothing decodes, or all that does is silence where something has to sound.
            Refusal: what decodes is not what was asked for, or too much.
        """
        for frame, file_share in self._heard():
            self._take(frame, file_share)
        self._end_resampler()
        if self._sink is None:
            if self._tally.damaged_packets:
                raise EmptyTrack("unreadable_media", "Nothing in the file's audio track could be decoded.")
            raise EmptyTrack("empty_file", "The file holds no audio: its audio track is empty.")
        if self._sink.is_waiting:
            raise SilentTrack("empty_file", "The file's audio track is silent.")
        self._sink.flush()
        seconds = self._sink.samples / pcm.SAMPLE_RATE
        if seconds < self._timeline.position - _LOST_SECONDS:
            # A filter that gets no memory for a frame says nothing of it.
            raise _too_large_parts()
        self._frames.write_json(KIND_DONE, {"seconds": seconds, "warnings": self._warnings(seconds)})

    def _heard(self) -> Iterator[tuple["AudioFrame", float]]:
        """Yield the frames that hold sound, each with the share of the file ahead of it.

        The first two seconds of stereo are held until it is known whether left and right would cancel each other.
        """
        held: list[tuple[AudioFrame, float]] = []
        seconds = compare_at = 0.0
        for frame in self._decoded():
            if not frame.sample_rate or not frame.samples:
                continue
            duration = frame.samples / min(frame.sample_rate, _MOST_RATE)
            # What a frame is made of is asked last, as it is dear.
            if seconds >= compare_at and not self._job.separate and is_stereo(frame):
                count = min(max(_FEWEST_PAIRS, int(duration * _PAIRS_A_SECOND)), _MOST_PAIRS)
                self._polarity.hear(*pairs(frame, count))
                pause = _SETTLED_SECONDS if self._polarity.is_settled else _DOUBTED_SECONDS
                compare_at = seconds + pause if seconds >= _HELD_SECONDS else 0.0
                if seconds + duration < _HELD_SECONDS:
                    seconds += duration
                    held.append((frame, self._file_share))
                    continue
            seconds += duration
            yield from held
            held.clear()
            yield frame, self._file_share
        yield from held

    def _decoded(self) -> Iterator["AudioFrame"]:
        """Yield the track's frames; a damaged packet is counted and skipped, a damaged end ends it."""
        from av.error import FFmpegError

        packets = self._container.demux(self._stream)
        last: Packet | None = None
        while True:
            try:
                packet = next(packets, None)
            except IndexError:
                # PyAV met a packet of a track that was not there when it began: it is skipped, and the others go on.
                packets = self._container.demux(self._stream)
                continue
            except FFmpegError as error:
                _refuse_for_want_of_memory(error)
                self._tally.ends_damaged = True
                packet = None
            if packet is not None and packet.size == 0:
                continue  # PyAV's own mark of the end, or an empty packet that would end the decoder early
            if packet is not None and packet.size > _MOST_PACKET_BYTES:
                raise _too_large_parts()  # decoded, it would be there twice
            if packet is not None and packet.pos is not None:
                self._file_share = packet.pos / self._source.size
            # None is the end: the decoder gives out what it still holds.
            try:
                frames = self._stream.codec_context.decode(packet)
            except FFmpegError as error:
                _refuse_for_want_of_memory(error)
                if self._is_junk(packet):
                    self._tally.pending_junk += 1
                else:
                    self._tally.damaged_packets += 1
                    self._tally.ends_damaged = True
                frames = []
            if frames:
                self._tally.damaged_packets += self._tally.pending_junk
                self._tally.pending_junk = 0
                self._tally.ends_damaged = self._tally.ends_damaged and packet is None
                yield from frames
            if packet is None:
                self._tally.ends_damaged = self._tally.ends_damaged or self._ends_within_a_frame(last)
                return
            last = packet

    def _is_junk(self, packet: "Packet | None") -> bool:
        """Say whether that is no frame of an MP3: an unknown tag, or what a recorder filled its file with."""
        if packet is None or self._probe["container"] != "mp3":
            return False
        return mpeg_frame_bytes(bytes(packet)[:4]) is None

    def _ends_within_a_frame(self, last: "Packet | None") -> bool:
        """Say whether the file ends before its last frame does, whatever the decoder made of that."""
        if self._probe["container"] == "ogg":
            return self._source.missing_share() > 0
        if self._probe["container"] != "mp3" or last is None:
            return False
        whole = mpeg_frame_bytes(bytes(last)[:4])
        return whole is not None and last.size < whole

    def _begin(self, frame: "AudioFrame") -> PcmSink:
        """Tell what the file is, which the first frame knows best, and return where its sound goes."""
        channels = frame.layout.nb_channels
        if self._job.separate and not 1 < channels <= MAX_CHANNELS:
            raise _inseparable(channels)
        self._probe |= {"sample_rate": frame.sample_rate, "channels": channels}
        apart = channels if self._job.separate else 1
        if self._silent_until is None:
            self._tell_probe()
            return PcmSink(self._frames, self._job.max_seconds, apart)
        wait = Wait(self._tell_probe, self._silent_until)
        return PcmSink(self._frames, self._job.max_seconds, apart, wait)

    @property
    def has_told(self) -> bool:
        """Whether anything was sent."""
        return self._sink is not None and not self._sink.is_waiting

    def _tell_probe(self) -> None:
        self._frames.write_json(KIND_PROBE, self._probe)

    def _take(self, frame: "AudioFrame", file_share: float) -> None:
        rate = frame.sample_rate
        if rate < _LEAST_RATE:
            raise Refusal("unreadable_media", f"The recording has only {rate} samples a second, which hold no speech.")
        if self._sink is None:
            self._sink = self._begin(frame)
        start = None if frame.pts is None else frame.pts * self._time_base
        duration = frame.samples / rate
        padded = self._timeline.place(start, duration, file_share)
        # The sink counts to the sample; this is before a few bytes of file become gigabytes of silence.
        if self._timeline.position > self._job.max_seconds + 1:
            raise too_long(self._job.max_seconds)
        if padded or (self._resampler is not None and not self._suits(self._resampler, frame)):
            self._end_resampler()
        if padded:
            if self._probe["container"] == "flac":
                self._tally.lost_parts += 1  # its frames follow each other without a pause: some could not be found
            until = round((self._timeline.position - duration) * pcm.SAMPLE_RATE)
            self._sink.write_silence(until - self._sink.samples)
        if self._resampler is None:
            self._resampler = self._resampler_for(frame)
        for channels in self._resampler.push(frame):
            self._sink.write(channels)

    def _suits(self, resampler: Resampler, frame: "AudioFrame") -> bool:
        return resampler.shape == shape(frame) and resampler.is_opposite == self._is_opposite(frame)

    def _is_opposite(self, frame: "AudioFrame") -> bool:
        return self._polarity.are_opposite and is_stereo(frame) and not self._job.separate

    def _resampler_for(self, frame: "AudioFrame") -> Resampler:
        if self._job.separate and frame.layout.nb_channels != self._probe["channels"]:
            message = "The number of channels changes within the recording: it cannot be transcribed by channel."
            raise Refusal("unreadable_media", message)
        return Resampler(frame, separate=self._job.separate, opposite=self._is_opposite(frame))

    def _end_resampler(self) -> None:
        if self._resampler is not None:
            assert self._sink is not None
            for channels in self._resampler.push(None):
                self._sink.write(channels)
            self._resampler = None

    def _warnings(self, seconds: float) -> list[dict[str, str]]:
        warnings = []
        announced = None if self._announced is None else self._announced - self._timeline.skipped
        if self._tally.ends_damaged:
            cut = f"The recording ends in the middle of a frame: {seconds:.1f} s of it were transcribed."
            warnings.append({"code": "truncated", "message": cut})
        elif announced is not None and self._falls_short(seconds, announced):
            short = (
                f"The recording is cut off: {seconds:.1f} s of it were transcribed, "
                f"of the {announced:.1f} s that the file announces."
            )
            warnings.append({"code": "truncated", "message": short})
        elif seconds * (missing := self._source.missing_share()) / (1 - missing) > _MISSING_SECONDS:
            rest = (
                f"The recording is cut off: {seconds:.1f} s of it were transcribed, "
                f"and the last {missing:.0%} of the file are missing."
            )
            warnings.append({"code": "truncated", "message": rest})
        damaged = self._tally.damaged_packets - (1 if self._tally.damaged_packets and self._tally.ends_damaged else 0)
        damaged += self._tally.lost_parts
        if damaged > 0:
            parts = "1 damaged part was" if damaged == 1 else f"{damaged} damaged parts were"
            warnings.append({"code": "damaged", "message": f"{parts} skipped."})
        if self._polarity.were_opposite:
            opposite = (
                "Left and right are in opposite phase and would cancel each other: their difference was transcribed."
            )
            warnings.append({"code": "channels_opposite", "message": opposite})
        if self._sink is not None and self._sink.are_alike:
            alike = "All channels carry the same sound, so that every word is there once for each of them."
            warnings.append({"code": "channels_alike", "message": alike})
        return warnings

    def _falls_short(self, seconds: float, announced: float) -> bool:
        if self._probe["has_video"] and self._stream.duration is None:
            return False  # the picture may go on after the sound
        return announced - seconds > (1.0 if says_its_length(self._container) else max(1.0, 0.1 * announced))


def decode(source: FileReader, frames: FrameWriter, job: Job, *, is_filtered: bool = True) -> None:
    """Decode a file into `frames`; the last one is done or error, whatever happens.

    Args:
        source: the file.
        frames: where what comes of it goes.
        job: what is wanted.
        is_filtered: whether system calls are filtered, which is told with the probe.
    """
    try:
        _decode_a_track(source, frames, job, is_filtered=is_filtered)
    except Refusal as refusal:
        frames.write_json(KIND_ERROR, {"code": refusal.code, "message": refusal.message})
    except BrokenPipeError:
        pass  # the edge has left
    except Exception as error:  # noqa: BLE001 - hostile bytes reach any corner of PyAV: all of it is the file's fault
        message = "The file could not be decoded; it may be damaged."
        frames.write_json(KIND_ERROR, {"code": "unreadable_media", "message": message, "detail": type(error).__name__})


@dataclass(frozen=True)
class _Attempt:
    track: int
    may_be_silent: bool = True
    unedited: bool = False


def _decode_a_track(source: FileReader, frames: FrameWriter, job: Job, *, is_filtered: bool) -> None:
    """Decode the first track that holds any sound, or else the first silent one; raise Refusal where all are empty."""
    refusals: list[Refusal] = []
    silent_until = time.monotonic() + _SILENT_TRACKS_SECONDS
    while True:
        container = open_container(source)
        tracks = audio_tracks(container)[:_MOST_TRACKS]
        attempt = _next_attempt(refusals, len(tracks), has_edits(container))
        if attempt.unedited:
            container = open_container(source, unedited=True)
            tracks = audio_tracks(container)
        track = tracks[attempt.track]
        read_only(container, track)
        probe = {**describe(container, track, source), "is_filtered": is_filtered}
        until = None if attempt.may_be_silent else silent_until
        decoding: Decoding | None = None
        try:
            decoding = Decoding(source, container, track, probe, frames, job, silent_until=until)
            return decoding.run()
        except EmptyTrack as refusal:
            refusals.append(refusal)
        except Refusal as refusal:
            # One that cannot be had takes nothing from a silent one before it.
            if decoding is None or decoding.has_told or not _silent(refusals):
                raise
            refusals.append(refusal)


def _next_attempt(refusals: Sequence[Refusal], tracks: int, edited: bool) -> _Attempt:
    """Return what to try after `refusals`; raise the first of them where nothing is left.

    Each track in turn; then one that is silent; or else, as edit lists may be wrong that show nothing of the tracks,
    each without them.
    """
    tried = len(refusals)
    if tried < tracks:
        return _Attempt(tried, may_be_silent=tracks == 1)
    silent = _silent(refusals)
    if silent and tried == tracks:
        return _Attempt(silent[0])
    if edited and not silent and tried < 2 * tracks:
        return _Attempt(tried - tracks, unedited=True)
    raise refusals[0]


def _silent(refusals: Sequence[Refusal]) -> list[int]:
    return [number for number, refusal in enumerate(refusals) if isinstance(refusal, SilentTrack)]


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
