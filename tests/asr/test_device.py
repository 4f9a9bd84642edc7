from services.asr.device import Device, describe_device


def test_a_processor_has_neither_name_nor_memory() -> None:
    assert describe_device("cpu") == Device("cpu", "", 0)


def test_a_gpu_is_described_as_far_as_the_driver_tells() -> None:
    device = describe_device("cuda")

    # Without a driver it stays nameless; with one it has a name and memory.
    assert device.kind == "cuda"
    assert bool(device.name) == bool(device.memory_mib)
