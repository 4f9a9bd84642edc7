import array
import io
import json
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from services.edge import decoder
from services.edge.announced_size import mpeg_frame_bytes
from services.edge.containers import FileReader
from services.edge.decoder_protocol import MAX_PAYLOAD_BYTES, FrameWriter, Job
from tests.edge.conftest import film, tone, wav_header
from tests.edge.decoder_frames import Frames, run_writer

Media = Callable[..., bytes]
Descriptor = Callable[[bytes], int]
Spans = tuple[tuple[float, float], ...]

# Container and codec of every format of the contract; MPEG is there as .mpg and .mpeg, Opus in Ogg and WebM.
FORMATS = [
    ("wav", "pcm_s16le", None, 16_000),
    ("wav", "pcm_f32le", None, 48_000),
    ("wav", "pcm_u8", None, 8_000),
    ("mp3", "libmp3lame", None, 44_100),
    ("flac", "flac", None, 44_100),
    ("ogg", "vorbis", None, 44_100),
    ("ogg", "libopus", None, 48_000),
    ("ipod", "aac", None, 44_100),
    ("adts", "aac", None, 44_100),
    ("asf", "wmav2", None, 44_100),
    ("mp4", "aac", "mpeg4", 44_100),
    ("mov", "pcm_s16le", "mpeg4", 48_000),
    ("webm", "libopus", "libvpx", 48_000),
    ("matroska", "vorbis", "mpeg4", 44_100),
    ("avi", "libmp3lame", "mpeg4", 44_100),
    ("asf", "wmav2", "wmv2", 44_100),
    ("mpeg", "mp2", "mpeg1video", 44_100),
    ("mpegts", "mp2", "mpeg2video", 48_000),
]

# Some of the others that FFmpeg reads, as far as it writes them.
FURTHER_FORMATS = [
    ("aiff", "pcm_s16be", 44_100, "stereo"),
    ("au", "pcm_mulaw", 8_000, "mono"),
    ("caf", "alac", 44_100, "stereo"),
    ("amr", "libopencore_amrnb", 8_000, "mono"),
    ("flv", "libmp3lame", 44_100, "stereo"),
    ("gxf", "pcm_s16le", 48_000, "mono"),
    ("ircam", "pcm_s16le", 16_000, "mono"),
    ("latm", "aac", 44_100, "stereo"),
    ("mxf", "pcm_s16le", 48_000, "stereo"),
    ("sox", "pcm_s32le", 16_000, "mono"),
    ("voc", "pcm_u8", 16_000, "mono"),
    ("w64", "pcm_s16le", 44_100, "stereo"),
    ("wav", "adpcm_ima_wav", 8_000, "mono"),
    ("wv", "wavpack", 44_100, "stereo"),
]


def decoded(descriptor: int, max_seconds: float = 60.0, *, separate: bool = False) -> Frames:
    job = Job(max_seconds, cpu_seconds=60, memory_bytes=1 << 31, separate=separate)
    return run_writer(lambda frames: decoder.decode(FileReader(descriptor), frames, job))


@pytest.mark.parametrize(("container", "codec", "video", "rate"), FORMATS)
def test_every_format_of_the_contract_decodes_whole(
    container: str, codec: str, video: str | None, rate: int, media: Media, descriptor: Descriptor
) -> None:
    frames = decoded(descriptor(media(container, codec, video=video, rate=rate, layout="stereo")))
    assert frames.kinds == "iad"
    assert frames.seconds == pytest.approx(2.0, abs=0.1)
    assert frames.level(0.2, 1.8) > 5_000
    assert frames.done == {"seconds": frames.seconds, "warnings": []}
    assert frames.probe["has_video"] is (video is not None)
    assert frames.probe["sample_rate"] == rate
    assert frames.probe["duration"] == pytest.approx(2.0, abs=0.25)


@pytest.mark.parametrize(("container", "codec", "rate", "layout"), FURTHER_FORMATS)
def test_further_formats_decode_whole(
    container: str, codec: str, rate: int, layout: str, media: Media, descriptor: Descriptor
) -> None:
    video = "mpeg2video" if container == "mxf" else None
    frames = decoded(descriptor(media(container, codec, video=video, rate=rate, layout=layout)))
    assert frames.kinds == "iad"
    assert frames.seconds == pytest.approx(2.0, abs=0.1)
    assert frames.level(0.2, 1.8) > 5_000
    assert frames.done == {"seconds": frames.seconds, "warnings": []}


