import os
import socket
from collections.abc import Callable

import pytest

from services.edge.decoder_protocol import MAX_PAYLOAD_BYTES, FrameWriter, Job, receive_job, send_job
from tests.edge.decoder_frames import run_writer


@pytest.mark.parametrize("separate", [False, True])
def test_a_job_travels_with_its_descriptors(separate: bool, descriptor: Callable[[bytes], int]) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    job = Job(max_seconds=12.5, cpu_seconds=3, memory_bytes=1 << 31, separate=separate)
    names = [b"file", b"frames", b"life line"]
    sent = dict(zip(("file", "frames", "life_line"), map(descriptor, names), strict=True))
    with ours, theirs:
        send_job(ours, job, **sent)
        received = receive_job(theirs)
        assert received is not None
        assert received[0] == job
        assert [os.pread(number, 20, 0) for number in received[1]] == names
        for number in received[1]:
            os.close(number)
        ours.close()
        assert receive_job(theirs) is None


def test_a_frame_of_any_size_comes_whole() -> None:
    payload = bytes(range(256)) * (MAX_PAYLOAD_BYTES // 256)

    def write(frames: FrameWriter) -> None:
        frames.write(b"a", payload)
        frames.write(b"a", b"\x01\x02", channel=1)
        frames.write_json(b"d", {"seconds": 8.192})

    frames = run_writer(write)
    assert frames.samples.tobytes() == payload
    assert frames.others[1].tobytes() == b"\x01\x02"
    assert frames.done == {"seconds": 8.192}
