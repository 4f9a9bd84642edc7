import numpy as np
import pytest

from services.runtime.errors import Fault, MeshError
from services.runtime.recording import Recording


def test_samples_are_the_chunks_in_order_in_minus_one_to_one() -> None:
    recording = Recording(max_seconds=1)
    recording.append(np.array([0, 16384], "<i2").tobytes())
    recording.append(np.array([-32768, 32767], "<i2").tobytes())

    samples = recording.samples()

    assert samples.dtype == np.float32
    assert samples.tolist() == [0.0, 0.5, -1.0, 32767 / 32768]
    assert recording.seconds == 4 / 16_000


def test_an_empty_recording_has_no_samples() -> None:
    assert Recording(1).samples().shape == (0,)


@pytest.mark.parametrize(
    ("chunk", "fault"),
    [(b"abc", Fault.INVALID), (bytes(1024 * 1024 + 2), Fault.INVALID), (bytes(64_002), Fault.TOO_LARGE)],
)
def test_what_cannot_be_taken_is_refused(chunk: bytes, fault: Fault) -> None:
    with pytest.raises(MeshError) as refused:
        Recording(max_seconds=2).append(chunk)

    assert refused.value.fault is fault
