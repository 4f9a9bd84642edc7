import subprocess
import sys

import pytest

from benchmarks.server import ServerError, _when_ready


def process(script: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_address_and_key_are_read_from_what_the_server_prints() -> None:
    lines = ["API key (kept in /data/key): sk-abc", "Speechmesh is ready at http://127.0.0.1:8123", "more"]
    child = process(f"print({chr(10).join(lines)!r})")
    server = _when_ready(child, "base")
    assert child.wait(10) == 0
    assert (server.url, server.key, server.model) == ("http://127.0.0.1:8123", "sk-abc", "base")


def test_a_server_that_ends_is_an_error_with_its_last_lines() -> None:
    child = process("print('the port is in use')")
    with pytest.raises(ServerError, match="the port is in use"):
        _when_ready(child, None)
    assert child.wait(10) == 0
