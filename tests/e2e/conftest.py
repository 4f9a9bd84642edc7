"""One mesh for all tests beside this file: starting it takes a quarter of a minute."""

import io
import re
import signal
import wave
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.mesh import Mesh, start


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Mesh]:
    data = tmp_path_factory.mktemp("data")
    process, log = start(data, models_dir)
    key = re.search(r"API key .*: (sk-\S+)", log)
    url = re.search(r"ready at (\S+)", log)
    assert key is not None
    assert url is not None
    try:
        yield Mesh(psutil.Process(process.pid), url[1], key[1], data)
    finally:
        everyone = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert psutil.wait_procs(everyone, timeout=5)[1] == []


@pytest.fixture(scope="session")
def minutes(two_speakers: Path) -> bytes:
    """Three minutes of conversation, long enough to be in the middle of."""
    with wave.open(str(two_speakers)) as file:
        parameters, pcm = file.getparams(), file.readframes(file.getnframes())
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams(parameters)
        file.writeframes(pcm * 6)
    return buffer.getvalue()
