"""What a file is: opened by its content alone, its tracks, and how long it says that it is; in the decoder's process.

FFmpeg reads through our own file object, may use no protocol and only demuxers that read one file; only audio decoders
may open, so a video track is never decoded, not even to probe it, and a picture of any size costs nothing. PyAV is
imported in functions: the server loads it before the first job, and tests look at these modules without it.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from services.edge import sniff
from services.edge.announced_size import announced_bytes
from services.edge.decoder_protocol import Refusal

if TYPE_CHECKING:
    from av import AudioStream
    from av.container import InputContainer

_READ_BYTES: Final = 64 * 1024
# Bare sound without times, and what is often written to a pipe.
_GUESSED_FORMATS: Final = frozenset({"aac", "ac3", "asf", "dts", "eac3", "matroska", "mp3", "truehd"})
# Of the file is sound, by a guess: FFmpeg knows how much stands before it. Beside a film it is more by chance.
_LEAST_GUESSED_SHARE: Final = 0.9
_LEAST_GUESSED_SHARE_OF_FILM: Final = 0.97
_MOST_GUESSED_SHARE: Final = 1.005
_PLACEHOLDER_FACTOR: Final = 4.0
_LATE_SECONDS: Final = 0.5

_BROADCAST_FORMATS: Final = frozenset({"mpeg", "mpegts"})
# These containers say how long they are; the others' duration is FFmpeg's estimate from the bit rate.
_EXACT_FORMATS: Final = frozenset(
    {"mov", "matroska", "wav", "w64", "flac", "ogg", "asf", "avi", "caf", "aiff", "nistsphere", "sox"}
)

# Demuxers that read one file and nothing else. mpegvideo: so that a bare video says "no audio track".
_DEMUXERS: Final = (
    "mp3,wav,w64,flac,ogg,mov,aac,asf,matroska,avi,mpeg,mpegts,mpegvideo,aiff,au,caf,amr,amrnb,amrwb,flv,ac3,eac3,"
    "ape,dts,dv,mpc,mpc8,mxf,nut,rm,tak,truehd,tta,voc,wtv,wv,"
    # Of dictation machines, speech corpora, telephones, cameras and broadcasters.
    "avr,dhav,dsf,dss,dtshd,gxf,iff,ircam,loas,mlp,nistsphere,oma,pvf,qcp,sox,xwma"
)
# Packets of 64 KiB instead of 1,024 samples, as each costs the same however little is in it; and one of them, not
# 2,500, to find out whether another coding hides in what says that it is PCM.
_WAV_OPTIONS: Final = {"max_size": str(64 * 1024), "max_probe_packets": "1"}
_AUDIO_DECODERS: Final = (
    "aac,aac_fixed,aac_latm,ac3,ac3_fixed,eac3,alac,amrnb,amrwb,libopencore_amrnb,libopencore_amrwb,dca,flac,"
    "gsm,gsm_ms,mp1,mp1float,mp2,mp2float,mp3,mp3float,nellymoser,opus,libopus,speex,libspeex,vorbis,libvorbis,"
    "wmalossless,wmapro,wmav1,wmav2,wmavoice,"
    "ape,atrac3,atrac3plus,cook,g723_1,g729,ilbc,mlp,mpc7,mpc8,real_144,real_288,s302m,sipr,tak,truehd,tta,wavpack,"
    "8svx_exp,8svx_fib,als,atrac1,atrac3al,atrac3plusal,dsd_lsbf,dsd_lsbf_planar,dsd_msbf,dsd_msbf_planar,dss_sp,"
    "dvaudio,evrc,mace3,mace6,mp3adu,mp3adufloat,mp3on4,mp3on4float,qcelp,qdm2,qdmc,shorten,siren,msnsiren,truespeech,"
    "g722,g726,g726le,adpcm_ct,adpcm_ima_amv,adpcm_ima_oki,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_sbpro_2,"
    "adpcm_sbpro_3,adpcm_sbpro_4,adpcm_swf,adpcm_yamaha,"
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
        size = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, sniff.TAIL_BYTES, max(0, size - sniff.TAIL_BYTES))
        tags = sniff.tags_behind(tail)
        self._file_size = size
        self.size = size - tags if tags < size else size
        """Without the tags at the end, which FFmpeg takes for broken sound."""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end."""
        data = os.pread(self._descriptor, min(size, max(0, self.size - self._position)), self._position)
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

    def missing_share(self) -> float:
        """Return how much of the file is not there, by what it says itself: 0 to 1."""
        announced = announced_bytes(lambda offset, size: os.pread(self._descriptor, size, offset), self._file_size)
        return max(0.0, 1 - self._file_size / announced) if announced else 0.0

    def head(self, size: int = sniff.HEAD_BYTES) -> bytes:
        """Return the file's first bytes without moving."""
        return os.pread(self._descriptor, min(size, self.size), 0)


