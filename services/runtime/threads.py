"""How the threads of the number-crunching libraries behave; must be said before they are imported."""

import os
from collections.abc import MutableMapping


def calm_threads(count: int, environ: MutableMapping[str, str] = os.environ) -> None:
    """Give OpenMP `count` threads that sleep while they wait, and numpy one; what is already set stays.

    By default they spin. Where several processes share a machine, two teams of two threads on two cores then
    spend most of their time keeping each other from the cores (seen: eight times the processor time). numpy's
    matrices are small here, but for each of them OpenBLAS keeps a second thread awake for a while (seen: 2.5 s of
    processor time in a 10-minute recording).
    """
    environ.setdefault("OMP_NUM_THREADS", str(count))
    environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # GNU's runtime, which torch brings along, sleeps at once when it is told PASSIVE, and between the small products
    # of one token of a language model it is awake again only when half of the time is over. This is about 20 us.
    environ.setdefault("GOMP_SPINCOUNT", "20000")
    environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Intel's runtime, which CTranslate2 brings along, has its own word for it.
    environ.setdefault("KMP_BLOCKTIME", "0")
    environ.setdefault("TOKENIZERS_PARALLELISM", "false")
