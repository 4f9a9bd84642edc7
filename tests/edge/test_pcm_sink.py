import math

import pytest

from services.edge.decoder_protocol import MAX_PAYLOAD_BYTES, FrameWriter, Refusal
from services.edge.pcm_sink import PcmSink, Wait, too_long
from tests.edge.decoder_frames import run_writer


def test_more_than_its_seconds_is_refused() -> None:
    def write(frames: FrameWriter) -> None:
        sink = PcmSink(frames, max_seconds=20)
        sink.write_silence(20 * 16_000)
        sink.flush()
        with pytest.raises(Refusal, match="longer than 20 s"):
            sink.write([b"\x00\x00"])

    frames = run_writer(write)
    assert frames.seconds == 20
    assert max(frames.chunks) == MAX_PAYLOAD_BYTES


def test_channels_go_out_side_by_side() -> None:
    def write(frames: FrameWriter) -> None:
        sink = PcmSink(frames, max_seconds=20, channels=3)
        for _ in range(4):
            sink.write([bytes(6_400), b"\x01\x00" * 3_200, bytes(6_400)])
        assert sink.samples == 12_800
        sink.flush()
        assert not sink.are_alike

    frames = run_writer(write)
    assert frames.chunks == [25_600] * 3
    assert set(frames.samples) == set(frames.others[2]) == {0}
    assert set(frames.others[1]) == {1}


def test_silence_may_wait_for_sound() -> None:
    def write(frames: FrameWriter) -> None:
        sink = PcmSink(frames, 20, wait=Wait(lambda: frames.write_json(b"i", {"it": "sounds"}), math.inf))
        for _ in range(3):
            sink.write([bytes(32_000)])
        sink.write_silence(16_000)
        sink.flush()
        assert sink.is_waiting
        assert sink.samples == 64_000
        with pytest.raises(Refusal, match="longer than 20 s"):
            sink.write_silence(17 * 16_000)
        sink = PcmSink(frames, 20, wait=Wait(lambda: frames.write_json(b"i", {"it": "sounds"}), math.inf))
        sink.write_silence(32_000)
        sink.write([bytes(100) + b"\x01\x00" * 50])
        assert not sink.is_waiting
        sink.write([bytes(200)])
        assert sink.samples == 32_200
        sink.flush()

    frames = run_writer(write)
    assert frames.kinds == "ia"
    assert len(frames.samples) == 32_200
    assert list(frames.samples[32_000:]) == [0] * 50 + [1] * 50 + [0] * 100
    assert not any(frames.samples[:32_000])


def test_silence_does_not_wait_for_ever() -> None:
    def write(frames: FrameWriter) -> None:
        sink = PcmSink(frames, 20, wait=Wait(lambda: None, until=0.0))
        sink.write_silence(16_000)
        sink.flush()
        assert not sink.is_waiting

    assert run_writer(write).seconds == 1.0


@pytest.mark.parametrize(("channels", "alike"), [(1, False), (2, True)])
def test_channels_are_alike_only_where_there_are_several(channels: int, alike: bool) -> None:
    def write(frames: FrameWriter) -> None:
        sink = PcmSink(frames, max_seconds=20, channels=channels)
        sink.write_silence(1_600)
        sink.flush()
        assert sink.are_alike is alike

    assert run_writer(write).seconds == 0.1


@pytest.mark.parametrize(
    ("seconds", "words"), [(30, "30 s"), (90, "90 s"), (600, "10 minutes"), (14_400, "4 hours"), (86_400, "24 hours")]
)
def test_a_limit_is_told_in_readable_units(seconds: float, words: str) -> None:
    assert f"longer than {words}," in too_long(seconds).message
