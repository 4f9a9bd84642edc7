"""What the edge and its decoders say to each other: jobs one way, frames and endings the other.

channel   edge → decoder server, a SOCK_SEQPACKET socket: one message a job, as JSON, with three descriptors
          beside it (SCM_RIGHTS): the file, the pipe for the frames, and a life line
life line a stream socket: the server tells the decoder's process id, then its exit status, four bytes each, and
          closes. A byte from the edge lowers the decoder's priority; its end has the decoder killed
pipe      frames: kind (1 byte), channel (u8), payload length (u32, little endian), payload
          i   what the file is, as JSON; sent when the first audio has decoded
          a   PCM of one channel, at most 256 KiB, a whole number of samples
          d   done, as JSON: seconds and warnings; the last frame
          e   refused, as JSON: code and sentence; the last frame
"""

import json
import os
import socket
import struct
from dataclasses import asdict, dataclass
from typing import Any, Final

FRAME_HEADER: Final = struct.Struct("<cBI")
KIND_PROBE: Final = b"i"
KIND_AUDIO: Final = b"a"
KIND_DONE: Final = b"d"
KIND_ERROR: Final = b"e"

MAX_PAYLOAD_BYTES: Final = 256 * 1024
"""Most that one frame carries: 8 s of PCM."""

MAX_CHANNELS: Final = 8
"""Most channels that come out apart from each other."""

EXIT_DECODING_FAILED: Final = 65
"""Exit status when not even an error frame could be written (EX_DATAERR)."""

EXIT_NOT_BEGUN: Final = 70
"""Exit status when decoding could not begin, which is our own fault (EX_SOFTWARE)."""

LIFE: Final = struct.Struct("<i")
"""A process id, or an exit status (negative: the signal that ended it), on the life line."""

YIELD: Final = b"y"
"""On the life line: others go first from now on."""

_MAX_JOB_BYTES: Final = 4096


@dataclass(frozen=True)
class Job:
    """What is wanted of one file, and what it may cost."""

    max_seconds: float
    """Most audio that may come out."""
    cpu_seconds: int
    """CPU time after which the kernel ends the decoder."""
    memory_bytes: int
    """Memory of the decoder's own; Python and PyAV take about 60 MB."""
    separate: bool = False
    """Whether the channels come out apart from each other; mixed into one where not."""


class Refusal(Exception):
    """The file cannot be transcribed; the message is shown to the one who sent it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class FrameWriter:
    """The decoder's side of the frame stream.

    Args:
        descriptor: a pipe; writing blocks while the edge does not read, which is the back-pressure.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, kind: bytes, payload: bytes | bytearray | memoryview, channel: int = 0) -> None:
        """Write one whole frame."""
        view = memoryview(payload)
        header = FRAME_HEADER.pack(kind, channel, len(view))
        written = os.writev(self._descriptor, [header, view]) - len(header)
        while written < len(view):
            written += os.write(self._descriptor, view[written:])

    def write_json(self, kind: bytes, value: dict[str, Any]) -> None:
        """Write one frame that carries JSON."""
        self.write(kind, json.dumps(value).encode())


def send_job(channel: socket.socket, job: Job, *, file: int, frames: int, life_line: int) -> None:
    """Give the server a job; the descriptors may be closed afterwards."""
    socket.send_fds(channel, [json.dumps(asdict(job)).encode()], [file, frames, life_line])


def receive_job(channel: socket.socket) -> tuple[Job, tuple[int, int, int]] | None:
    """Return the next job with the descriptors of its file, its frames and its life line; None when the edge has
    closed the channel.
    """
    message, descriptors, _, _ = socket.recv_fds(channel, _MAX_JOB_BYTES, 3)
    if not message:
        return None
    file, frames, life_line = descriptors
    return Job(**json.loads(message)), (file, frames, life_line)