def test_a_dictation_decodes_whole(descriptor: Descriptor) -> None:
    # DSS as FFmpeg's dss.c reads it: two blocks of head, then blocks of 6 bytes and 506 of SP frames (42 bytes, 24 ms).
    head = bytearray(1_024)
    head[:4] = b"\x02dss"
    head[38:62] = b"260102090000260102090005"
    blocks = b"".join(bytes([0, 0, 12, 0, 0, 0]) + bytes((i * 37 + n) % 251 for i in range(506)) for n in range(18))
    frames = decoded(descriptor(bytes(head) + blocks))
    assert frames.kinds == "iad"
    assert frames.seconds == pytest.approx(18 * 506 / 42 * 0.024, rel=0.05)
    assert (frames.probe["container"], frames.probe["codec"]) == ("dss", "dss_sp")


def test_a_recording_of_a_speech_corpus_decodes_whole(wav: Callable[..., bytes], descriptor: Descriptor) -> None:
    fields = ("sample_count -i 32000", "sample_rate -i 16000", "channel_count -i 1", "sample_n_bytes -i 2")
    coding = ("sample_byte_format -s2 01", "sample_coding -s3 pcm", "end_head")
    head = "\n".join(("NIST_1A", "   1024", *fields, *coding, "")).encode().ljust(1_024)
    samples = wav(32_000)[44:]
    frames = decoded(descriptor(head + samples))
    assert (frames.kinds, frames.seconds) == ("iad", 2.0)
    assert frames.probe["container"] == "nistsphere"
    frames = decoded(descriptor(head + samples[:20_000]))
    assert [warning["code"] for warning in frames.done["warnings"]] == ["truncated"]


def test_first_chunk_is_small_and_none_is_large(long_wav: Callable[[float], int]) -> None:
    frames = decoded(long_wav(60))
    assert frames.seconds == 60.0
    assert frames.chunks[0] <= 64 * 1024
    assert max(frames.chunks) <= MAX_PAYLOAD_BYTES


@pytest.mark.parametrize("hot", range(6))
def test_every_channel_of_surround_sound_is_heard(hot: int, media: Media, descriptor: Descriptor) -> None:
    frames = decoded(descriptor(media("flac", "flac", rate=48_000, layout="5.1", hot=hot, spans=((0.0, 0.5),))))
    assert frames.level(0.1, 0.4) > 1_000


@pytest.mark.parametrize("hot", [0, 1])
def test_one_sided_stereo_is_heard(hot: int, media: Media, descriptor: Descriptor) -> None:
    frames = decoded(descriptor(media("flac", "flac", layout="stereo", hot=hot, spans=((0.0, 0.5),))))
    assert frames.level(0.1, 0.4) > 4_000


DEPTHS = ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "flac", "libopus"]


def opposite(codec: str, silence: float = 0.0) -> bytes:
    """Return a recording of 4 s whose right side is the negative of its left one, behind some silence."""
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as output:
        audio = output.add_stream(codec, rate=48_000, layout="stereo")
        for frame in tone(48_000, "stereo", 0, 0.0, 4.0 + silence):
            samples = array.array("h", bytes(frame.planes[0])[: frame.samples * 4])
            if frame.pts < silence * 48_000:
                samples = array.array("h", bytes(len(samples) * 2))
            samples[1::2] = array.array("h", [-sample for sample in samples[::2]])
            frame.planes[0].update(samples.tobytes())
            output.mux(audio.encode(frame))
        output.mux(audio.encode(None))
    return target.getvalue()


@pytest.mark.parametrize("codec", DEPTHS)
def test_sides_in_opposite_phase_do_not_cancel_each_other(codec: str, descriptor: Descriptor) -> None:
    frames = decoded(descriptor(opposite(codec)))
    assert frames.seconds == pytest.approx(4.0, abs=0.05)
    assert frames.level(0.0, 4.0) > 8_000
    assert [warning["code"] for warning in frames.done["warnings"]] == ["channels_opposite"]


def test_sides_in_opposite_phase_are_found_out_late(descriptor: Descriptor) -> None:
    frames = decoded(descriptor(opposite("flac", silence=5.0)))
    assert frames.seconds == pytest.approx(9.0, abs=0.05)
    assert frames.level(5.5, 9.0) > 8_000


