"""What the process runs on, as far as it can be told without loading a model, and how work is laid out on it."""

import contextlib
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass

from services.asr.scheduler import BatchLimits

_AVX512 = {"avx512f", "avx512cd", "avx512vl", "avx512bw", "avx512dq"}


@dataclass(frozen=True)
class Device:
    """The device of this process."""

    kind: str
    """`cpu` or `cuda`."""
    name: str = ""
    """The GPU's name; empty on a CPU."""
    memory_mib: int = 0
    """The GPU's memory in MiB; 0 on a CPU."""


def describe_device(kind: str) -> Device:
    """Return what is known of device `kind`; a GPU that NVML does not see stays nameless."""
    if kind != "cuda":
        return Device("cpu")
    import pynvml

    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle).total // (1024 * 1024)
        return Device("cuda", str(pynvml.nvmlDeviceGetName(handle)), int(memory))
    return Device("cuda")


def widest_vectors(cpuinfo: str, environ: MutableMapping[str, str]) -> None:
    """Let CTranslate2 use AVX-512 where the processor has it; what is set stays. To be said before it is imported.

    By itself it stops at AVX2. Encoding takes about 5 % less with it (Whisper base, int8).

    Args:
        cpuinfo: text of /proc/cpuinfo.
        environ: environment of this process.
    """
    flags = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "").split()
    if set(flags) >= _AVX512:
        environ.setdefault("CT2_FORCE_CPU_ISA", "AVX512")


@dataclass(frozen=True)
class Layout:
    """How many workers a device gets, and what each takes at once."""

    workers: int
    threads: int
    """Processor threads of one worker's computations."""
    limits: BatchLimits


_LARGEST_GPU_BATCH = 16
_GPU_RESERVE_MIB = 1024
_SMALLEST_WINDOW_MIB = 256


def lay_out(device: Device, cores: int, weights_mib: Sequence[int]) -> Layout:
    """Return the layout for a device.

    *Processor.* One thread a worker and as many workers as cores: two workers of one thread do more than one of
    two. Encoding is limited by attention in single precision, whose matrices leave the cache when windows share
    them, so windows are encoded one at a time; decoding with a beam reads the same weights for every window, so
    eight together take less than half of the time (Whisper base, int8: 544 ms a window alone, 257 by four, 216
    by eight). The last worker decodes two at most for long requests: under a second, so a short one soon passes.

    *GPU.* One worker; batches as large as memory allows. A window takes up to a quarter of the weights of the
    models with large decoders (keys and values of every layer, five beams), and less of the others: an estimate.

    Args:
        device: the device.
        cores: processor cores that the process may use.
        weights_mib: size of each loaded model's weights.
    """
    if device.kind == "cpu":
        return Layout(cores, 1, BatchLimits(encode=1, decode=8, decode_last=2))
    window = max(_SMALLEST_WINDOW_MIB, max(weights_mib) // 4)
    room = (device.memory_mib - sum(weights_mib) - _GPU_RESERVE_MIB) // window
    batch = min(max(room, 1), _LARGEST_GPU_BATCH)
    return Layout(1, cores, BatchLimits(encode=batch, decode=batch, decode_last=batch))
