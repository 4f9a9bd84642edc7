import io
import os
from collections.abc import Callable
from typing import Any

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


def test_an_mp3_with_an_index_that_was_cut_tells_what_it_was(media: Media, descriptor: Descriptor) -> None:
    content = media("mp3", "libmp3lame", rate=44_100, spans=((0.0, 6.0),))
    assert b"Info" in content
    cut = described(descriptor(content[: len(content) // 2]))
    assert (cut["is_guessed"], cut["duration"]) == (False, described(descriptor(content))["duration"])


def test_the_length_of_an_mp3_without_an_index_is_a_guess(media: Media, descriptor: Descriptor) -> None:
    content = media("mp3", "libmp3lame", rate=44_100, spans=((0.0, 6.0),)).replace(b"Info", b"xxxx")
    for junk in (b"", bytes(3_000), b"ID3\x04\0\0\0\0\x4e\x10" + bytes(10_000)):
        assert described(descriptor(junk + content))["is_guessed"] is True


class Pipe(io.RawIOBase):
    """Takes what is written; nobody can go back in it."""

    def __init__(self) -> None:
        self.content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.content += bytes(data)
        return len(data)


def piped(container: str, codec: str, content: bytes) -> bytes:
    """Return the sound of a file in another container, as it is when it is written to a pipe."""
    pipe = Pipe()
    with av.open(io.BytesIO(content)) as source, av.open(pipe, "w", format=container) as output:
        stream = output.add_stream(codec, rate=44_100, layout="stereo")
        stream.bit_rate = 128_000
        resampler = av.AudioResampler("fltp" if codec == "wmav2" else "s16p", "stereo", 44_100)
        for frame in source.decode(audio=0):
            for ready in resampler.resample(frame):
                output.mux(stream.encode(ready))
        output.mux(stream.encode(None))
    return bytes(pipe.content)


@pytest.mark.parametrize(("container", "codec"), [("avi", "libmp3lame"), ("asf", "wmav2"), ("matroska", "libmp3lame")])
def test_a_file_that_was_written_to_a_pipe_announces_nothing_that_is_believed(
    container: str, codec: str, media: Media, descriptor: Descriptor
) -> None:
    content = piped(container, codec, media("wav", "pcm_s16le", rate=44_100, layout="stereo", spans=((0.0, 6.0),)))
    probe = described(descriptor(content))
    assert probe["duration"] is None or probe["is_guessed"]


@pytest.mark.parametrize("tag", ["ape", "lyrics"])
@pytest.mark.parametrize("id3v1", [b"", b"TAG" + bytes(125)], ids=["alone", "before another"])
def test_tags_at_the_end_are_no_sound(tag: str, id3v1: bytes, descriptor: Descriptor) -> None:
    sound = bytes(range(200)) * 10
    cover = b"\xff\xfb\x90" * 1_000
    if tag == "ape":
        size = (len(cover) + 32).to_bytes(4, "little")
        head = b"APETAGEX\xd0\x07\0\0" + size + b"\x01\0\0\0"
        behind = head + b"\0\0\0\xa0" + bytes(8) + cover + head + b"\0\0\0\x80" + bytes(8)
    else:
        behind = b"LYRICSBEGIN" + cover + b"%06d" % (11 + len(cover)) + b"LYRICS200"
    reader = FileReader(descriptor(sound + behind + id3v1))
    assert reader.size == len(sound)
    assert reader.read(10_000) == sound
    assert (reader.read(10), reader.seek(0, os.SEEK_END)) == (b"", len(sound))


@pytest.mark.parametrize(
    "footer", [b"APETAGEX\xd0\x07\0\0\0\0\xa0\0\x01\0\0\0\0\0\0\x80" + bytes(8), b"999999LYRICS200"]
)
def test_a_tag_that_is_larger_than_its_file_is_none(footer: bytes, descriptor: Descriptor) -> None:
    content = bytes(range(200)) * 10 + footer
    assert FileReader(descriptor(content)).size == len(content)


@pytest.mark.parametrize("container", ["mp4", "matroska", "asf", "ogg", "wav", "flac", "avi", "mpegts"])
def test_what_says_its_length_says_it(container: str, media: Media, descriptor: Descriptor) -> None:
    codec = {"ogg": "vorbis", "wav": "pcm_s16le", "flac": "flac", "mpegts": "mp2", "asf": "wmav2"}.get(container, "aac")
    probe = described(descriptor(media(container, codec, rate=44_100, layout="stereo")))
    assert probe["duration"] == pytest.approx(2.0, abs=0.2)