def test_sides_in_opposite_phase_may_come_out_apart(descriptor: Descriptor) -> None:
    frames = decoded(descriptor(opposite("flac")), separate=True)
    assert list(frames.samples) == [-sample for sample in frames.others[1]]
    assert frames.done["warnings"] == []


@pytest.mark.parametrize("layout", ["stereo", "5.1"])
def test_channels_come_out_apart_where_that_is_asked_for(layout: str, media: Media, descriptor: Descriptor) -> None:
    content = media("flac", "flac", rate=48_000, layout=layout, hot=1, spans=((0.0, 20.0),))
    frames = decoded(descriptor(content), separate=True)
    channels = 2 if layout == "stereo" else 6
    assert (frames.kinds, frames.probe["channels"], len(frames.others)) == ("iad", channels, channels - 1)
    assert {len(samples) for samples in frames.others.values()} == {len(frames.samples)} == {20 * 16_000}
    heard = [channel for channel, samples in frames.others.items() if max(samples) > 10_000]
    assert (heard, max(frames.samples)) == ([1], 0)
    assert frames.done["warnings"] == []


def test_channels_that_are_all_the_same_come_with_a_warning(media: Media, descriptor: Descriptor) -> None:
    frames = decoded(descriptor(media("flac", "flac", layout="stereo")), separate=True)
    assert frames.samples == frames.others[1]
    assert [warning["code"] for warning in frames.done["warnings"]] == ["channels_alike"]


@pytest.mark.parametrize("planar", ["wav", "flac"])
@pytest.mark.parametrize("channels", range(2, 9))
def test_up_to_eight_channels_come_out_apart(channels: int, planar: str, descriptor: Descriptor) -> None:
    samples = array.array("h", [1_000 * channel for channel in range(channels)] * 16_000).tobytes()
    content = wav_header(len(samples), channels=channels) + samples
    if planar == "flac":
        target = io.BytesIO()
        with av.open(io.BytesIO(content)) as source, av.open(target, "w", format="flac") as output:
            stream = output.add_stream("flac", rate=16_000, layout=source.streams.audio[0].layout.name)
            for frame in source.decode(audio=0):
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        content = target.getvalue()
    frames = decoded(descriptor(content), separate=True)
    assert (frames.kinds, len(frames.others)) == ("iad", channels - 1)
    assert [set(frames.others[channel]) for channel in range(1, channels)] == [{1_000 * n} for n in range(1, channels)]
    assert set(frames.samples) == {0}
    assert len(frames.samples) == 16_000


def test_a_false_guess_of_the_length_is_no_warning(media: Media, descriptor: Descriptor) -> None:
    quiet = media("adts", "aac", rate=44_100, layout="mono", hot=1, spans=((0.0, 2.0),))
    frames = decoded(descriptor(quiet + media("adts", "aac", rate=44_100, spans=((0.0, 6.0),))))
    assert frames.probe["is_guessed"] is True
    assert frames.done["warnings"] == []


@pytest.mark.parametrize(("channels", "code"), [(1, "one_channel"), (9, "too_many_channels")])
def test_what_cannot_be_separated_is_refused(channels: int, code: str, descriptor: Descriptor) -> None:
    content = wav_header(channels * 3_200, channels=channels) + bytes(channels * 3_200)
    frames = decoded(descriptor(content), separate=True)
    assert (frames.kinds, frames.error["code"]) == ("e", code)
    assert decoded(descriptor(content)).seconds == 0.1


def test_a_gap_is_as_long_on_every_channel(media: Media, descriptor: Descriptor) -> None:
    content = media("matroska", "flac", layout="stereo", hot=0, spans=((0.0, 1.0), (3.0, 4.0)))
    frames = decoded(descriptor(content), separate=True)
    assert len(frames.samples) == len(frames.others[1]) == pytest.approx(4.0 * 16_000, abs=800)


def test_a_rate_that_holds_no_speech_is_refused_before_it_becomes_hours(descriptor: Descriptor) -> None:
    content = wav_header(60_000, rate=20) + bytes(60_000)
    frames = decoded(descriptor(content), max_seconds=86_400)
    assert (frames.kinds, frames.error["code"]) == ("e", "unreadable_media")
    assert "20 samples a second" in frames.error["message"]


def test_a_track_that_starts_late_keeps_file_time(media: Media, descriptor: Descriptor) -> None:
    content = media("matroska", "flac", video="mpeg4", spans=((1.5, 2.5),))
    frames = decoded(descriptor(content))
    assert frames.seconds == pytest.approx(2.5, abs=0.05)
    assert frames.level(0.0, 1.4) == 0
    assert frames.level(1.6, 2.4) > 5_000


