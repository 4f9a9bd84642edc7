import array

import av
import pytest

from services.edge.resampler import Resampler


@pytest.mark.parametrize(("channels", "hot"), [(3, 2), (4, 3), (6, 3), (16, 15)])
def test_channels_without_a_layout_are_all_heard(channels: int, hot: int) -> None:
    frame = av.AudioFrame(format="s16", layout=f"{channels} channels", samples=3_200)
    frame.sample_rate = 32_000
    samples = array.array("h", [0]) * (3_200 * channels)
    samples[hot::channels] = array.array("h", ([16_000] * 16 + [-16_000] * 16) * 100)
    frame.planes[0].update(samples.tobytes())
    resampler = Resampler(frame)
    out = array.array("h", b"".join(bytes(mix) for source in (frame, None) for (mix,) in resampler.push(source)))
    assert len(out) == 1_600
    assert sum(abs(sample) for sample in out) / len(out) > 10_000 / channels
