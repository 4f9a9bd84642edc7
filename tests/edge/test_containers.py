import io
import os
from collections.abc import Callable

import av
import pytest

from services.edge import containers
from services.edge.containers import FileReader, audio_tracks, describe, open_container, read_only

Media = Callable[..., bytes]
Descriptor = Callable[[bytes], int]


def test_the_default_track_is_chosen() -> None:
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as output:
        streams = [output.add_stream("pcm_s16le", rate=rate, layout="mono") for rate in (8_000, 32_000)]
        streams[0].disposition = 0
        streams[1].disposition = av.stream.Disposition.default
        for stream in streams:
            frame = av.AudioFrame(format="s16", layout="mono", samples=4_000)
            frame.planes[0].update(bytes(8_000))
            frame.sample_rate = stream.rate
            frame.pts = 0
            output.mux(stream.encode(frame))
    with av.open(io.BytesIO(target.getvalue())) as container:
        first, second = audio_tracks(container)
        assert (first.rate, second.rate) == (32_000, 8_000)
        read_only(container, first)
        assert container.streams[0].discard is av.stream.Discard.all


def test_no_other_decoder_or_demuxer_is_open(descriptor: Descriptor, media: Media) -> None:
    allowed = set(containers._DEMUXERS.split(","))
    assert not allowed & {
        "hls",
        "concat",
        "dash",
        "sdp",
        "rtsp",
        "image2",
        "lavfi",
        "tty",
        "webm_dash_manifest",
    }
    source = FileReader(descriptor(media("mp4", "aac", video="mpeg4", rate=44_100)))
    with open_container(source) as container:
        read_only(container, audio_tracks(container)[0])
        assert [stream.discard for stream in container.streams.video] == [av.stream.Discard.all]


def test_file_reader_has_its_own_position(descriptor: Descriptor) -> None:
    number = descriptor(b"0123456789")
    os.lseek(number, 7, os.SEEK_SET)
    reader = FileReader(number)
    assert reader.read(3) == b"012"
    assert reader.seek(-2, os.SEEK_END) == 8
    assert reader.seek(-20, os.SEEK_CUR) == 0
    assert (reader.read(100), reader.read(1)) == (b"0123456789", b"")
    assert os.lseek(number, 0, os.SEEK_CUR) == 7


def test_every_coding_that_may_be_decoded_is_known() -> None:
    # Some builds of FFmpeg have these, the one of PyAV's wheel does not.
    elsewhere = {"libspeex", "libvorbis"}
    assert set(containers._AUDIO_DECODERS.split(",")) - elsewhere <= av.codecs_available
    assert set(containers._DEMUXERS.split(",")) <= av.formats_available


def described(descriptor: int) -> dict[str, object]:
    source = FileReader(descriptor)
    container = open_container(source)
    return describe(container, audio_tracks(container)[0], source)


@pytest.mark.parametrize("tag", [b"", b"ID3\x04\0\0\0\0\x4e\x10" + bytes(10_000)], ids=["bare", "tagged"])
def test_the_length_of_raw_aac_is_a_guess(tag: bytes, media: Media, descriptor: Descriptor) -> None:
    content = tag + media("adts", "aac", rate=44_100, spans=((0.0, 6.0),))
    assert described(descriptor(content))["is_guessed"] is True


@pytest.mark.parametrize("container", ["mp4", "matroska", "webm", "mpegts", "mpeg", "asf", "flv"])
def test_the_end_of_a_track_that_starts_late_is_in_file_time(
    container: str, media: Media, descriptor: Descriptor
) -> None:
    codecs = {"webm": ("libopus", "libvpx"), "mpegts": ("mp2", "mpeg2video"), "mpeg": ("mp2", "mpeg1video")}
    codecs |= {"asf": ("wmav2", "wmv2"), "flv": ("aac", "flv1")}
    codec, video = codecs.get(container, ("aac", "mpeg4"))
    rate = 48_000 if container in ("webm", "mpegts") else 44_100
    probe = described(descriptor(media(container, codec, video=video, rate=rate, spans=((1.5, 2.5),))))
    assert probe["duration"] == pytest.approx(2.5, abs=0.1)


def test_an_ogg_stream_that_was_joined_late_does_not_tell_its_length(media: Media, descriptor: Descriptor) -> None:
    joined = described(descriptor(media("ogg", "libopus", rate=48_000, spans=((1_500.0, 1_502.0),))))
    whole = described(descriptor(media("ogg", "libopus", rate=48_000)))
    assert (joined["duration"], whole["duration"]) == (None, pytest.approx(2.0, abs=0.05))


def test_the_length_of_an_mp3_is_a_guess_only_without_an_index(media: Media, descriptor: Descriptor) -> None:
    content = media("mp3", "libmp3lame", rate=44_100, spans=((0.0, 6.0),))
    assert b"Info" in content
    cut = content[: len(content) // 2]
    assert described(descriptor(cut)) == {**described(descriptor(content)), "is_guessed": False}
    assert described(descriptor(content.replace(b"Info", b"xxxx")))["is_guessed"] is True


@pytest.mark.parametrize("container", ["mp4", "matroska", "asf", "ogg", "wav", "flac", "avi", "mpegts"])
def test_what_says_its_length_is_believed(container: str, media: Media, descriptor: Descriptor) -> None:
    codec = {"ogg": "vorbis", "wav": "pcm_s16le", "flac": "flac", "mpegts": "mp2", "asf": "wmav2"}.get(container, "aac")
    probe = described(descriptor(media(container, codec, rate=44_100, layout="stereo")))
    assert probe["is_guessed"] is False
    assert probe["duration"] == pytest.approx(2.0, abs=0.2)