def open_container(source: FileReader, *, unedited: bool = False) -> "InputContainer":
    """Open a media file by its content alone.

    Args:
        source: the file.
        unedited: whether the whole of a track is wanted, whatever an MP4's edit list says of it.

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
    source.seek(0)
    try:
        container: InputContainer = av.open(
            source,
            container_options={
                "protocol_whitelist": "none",
                "format_whitelist": _DEMUXERS,
                "codec_whitelist": _AUDIO_DECODERS,
            },
            options=_options(sniff.media_kind(head), unedited),
            metadata_errors="replace",
            buffer_size=_READ_BYTES,
        )
    except FFmpegError as error:
        raise Refusal("unreadable_media", _unopened(head)) from error
    return container


def _options(kind: str | None, unedited: bool) -> dict[str, str]:
    if kind == sniff.WAV:
        return _WAV_OPTIONS
    return {"ignore_editlist": "1"} if unedited and kind == sniff.MP4 else {}


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


def latest_end(container: "InputContainer", duration: float) -> float:
    """Return up to where the sound may go, of a file that says it is `duration` seconds long.

    Matroska tells where the sound ends, or how long it is: who writes it does not agree on clocks that begin late.
    """
    whole = container.duration / 1e6 if container.duration is not None else 0.0
    return max(duration, whole) if _format_name(container) == "matroska" else duration


def describe(container: "InputContainer", stream: "AudioStream", source: FileReader) -> dict[str, Any]:
    """Return the probe: the fields of `media.Probe`."""
    duration = _duration(container, stream, source)
    is_guessed = _may_be_a_guess(container, source)
    has_video = any(_is_motion(video) for video in container.streams.video)
    if duration is not None and (duration <= 0 or (is_guessed and container.streams.video)):
        duration = None  # by the bit rate of the sound, the bytes of a picture would be hours of it
    return {
        "duration": duration,
        "is_guessed": is_guessed,
        "container": _format_name(container),
        "codec": stream.codec_context.codec.canonical_name,
        "sample_rate": stream.codec_context.sample_rate,
        "channels": stream.codec_context.channels,
        "has_video": has_video,
    }


def _duration(container: "InputContainer", stream: "AudioStream", source: FileReader) -> float | None:
    """Return the end of the sound in file time, in seconds, as far as the file tells."""
    start = (container.start_time or 0) / 1e6
    if _format_name(container) == "avi" and (_implied_share(container, source) or 0) > _PLACEHOLDER_FACTOR:
        return None  # written to a pipe, or never finished: it tells what it might have become
    if _format_name(container) == "ogg" and start > _LATE_SECONDS:
        return None  # cut out of a longer stream: FFmpeg tells the end on the clock of that one
    whole = container.duration / 1e6 if container.duration is not None else None
    if _format_name(container) == "matroska" and whole is not None and whole > start > _LATE_SECONDS:
        whole -= start  # it is told where the file ends, on a clock that need not begin at 0
    if stream.duration is None or stream.time_base is None:
        return whole
    # The track's own length: a picture may run on for an hour after the sound. ASF tells the file's for every track.
    own = float(stream.duration * stream.time_base)
    if stream.start_time is not None and _format_name(container) != "asf":
        own += max(0.0, float(stream.start_time * stream.time_base) - start)
    return own


def _unopened(head: bytes) -> str:
    kind = sniff.media_kind(head)
    if kind is None:
        return "This is not a media file that we can read."
    if kind == sniff.MP4:
        damage = "its index (moov) is missing or damaged, as after an interrupted recording"
    else:
        damage = "it is damaged or cut off"
    return f"The file looks like {kind}, but {damage}."


def says_its_length(container: "InputContainer") -> bool:
    """Say whether a file of this kind says how long it is."""
    return _format_name(container) in _EXACT_FORMATS


def has_edits(container: "InputContainer") -> bool:
    """Say whether a file of this kind may say which parts of a track are shown."""
    return _format_name(container) == "mov"


def is_broadcast(container: "InputContainer") -> bool:
    """Say whether it is a format in which clocks jump."""
    return _format_name(container) in _BROADCAST_FORMATS


def _format_name(container: "InputContainer") -> str:
    return str(container.format.name).partition(",")[0]


def _may_be_a_guess(container: "InputContainer", source: FileReader) -> bool:
    """Say whether FFmpeg may have made up the length, for the file does not tell it: from its size and the bit rates of
    those tracks whose bit rates are known, at their beginning. So it does with raw AAC, MP3 without an index, and
    Matroska and ASF that were written to a pipe. (Where a file tells just that length it counts as a guess, too.)
    """
    share = _implied_share(container, source)
    if share is None or _format_name(container) not in _GUESSED_FORMATS:
        return False
    least = _LEAST_GUESSED_SHARE_OF_FILM if container.streams.video else _LEAST_GUESSED_SHARE
    return least <= share <= _MOST_GUESSED_SHARE


def _implied_share(container: "InputContainer", source: FileReader) -> float | None:
    """Return how large the file would be at the bit rates that are known, beside its size; None where none is."""
    known = sum(stream.codec_context.bit_rate or 0 for stream in container.streams if stream.codec_context is not None)
    size = source.size - sniff.tag_bytes(source.head())
    if not known or size <= 0 or container.duration is None:
        return None
    return float(container.duration / 1e6 * known / 8 / size)


def _is_motion(video: Any) -> bool:
    """Say whether a video track is a film, not a cover picture."""
    from av.stream import Disposition

    return not video.disposition & (Disposition.attached_pic | Disposition.still_image)