def test_a_gap_in_the_track_is_silence(media: Media, descriptor: Descriptor) -> None:
    frames = decoded(descriptor(media("matroska", "flac", spans=((0.0, 1.0), (3.0, 4.0)))))
    assert frames.seconds == pytest.approx(4.0, abs=0.05)
    assert frames.level(1.2, 2.8) == 0
    assert frames.level(3.1, 3.9) > 5_000


def test_a_jump_of_the_clock_in_a_broadcast_is_no_silence(media: Media, descriptor: Descriptor) -> None:
    frames = decoded(descriptor(media("mpegts", "mp2", rate=48_000, spans=((0.0, 1.0), (100.0, 101.0)))))
    assert frames.seconds == pytest.approx(2.0, abs=0.1)
    assert frames.done["warnings"] == []


def test_a_gap_in_a_broadcast_is_silence(media: Media, descriptor: Descriptor) -> None:
    for container in ("mpeg", "mpegts"):
        frames = decoded(descriptor(media(container, "mp2", rate=48_000, spans=((0.0, 1.0), (31.0, 32.0)))))
        assert frames.seconds == pytest.approx(32.0, abs=0.1)
        assert frames.level(1.2, 30.8) == 0


def interleaved(container: str, codecs: tuple[str, str], rate: int, spans: Spans, shown: tuple[float, float]) -> bytes:
    """Return a film whose packets lie in the order of their times, with sound in `spans` and pictures in `shown`."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        audio = output.add_stream(codecs[0], rate=rate, layout="stereo")
        video = output.add_stream(codecs[1], rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        packets = [
            packet for span in spans for frame in tone(rate, "stereo", None, *span) for packet in audio.encode(frame)
        ]
        for picture in film(shown[1] - shown[0]):
            picture.pts += round(shown[0] * 25)
            packets += video.encode(picture)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            output.mux(packet)
    return target.getvalue()


def test_a_film_may_go_on_for_minutes_without_sound(descriptor: Descriptor) -> None:
    spans = ((70.0, 71.0), (140.0, 141.0))
    content = interleaved("mpegts", ("mp2", "mpeg2video"), 48_000, spans, (0.0, 150.0))
    frames = decoded(descriptor(content), 200)
    assert frames.seconds == pytest.approx(141.0, abs=0.1)
    assert frames.level(70.2, 70.8) > 5_000
    assert frames.level(140.2, 140.8) > 5_000
    assert frames.done["warnings"] == []


def test_a_track_that_appears_later_does_not_end_the_sound(descriptor: Descriptor) -> None:
    content = bytearray(interleaved("flv", ("pcm_s16le", "flv1"), 44_100, ((0.0, 10.0),), (8.0, 10.0)))
    content[4] = 4  # the head says that there is sound alone
    frames = decoded(descriptor(bytes(content)))
    assert frames.probe["has_video"] is False
    assert frames.seconds == pytest.approx(10.0, abs=0.1)
    assert frames.level(8.2, 9.8) > 5_000


def test_a_clock_that_does_not_begin_at_zero_is_no_length(media: Media, descriptor: Descriptor) -> None:
    for late in (2.0, 40_000.0):
        content = media("matroska", "libopus", rate=48_000, spans=((late, late + 2.0),))
        frames = decoded(descriptor(content))
        assert frames.seconds == pytest.approx(2.0, abs=0.1)
        assert frames.probe["duration"] == pytest.approx(2.0, abs=0.1)
        assert frames.done["warnings"] == []


def test_a_pause_near_the_end_is_kept_whatever_the_length_counts_from(media: Media, descriptor: Descriptor) -> None:
    content = bytearray(media("matroska", "libopus", rate=48_000, spans=((5.0, 11.0), (13.0, 15.0))))
    told = content.index(b"\x44\x89\x88") + 3  # Duration, of 8 bytes
    assert struct.unpack_from(">d", content, told)[0] == pytest.approx(15_000, abs=50)
    for milliseconds in (15_000.0, 10_000.0):
        struct.pack_into(">d", content, told, milliseconds)
        frames = decoded(descriptor(bytes(content)))
        assert frames.seconds == pytest.approx(10.0, abs=0.05)
        assert frames.level(6.2, 7.8) < 10
        assert frames.done["warnings"] == []


@pytest.mark.parametrize(("duration", "media_time"), [(0, 1_024), (6_000, 50 * 48_000)])
def test_an_edit_list_that_shows_nothing_is_left_aside(
    duration: int, media_time: int, media: Media, descriptor: Descriptor
) -> None:
    content = bytearray(media("mp4", "aac", rate=48_000))
    struct.pack_into(">Ii", content, content.index(b"elst") + 12, duration, media_time)
    frames = decoded(descriptor(bytes(content)))
    assert frames.seconds == pytest.approx(2.0, abs=0.1)
    assert frames.level(0.2, 1.8) > 5_000


def test_joined_files_of_different_shape_decode_on(media: Media, descriptor: Descriptor) -> None:
    first = media("ogg", "vorbis", rate=44_100, layout="stereo")
    frames = decoded(descriptor(first + media("ogg", "vorbis", rate=22_050, layout="stereo")))
    assert frames.done["seconds"] >= 2.0
    assert frames.level(0.2, 1.8) > 5_000


def test_an_empty_default_track_gives_way_to_one_with_sound(descriptor: Descriptor) -> None:
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as output:
        streams = [output.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in range(3)]
        streams[0].disposition = av.stream.Disposition.default
        streams[1].disposition = streams[2].disposition = 0
        frame = av.AudioFrame(format="s16", layout="mono", samples=8_000)
        frame.planes[0].update(bytes(16_000))
        frame.sample_rate, frame.pts = 16_000, 0
        output.mux(streams[2].encode(frame))
    frames = decoded(descriptor(target.getvalue()))
    assert (frames.kinds, frames.seconds) == ("iad", 0.5)


def two_tracks(first: bool, second: bool) -> bytes:
    """Return a film's sound in two tracks, the first being the default one, that are loud or silent for 3 s."""
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as output:
        streams = [output.add_stream("flac", rate=16_000, layout="mono") for _ in range(2)]
        streams[0].disposition = av.stream.Disposition.default
        for stream, is_loud in zip(streams, (first, second), strict=True):
            for frame in tone(16_000, "mono", None if is_loud else 9, 0.0, 3.0):
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    return target.getvalue()


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True), (False, False)])
def test_a_silent_default_track_gives_way_to_one_with_sound(first: bool, second: bool, descriptor: Descriptor) -> None:
    frames = decoded(descriptor(two_tracks(first, second)))
    assert (frames.kinds, frames.seconds) == ("iad", 3.0)
    assert (frames.level(0.2, 2.8) > 5_000) is (first or second)
    assert frames.done["warnings"] == []


