"""What the process runs on, as far as it can be told without loading a model."""

import contextlib
from dataclasses import dataclass


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
