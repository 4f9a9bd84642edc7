from pathlib import Path

import pytest

from benchmarks.decoders import FORMATS, alternately, make_file
from services.edge.decoders import Decoders


@pytest.mark.slow
async def test_both_ways_decode_all_there_is(tmp_path: Path) -> None:
    async with Decoders() as decoders:
        for kind in FORMATS:
            ours, plain = await alternately(decoders, make_file(tmp_path, kind, 2.0), 1)
            assert (len(ours), len(plain)) == (1, 1)
            assert ours[0].audio_seconds == pytest.approx(plain[0].audio_seconds, abs=0.1)
            assert ours[0].audio_seconds == pytest.approx(2.0, abs=0.1)