def test_a_track_that_cannot_be_had_takes_nothing_from_a_silent_one(descriptor: Descriptor) -> None:
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as output:
        streams = [output.add_stream("pcm_s16le", rate=16_000, layout=layout) for layout in ("stereo", "mono")]
        for stream, layout, loud in zip(streams, ("stereo", "mono"), (9, None), strict=True):
            for frame in tone(16_000, layout, loud, 0.0, 2.0):
                output.mux(stream.encode(frame))
    frames = decoded(descriptor(target.getvalue()), separate=True)
    assert (frames.kinds, frames.seconds, frames.probe["channels"]) == ("iad", 2.0, 2)
    frames = decoded(descriptor(target.getvalue()))
    assert frames.level(0.2, 1.8) > 5_000


REFUSED: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "empty_file", "The file is empty."),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(500), "unreadable_media", "looks like a PNG image"),
    "text": (b"Dear all,\nhere is the recording.\n" * 20, "unreadable_media", "looks like plain text"),
    "form": (b"[object FormData]", "unreadable_media", "fs.openAsBlob"),
    "noise": (
        bytes((i * i * 31 + i // 7) % 256 for i in range(50_000)),
        "unreadable_media",
        "that we can read",
    ),
    "half a WAV header": (b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00", "unreadable_media", "damaged or cut off"),
    "zeros": (bytes(100_000), "unreadable_media", "that we can read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_recording_is_refused_in_words(name: str, descriptor: Descriptor) -> None:
    content, code, words = REFUSED[name]
    frames = decoded(descriptor(content))
    assert frames.kinds == "e"
    assert frames.error["code"] == code
    assert words in frames.error["message"]


def test_a_film_without_sound_has_no_audio_track(media: Media, descriptor: Descriptor) -> None:
    for container in ("mp4", "matroska", "avi"):
        frames = decoded(descriptor(media(container, "", video="mpeg4", spans=())))
        assert frames.error == {"code": "no_audio_track", "message": "The file has no audio track."}


def test_an_mp4_without_its_index_says_so(media: Media, descriptor: Descriptor) -> None:
    content = media("mp4", "aac", video="mpeg4", rate=44_100)
    frames = decoded(descriptor(content[: content.index(b"moov") - 4]))
    assert frames.error["code"] == "unreadable_media"
    assert "moov" in frames.error["message"]


def test_a_wav_that_claims_4_gb_gives_what_it_has(wav: Callable[..., bytes], descriptor: Descriptor) -> None:
    frames = decoded(descriptor(wav(48_000, claim=0xFFFFFFF0)))
    assert (frames.kinds, frames.seconds) == ("iad", 3.0)
    assert frames.probe["duration"] == pytest.approx(3.0, abs=0.1)


def test_garbage_behind_a_wav_is_not_decoded(wav: Callable[..., bytes], descriptor: Descriptor) -> None:
    frames = decoded(descriptor(wav(32_000) + bytes(range(256)) * 80))
    assert frames.seconds == 2.0


def test_one_sample_decodes_and_none_is_refused(wav: Callable[..., bytes], descriptor: Descriptor) -> None:
    one, none = decoded(descriptor(wav(1))), decoded(descriptor(wav(0)))
    assert (one.kinds, len(one.samples)) == ("iad", 1)
    assert none.error["code"] == "empty_file"


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("mp3", "libmp3lame", 44_100),
        ("flac", "flac", 44_100),
        ("wav", "pcm_s16le", 16_000),
        ("w64", "pcm_s16le", 16_000),
        ("caf", "pcm_s16be", 16_000),
        ("adts", "aac", 44_100),
        ("ogg", "libopus", 48_000),
        ("matroska", "libopus", 48_000),
        ("asf", "wmav2", 44_100),
    ],
)
def test_a_truncated_file_gives_what_it_has(
    container: str, codec: str, rate: int, media: Media, descriptor: Descriptor
) -> None:
    content = media(container, codec, rate=rate, spans=((0.0, 6.0),))
    frames = decoded(descriptor(content[: len(content) * 2 // 5]))
    assert frames.kinds == "iad"
    assert 1.5 < frames.seconds < 3.0
    (warning,) = frames.done["warnings"]
    assert warning["code"] == "truncated"
    assert f"{frames.seconds:.1f} s of it were transcribed" in warning["message"]


@pytest.mark.parametrize(("container", "codec"), [("matroska", "libopus"), ("avi", "libmp3lame"), ("mpegts", "mp2")])
def test_a_truncated_film_gives_what_it_has(container: str, codec: str, media: Media, descriptor: Descriptor) -> None:
    content = media(container, codec, video="mpeg4", rate=48_000, spans=((0.0, 6.0),))
    frames = decoded(descriptor(content[: len(content) // 2]))
    assert frames.seconds == pytest.approx(3.0, abs=0.3)
    warned = [warning["code"] for warning in frames.done["warnings"]]
    assert warned == ([] if container == "mpegts" else ["truncated"]), "a broadcast ends anywhere"


def test_an_mp3_without_index_that_ends_within_a_frame_is_truncated(media: Media, descriptor: Descriptor) -> None:
    content = media("mp2", "mp2", rate=44_100, spans=((0.0, 6.0),))
    frame = mpeg_frame_bytes(content[:4])
    assert frame is not None
    for cut, expected in ((0, []), (frame // 2, ["truncated"])):
        frames = decoded(descriptor(content[: len(content) - cut]))
        assert [warning["code"] for warning in frames.done["warnings"]] == expected


@pytest.mark.parametrize(
    "behind",
    [bytes(100), bytes(5_000), b"\xff" * 500, b"The end. " * 50, b"ID3\x04\0\0\0\0\x0f\x76" + bytes(2_038)],
    ids=["zeros", "more zeros", "ones", "text", "a tag"],
)
def test_what_stands_behind_an_mp3_is_no_damage(behind: bytes, media: Media, descriptor: Descriptor) -> None:
    content = media("mp3", "libmp3lame", rate=44_100)
    frames = decoded(descriptor(content + behind))
    assert frames.seconds == pytest.approx(2.0, abs=0.05)
    assert frames.done["warnings"] == []


def test_garbage_within_an_mp3_is_damage(media: Media, descriptor: Descriptor) -> None:
    content = media("mp3", "libmp3lame", rate=44_100)
    frames = decoded(descriptor(content + bytes(5_000) + content))
    assert [warning["code"] for warning in frames.done["warnings"]] == ["damaged"]


def test_a_hole_in_a_flac_is_told(media: Media, descriptor: Descriptor) -> None:
    content = bytearray(media("flac", "flac", rate=44_100, spans=((0.0, 6.0),)))
    content[len(content) // 2 : len(content) * 2 // 3] = bytes(len(content) * 2 // 3 - len(content) // 2)
    frames = decoded(descriptor(bytes(content)))
    assert frames.seconds == pytest.approx(6.0, abs=0.05), "file time is kept"
    assert [warning["code"] for warning in frames.done["warnings"]] == ["damaged"]


def test_damage_in_the_middle_is_skipped_with_a_warning(media: Media, descriptor: Descriptor) -> None:
    content = bytearray(media("matroska", "aac", rate=44_100, spans=((0.0, 6.0),)))
    middle = len(content) // 2
    content[middle : middle + 2_000] = b"\xff" * 2_000
    frames = decoded(descriptor(bytes(content)))
    assert frames.seconds == pytest.approx(6.0, abs=0.3), "file time is kept"
    assert [warning["code"] for warning in frames.done["warnings"]] == ["damaged"]
    assert frames.level(0.2, 2.0) > 5_000
    assert frames.level(4.5, 5.8) > 5_000


def test_more_audio_than_allowed_is_refused_at_once_when_announced(long_wav: Callable[[float], int]) -> None:
    frames = decoded(long_wav(7_201), max_seconds=7_200)
    assert frames.kinds == "e"
    assert frames.error["code"] == "too_long"
    assert "2 hours" in frames.error["message"]


def test_more_audio_than_announced_is_refused_late(media: Media, descriptor: Descriptor) -> None:
    frames = decoded(descriptor(media("adts", "aac", rate=44_100, spans=((0.0, 6.0),))), max_seconds=3)
    assert frames.kinds == "iae"
    assert frames.error["code"] == "too_long"
    assert frames.seconds <= 3


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {url}\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{url}</BaseURL></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
    "pls": "[playlist]\nFile1={url}\nNumberOfEntries=1\n",
}


@pytest.mark.parametrize("disguise", ["", "\x00"], ids=["plain", "not text"])
@pytest.mark.parametrize("target", ["http", "file"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_is_never_followed(kind: str, target: str, disguise: str, descriptor: Descriptor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        url = f"http://127.0.0.1:{port}/a.ts" if target == "http" else "file:///etc/passwd"
        # A NUL byte behind the list gets it past the look at its text, to FFmpeg's own limits.
        playlist = PLAYLISTS[kind].format(url=url, port=port) + disguise
        frames = decoded(descriptor(playlist.encode()))
        assert frames.error["code"] == "unreadable_media"
        with pytest.raises(BlockingIOError):
            server.accept()


def test_ffmpeg_without_our_limits_follows_the_playlist(tmp_path: Path) -> None:
    """Shows that the test above would notice, were the protocols open."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        playlist = tmp_path / "list.m3u8"
        playlist.write_text(PLAYLISTS["hls"].format(url=url))
        with pytest.raises(av.error.FFmpegError):
            # The connection waits in the backlog; nobody answers it.
            av.open(playlist, options={"protocol_whitelist": "file,http,tcp"}, timeout=0.5)
        server.setblocking(False)
        connection, _ = server.accept()
        with connection:
            assert connection.recv(14) == b"GET /a.ts HTTP"


def test_a_parent_that_leaves_ends_the_decoder(long_wav: Callable[[float], int]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    decoder.decode(FileReader(long_wav(10)), FrameWriter(writing), Job(60, 60, 1 << 31))
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"x")
    os.close(writing)


def test_every_development_recording_decodes_whole(dev_data: Path) -> None:
    truth = json.loads((dev_data / "formats_truth.json").read_text())
    assert len(truth["formats"]) == 21
    for name in truth["formats"]:
        with (dev_data / "formats" / name).open("rb") as file:
            frames = decoded(file.fileno())
        expected = 2.5 if name == "clip_stereo44k.wav" else truth["duration_s"]
        assert frames.seconds == pytest.approx(expected, abs=0.1), name
        assert frames.done["warnings"] == [], name
