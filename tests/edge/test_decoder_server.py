"""The server alone, told by hand; what the edge makes of it is in test_decoders.py."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from services.edge.decoder_protocol import LIFE, Job, send_job
from services.edge.decoders import COMMAND
from tests.edge.decoder_frames import Frames, read_frames

Descriptor = Callable[[bytes], int]
Wav = Callable[..., bytes]

JOB = Job(max_seconds=60, cpu_seconds=60, memory_bytes=1 << 30)


class Told:
    """A job that a server has got."""

    def __init__(self, channel: socket.socket, file: int, job: Job = JOB) -> None:
        self.frames, writing = os.pipe()
        self.line, theirs = socket.socketpair()
        self.line.settimeout(20)
        with theirs:
            send_job(channel, job, file=file, frames=writing, life_line=theirs.fileno())
        os.close(writing)

    def number(self) -> int | None:
        """Return what the life line tells next; None when it tells no more."""
        told = self.line.recv(LIFE.size)
        return LIFE.unpack(told)[0] if told else None

    def read(self) -> Frames:
        with os.fdopen(self.frames, "rb") as stream:
            return read_frames(stream)


@pytest.fixture
def channel() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        server = subprocess.Popen(COMMAND, stdin=theirs, cwd="/")
    yield ours
    ours.close()
    assert server.wait(20) == 0


def test_a_decoder_is_told_of_from_its_beginning_to_its_end(
    channel: socket.socket, wav: Wav, descriptor: Descriptor
) -> None:
    told = Told(channel, descriptor(wav(16_000)))
    pid = told.number()
    assert pid is not None
    assert told.read().seconds == 1.0
    assert (told.number(), told.number()) == (0, None)
    assert not psutil.pid_exists(pid)
    told.line.close()


def test_jobs_that_came_before_it_was_ready_are_done(channel: socket.socket, wav: Wav, descriptor: Descriptor) -> None:
    number = descriptor(wav(8_000))
    jobs = [Told(channel, number) for _ in range(20)]
    for told in jobs:
        assert told.number() is not None
        assert told.read().seconds == 0.5
        assert told.number() == 0
        told.line.close()


def test_a_life_line_that_is_cut_ends_the_decoder(channel: socket.socket, wav: Wav, descriptor: Descriptor) -> None:
    told = Told(channel, descriptor(wav(900_000)))
    pid = told.number()
    assert pid is not None
    assert psutil.pid_exists(pid)
    told.line.shutdown(socket.SHUT_WR)
    assert (told.number(), told.number()) == (-signal.SIGKILL, None)
    assert not psutil.pid_exists(pid)
    told.line.close()
    os.close(told.frames)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_edges_group_ends_no_decoder(
    number: signal.Signals, channel: socket.socket, wav: Wav, descriptor: Descriptor
) -> None:
    told = Told(channel, descriptor(wav(900_000)))
    pid = told.number()
    assert pid is not None
    for each in (psutil.Process(pid).ppid(), pid):
        os.kill(each, number)
    assert told.read().seconds == 900_000 / 16_000
    assert told.number() == 0
    told.line.close()


def test_one_decoder_that_crashes_harms_no_other(channel: socket.socket, wav: Wav, descriptor: Descriptor) -> None:
    number = descriptor(wav(900_000))
    lost, kept = Told(channel, number), Told(channel, number)
    pid = lost.number()
    assert pid is not None
    os.kill(pid, signal.SIGSEGV)
    assert lost.number() == -signal.SIGSEGV
    assert kept.number() is not None
    assert kept.read().seconds == 900_000 / 16_000
    assert kept.number() == 0
    for told in (lost, kept):
        told.line.close()
    os.close(lost.frames)


def test_the_server_ends_its_decoders_when_the_edge_is_gone(wav: Wav, descriptor: Descriptor) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        server = subprocess.Popen(COMMAND, stdin=theirs, cwd="/")
    told = Told(ours, descriptor(wav(900_000)))
    pid = told.number()
    assert pid is not None
    ours.close()
    assert server.wait(20) == 0
    assert not psutil.pid_exists(pid)
    told.line.close()
    os.close(told.frames)


def test_nothing_of_the_server_is_open_in_a_decoder(channel: socket.socket, wav: Wav, descriptor: Descriptor) -> None:
    told = Told(channel, descriptor(wav(900_000)))
    pid = told.number()
    assert pid is not None
    for _ in range(200):
        open_now = {number: os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")}
        if len(open_now) == 3:
            break
        time.sleep(0.01)
    assert open_now.keys() == {"0", "1", "2"}
    assert open_now["2"] == "/dev/null"
    assert Path(open_now["0"]).name.startswith("upload")
    told.line.close()
    os.close(told.frames)
