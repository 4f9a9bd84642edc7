"""The process that decoders come from: it has PyAV loaded and forks one decoder for each file.

So a short clip waits for a fork, a few milliseconds, instead of an interpreter and PyAV's 60 MB of libraries. This
process never reads a byte of a file: whatever a file does to its decoder, the next one begins as clean. (What they do
share is the layout of their memory: it is random once for the server, not for each decoder.)

It is single-threaded and runs no event loop: what it is told comes by `channel`, and everybody's life by a descriptor.
See `decoder_protocol` for what is said.
"""

import codecs
import contextlib
import gc
import importlib
import os
import pkgutil
import selectors
import signal
import socket
import sys
from typing import Final, NoReturn

from services.edge.confinement import confine
from services.edge.containers import FileReader
from services.edge.decoder import decode
from services.edge.decoder_protocol import (
    EXIT_DECODING_FAILED,
    EXIT_NOT_BEGUN,
    LIFE,
    YIELD,
    FrameWriter,
    Job,
    receive_job,
)
from services.runtime.parent import ask_kernel

# Where a decoder has its file and its frames; its third descriptor, for what libraries complain, leads nowhere.
_FILE: Final = 0
_FRAMES: Final = 1
_DESCRIPTORS: Final = 3
_LOW_PRIORITY: Final = 10
_NO_PART_OF_DECODING: Final = frozenset({"av.__main__", "av.datasets"})
_BEYOND_DESCRIPTORS: Final = 4096  # the server has one for each decoder, and a handful of its own


class DecoderServer:
    """Forks decoders, kills those that nobody waits for, and tells how each has ended.

    Args:
        channel: from the edge.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._life_lines: dict[int, socket.socket] = {}
        self._nowhere = os.open(os.devnull, os.O_RDWR)
        self._ended, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # A handler there must be, or the kernel would not interrupt for it; that it was called, the pipe tells.
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wake)
        self._selector = selectors.DefaultSelector()
        self._selector.register(channel, selectors.EVENT_READ)
        self._selector.register(self._ended, selectors.EVENT_READ)

    def serve(self) -> None:
        """Serve until the edge closes the channel, or is gone; then no decoder is left."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._channel:
                    if not self._take_job():
                        self._kill_all()
                        return
                elif key.fileobj == self._ended:
                    self._reap()
                else:
                    self._hear(key.data)

    def _take_job(self) -> bool:
        """Start a decoder for the next job; return whether there was one."""
        given = receive_job(self._channel)
        if given is None:
            return False
        job, (file, frames, line) = given
        life_line = socket.socket(fileno=line)
        life_line.setblocking(False)
        server_pid = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            life_line.close()  # which tells the edge that there is none
        else:
            if pid == 0:
                self._become_decoder(job, file, frames, server_pid)
            self._life_lines[pid] = life_line
            self._selector.register(life_line, selectors.EVENT_READ, pid)
            _tell(life_line, pid)
        os.close(file)
        os.close(frames)
        return True

    def _become_decoder(self, job: Job, file: int, frames: int, server_pid: int) -> NoReturn:
        status = EXIT_NOT_BEGUN
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # The numbers that are given are above those that they are moved to.
            for source, target in ((file, _FILE), (frames, _FRAMES), (self._nowhere, 2)):
                os.dup2(source, target)
            os.closerange(_DESCRIPTORS, _BEYOND_DESCRIPTORS)
            reader, writer = FileReader(_FILE), FrameWriter(_FRAMES)
            is_filtered = confine(job, _DESCRIPTORS, server_pid)
            status = EXIT_DECODING_FAILED
            decode(reader, writer, job, is_filtered=is_filtered)
            status = 0
        finally:
            os._exit(status)  # no clean-up of a library that a hostile file may have confused

    def _hear(self, pid: int) -> None:
        """Take what the edge says of a decoder: that others go first, or nothing more, as nobody waits for it."""
        line = self._life_lines.get(pid)
        if line is None:
            return
        try:
            said = line.recv(len(YIELD))
        except BlockingIOError:
            return
        except ConnectionError:
            said = b""
        if said:
            os.setpriority(os.PRIO_PROCESS, pid, _LOW_PRIORITY)
        else:
            # It is told of when it has ended.
            self._selector.unregister(line)
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Tell how decoders have ended."""
        os.read(self._ended, 4096)
        while self._life_lines:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            line = self._life_lines.pop(pid)
            if line in self._selector.get_map():
                self._selector.unregister(line)
            _tell(line, os.waitstatus_to_exitcode(status))
            line.close()

    def _kill_all(self) -> None:
        for pid in self._life_lines:
            os.kill(pid, signal.SIGKILL)
        for pid in self._life_lines:
            os.waitpid(pid, 0)


def _tell(life_line: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # nobody waits for it
        life_line.send(LIFE.pack(number), socket.MSG_NOSIGNAL)


def load() -> None:
    """Load PyAV with all that it, or Python, would otherwise load late: a decoder can open no file any more."""
    import av

    # All of PyAV: it imports what is for subtitles, say, when it meets some.
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if module.name not in _NO_PART_OF_DECODING:
            importlib.import_module(module.name)
    for encoding in ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "ascii"):
        codecs.lookup(encoding)
    av.logging.set_level(None)


def main() -> None:
    """Serve the edge, which holds the other end of standard input."""
    # What tells the edge's group to end must not end the decoders of requests that are to be finished.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    ask_kernel()  # to be killed with the edge; where it has ended already, the channel has, too
    load()
    # What is there now is shared with every decoder until one of them writes to it.
    gc.freeze()
    DecoderServer(socket.socket(fileno=os.dup(sys.stdin.fileno()))).serve()
