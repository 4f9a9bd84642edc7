import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.asr.device import Device, describe_device, lay_out, widest_vectors
from services.asr.scheduler import BatchLimits

BASE_MIB, LARGE_MIB = 140, 3000


def test_a_processor_has_neither_name_nor_memory() -> None:
    assert describe_device("cpu") == Device("cpu", "", 0)


def test_a_gpu_is_described_as_far_as_the_driver_tells() -> None:
    device = describe_device("cuda")

    # Without a driver it stays nameless; with one it has a name and memory.
    assert device.kind == "cuda"
    assert bool(device.name) == bool(device.memory_mib)


@pytest.mark.parametrize("cores", [1, 2, 16])
def test_every_core_of_a_processor_is_a_worker_that_encodes_alone_and_decodes_together(cores: int) -> None:
    layout = lay_out(Device("cpu"), cores, [BASE_MIB])

    assert (layout.workers, layout.threads) == (cores, 1)
    assert layout.limits == BatchLimits(encode=1, decode=8, decode_last=2)


@pytest.mark.parametrize(
    ("memory_mib", "weights_mib", "batch"),
    [
        (0, BASE_MIB, 1),
        (1024, BASE_MIB, 1),
        (2048, BASE_MIB, 3),
        (8192, BASE_MIB, 16),
        (4096, LARGE_MIB, 1),
        (8192, LARGE_MIB, 5),
        (24_576, LARGE_MIB, 16),
        (81_920, LARGE_MIB, 16),
    ],
)
def test_a_gpu_has_one_worker_whose_batches_fit_into_memory(memory_mib: int, weights_mib: int, batch: int) -> None:
    layout = lay_out(Device("cuda", "", memory_mib), 8, [weights_mib])

    assert layout.workers == 1
    assert layout.limits == BatchLimits(encode=batch, decode=batch, decode_last=batch)


@given(st.integers(0, 200_000), st.integers(0, 200_000), st.integers(1, 20_000))
def test_more_memory_never_makes_batches_smaller_and_they_always_fit(less: int, more: int, weights_mib: int) -> None:
    less, more = sorted((less, more))
    small, large = (lay_out(Device("cuda", "", memory), 4, [weights_mib]).limits.encode for memory in (less, more))

    assert 1 <= small <= large <= 16
    assert large == 1 or weights_mib + large * weights_mib // 4 < more


def test_a_window_takes_what_the_largest_of_several_models_needs() -> None:
    alone = lay_out(Device("cuda", "", 24_000), 8, [3000]).limits.encode
    several = lay_out(Device("cuda", "", 24_000), 8, [3000, 500, 500, 500]).limits.encode

    assert several == (24_000 - 4500 - 1024) // 750 or several == alone
    assert several >= 8


@pytest.mark.parametrize(
    ("cpuinfo", "before", "after"),
    [
        (
            "flags : fpu avx2 avx512f avx512dq avx512cd avx512bw avx512vl amx_int8\n",
            {},
            {"CT2_FORCE_CPU_ISA": "AVX512"},
        ),
        ("flags : fpu avx2 avx512f\n", {}, {}),
        ("Features : asimd\n", {}, {}),
        ("", {}, {}),
        (
            "flags : avx512f avx512dq avx512cd avx512bw avx512vl\n",
            {"CT2_FORCE_CPU_ISA": "AVX2"},
            {"CT2_FORCE_CPU_ISA": "AVX2"},
        ),
    ],
)
def test_the_widest_vectors_of_the_processor_are_used(
    cpuinfo: str, before: dict[str, str], after: dict[str, str]
) -> None:
    widest_vectors(cpuinfo, before)

    assert before == after
