"""What the tests of summaries share: a tiny model in place of the real one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.summarize.tiny_qwen import write_tiny_gguf


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Convert with one thread: threads that spin take ten times as long where others want the cores, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.runtime.settings.available_cores", lambda: 1)
        yield


@pytest.fixture(scope="session")
def tiny_qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared model folder; its model writes nonsense, the same nonsense each time."""
    from services.summarize.convert import convert

    folder = tmp_path_factory.mktemp("tiny-qwen")
    packed, prepared = folder / "packed", folder / "prepared"
    packed.mkdir()
    write_tiny_gguf(packed / "tiny.gguf")
    convert(packed, prepared)
    return prepared
