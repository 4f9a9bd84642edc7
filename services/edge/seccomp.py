"""The system calls that a decoder may still make: to read its file, write its pipe, and have memory.

A filter in classic BPF as the kernel takes it (Documentation/userspace-api/seccomp_filter.rst): an allow list, all
else fails with EPERM. Nothing on it opens a file or a socket, starts or signals a process, or makes memory
executable.
"""

import ctypes
import errno
import platform
import struct
from dataclasses import dataclass
from typing import Final

_PR_GET_SECCOMP: Final = 21
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2

_RET_ALLOW: Final = 0x7FFF0000
_RET_ERRNO: Final = 0x00050000
_RET_KILL_PROCESS: Final = 0x80000000

# struct seccomp_data: the call's number, the architecture, the instruction pointer, then six arguments of 64 bits.
_NUMBER_OFFSET: Final = 0
_ARCHITECTURE_OFFSET: Final = 4
_THIRD_ARGUMENT_OFFSET: Final = 16 + 2 * 8

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_SET: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K

_PROT_EXEC: Final = 4


@dataclass(frozen=True)
class _Machine:
    """Numbers that differ between processors."""

    audit_architecture: int
    allowed: tuple[int, ...]
    """Calls that are harmless whatever their arguments."""
    mapping: tuple[int, ...]
    """Calls whose third argument says what memory is for."""


_MACHINES: Final = {
    "x86_64": _Machine(
        0xC000003E,
        (
            *(0, 1, 3, 5, 8, 17, 20),  # read write close fstat lseek pread64 writev
            *(11, 12, 25, 28),  # munmap brk mremap madvise
            *(13, 14, 15, 131),  # rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack
            *(24, 35, 230, 96, 201, 228, 229),  # sched_yield nanosleep clock_nanosleep gettimeofday time clock_*
            *(39, 186, 202, 204, 219),  # getpid gettid futex sched_getaffinity restart_syscall
            *(60, 231, 318, 334),  # exit exit_group getrandom rseq
        ),
        (9, 10),  # mmap mprotect
    ),
    "aarch64": _Machine(
        0xC00000B7,
        (
            *(63, 64, 57, 80, 62, 67, 66),
            *(215, 214, 216, 233),
            *(134, 135, 139, 132),
            *(124, 101, 115, 169, 113, 114),  # it has no time
            *(172, 178, 98, 123, 128),
            *(93, 94, 278, 293),
        ),
        (222, 226),
    ),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def is_supported() -> bool:
    """Say whether this kernel and processor can do it."""
    return platform.machine() in _MACHINES and ctypes.CDLL(None).prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def install() -> bool:
    """Give up all other system calls for good; return whether the system allows that.

    The process must have set PR_SET_NO_NEW_PRIVS, and must be of one thread.
    """
    if not is_supported():
        return False
    instructions = _instructions(_MACHINES[platform.machine()])
    program = _Program(len(instructions) // 8, instructions)
    return bool(ctypes.CDLL(None).prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _instructions(machine: _Machine) -> bytes:
    """Return the filter: jumps count the instructions that they pass over."""
    calls = [*((number, False) for number in machine.mapping), *((number, True) for number in machine.allowed)]
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE_OFFSET),
        (_JUMP_EQUAL, 1, 0, machine.audit_architecture),
        (_RETURN, 0, 0, _RET_KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER_OFFSET),
    ]
    for position, (number, is_harmless) in enumerate(calls):
        after = len(calls) - position - 1
        # Behind the calls: refuse, look at the third argument, decide by it, allow, refuse.
        lines.append((_JUMP_EQUAL, after + (3 if is_harmless else 1), 0, number))
    lines += [
        (_RETURN, 0, 0, _RET_ERRNO | errno.EPERM),
        (_LOAD, 0, 0, _THIRD_ARGUMENT_OFFSET),
        (_JUMP_SET, 1, 0, _PROT_EXEC),
        (_RETURN, 0, 0, _RET_ALLOW),
        (_RETURN, 0, 0, _RET_ERRNO | errno.EPERM),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
