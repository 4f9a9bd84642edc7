"""Runs the filter in processes of their own: what was given up once is gone for good."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from services.edge import seccomp

ROOT = Path(__file__).parents[2]

FILTERED = """
import ctypes, mmap, os, signal, socket, sys
sys.path.append(sys.argv[1])
from services.edge import seccomp
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
libc = ctypes.CDLL(None, use_errno=True)
assert seccomp.install() is True
try:
    {attempt}
except OSError as error:
    print(error.errno)
else:
    print("done")
os._exit(0)
"""


def answer_to(attempt: str) -> str:
    """Return what a filtered process says to a statement: `done`, or the number of the error."""
    done = subprocess.run(
        [sys.executable, "-c", FILTERED.format(attempt=attempt), str(ROOT)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or f"ended with {done.returncode}: {done.stderr}"


pytestmark = pytest.mark.skipif(not seccomp.is_supported(), reason="this kernel or processor has no seccomp filter")


@pytest.mark.parametrize(
    "attempt",
    [
        "os.open('/etc/passwd', os.O_RDONLY)",
        "os.open('/dev/null', os.O_WRONLY)",
        "socket.socket()",
        "socket.socketpair()",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "os.kill(os.getppid(), 0)",
        "os.dup(1)",
        "os.pipe()",
        "os.listdir('/')",
        "os.stat('/etc')",
        "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
        "if libc.syscall(101, 0, 0, 0, 0) == -1: raise OSError(ctypes.get_errno(), '')",
    ],
)
def test_what_a_decoder_has_no_use_for_is_not_permitted(attempt: str) -> None:
    assert answer_to(attempt) == "1"


@pytest.mark.parametrize(
    "attempt",
    [
        "os.pread(0, 0, 0) if False else os.lseek",
        "mmap.mmap(-1, 1 << 24, prot=mmap.PROT_READ | mmap.PROT_WRITE)",
        "bytearray(1 << 26)",
        "os.getpid()",
        "__import__('time').sleep(0.01)",
        "os.urandom(8)",
    ],
)
def test_what_it_needs_is(attempt: str) -> None:
    assert answer_to(attempt) == "done"


def test_a_processor_that_is_not_known_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert not seccomp.is_supported()
    assert seccomp.install() is False


def test_no_call_is_allowed_twice() -> None:
    for machine in seccomp._MACHINES.values():
        numbers = [*machine.allowed, *machine.mapping]
        assert len(set(numbers)) == len(numbers)
