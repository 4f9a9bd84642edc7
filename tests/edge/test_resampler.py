import array

import av
import pytest

from services.edge.resampler import Resampler, pairs

UNNAMED = [f"{channels} channels" for channels in (2, 3, 4, 6, 16)]
NAMED = ["mono", "stereo", "2.1", "3.0", "4.0", "quad", "5.0", "5.1", "5.1(side)", "6.1", "7.1", "7.1(wide)", "7.1.4"]
PAIRS = [f"2 channels ({pair})" for pair in ("FL+LFE", "FC+LFE", "BL+BR", "SL+SR", "FL+FC", "FL+BC", "TFL+TFR")]
# The centre whole, left and right 3 dB less, all others 6 dB less, so that the sum of 5.1 cannot clip.
LEVELS = {"FC": 0.256, "FL": 0.181, "FR": 0.181, "LFE": 0.128, "BL": 0.128, "BR": 0.128}


@pytest.mark.parametrize(
    ("layout", "hot"),
    [(layout, hot) for layout in UNNAMED + NAMED + PAIRS for hot in range(av.AudioLayout(layout).nb_channels)],
)
def test_every_channel_is_heard(layout: str, hot: int) -> None:
    channels = av.AudioLayout(layout).nb_channels
    frame = av.AudioFrame(format="s16", layout=layout, samples=3_200)
    frame.sample_rate = 32_000
    samples = array.array("h", [0]) * (3_200 * channels)
    samples[hot::channels] = array.array("h", ([16_000] * 16 + [-16_000] * 16) * 100)
    frame.planes[0].update(samples.tobytes())
    resampler = Resampler(frame)
    out = array.array("h", b"".join(bytes(mix) for source in (frame, None) for (mix,) in resampler.push(source)))
    assert len(out) == 1_600
    assert sum(abs(sample) for sample in out) / len(out) > 6_000 / channels


def test_the_centre_of_surround_sound_is_the_loudest() -> None:
    assert levels("5.1") == pytest.approx(LEVELS, abs=0.002)
    assert sum(levels("5.1").values()) == pytest.approx(1.0, abs=0.01)
    assert list(levels("4 channels").values()) == pytest.approx([0.25] * 4, abs=0.002)


@pytest.mark.parametrize("name", ["u8", "u8p", "s16", "s16p", "s32", "s32p", "flt", "fltp", "dbl", "dblp"])
def test_pairs_are_of_the_same_moment_whatever_samples_are(name: str) -> None:
    whole = av.AudioFrame(format="fltp", layout="stereo", samples=1_000)
    whole.sample_rate = 16_000
    for plane, sign in zip(whole.planes, (1, -1), strict=True):
        plane.update(array.array("f", [sign * number / 2_000 for number in range(1_000)]).tobytes())
    (frame,) = av.AudioResampler(format=name).resample(whole)
    left, right = pairs(frame, 10)
    assert left == pytest.approx([number / 20 for number in range(10)], abs=0.01)
    assert right == pytest.approx([-number / 20 for number in range(10)], abs=0.01)


def test_samples_of_another_kind_are_not_compared() -> None:
    assert pairs(av.AudioFrame(format="s64", layout="stereo", samples=100), 10) == ([], [])


def levels(layout: str) -> dict[str, float]:
    """Return how loud each channel is in the mix, as a share of what it was."""
    names = [channel.name for channel in av.AudioLayout(layout).channels]
    heard = {}
    for hot, name in enumerate(names):
        frame = av.AudioFrame(format="s16", layout=layout, samples=1_600)
        frame.sample_rate = 16_000
        samples = array.array("h", [0]) * (1_600 * len(names))
        samples[hot :: len(names)] = array.array("h", [10_000]) * 1_600
        frame.planes[0].update(samples.tobytes())
        resampler = Resampler(frame)
        out = array.array("h", b"".join(bytes(mix) for source in (frame, None) for (mix,) in resampler.push(source)))
        heard[name if name != "NONE" else f"channel {hot}"] = out[800] / 10_000
    return heard
