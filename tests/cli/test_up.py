import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from services.cli import up
from services.cli.ports import free_ports
from services.cli.profiles import ProfileName
from services.runtime.errors import MeshError

ROOT = Path(__file__).parents[2]


def start(data: Path, port: int, **environ: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("up_with_stubs.py")), str(data), str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}", **environ},
    )


def until_ready(running: "subprocess.Popen[str]") -> list[str]:
    """Return standard output up to the line that says it serves."""
    assert running.stdout is not None
    lines = list[str]()
    for line in running.stdout:
        lines.append(line.rstrip("\n"))
        if "ready" in line:
            break
    return lines


def run(
    data: Path,
    port: int,
    environ: Mapping[str, str] | None = None,
    host: str | None = None,
    asked: list[str] | None = None,
) -> int:
    def get_models(ids: Sequence[str], _: Path) -> None:
        if asked is not None:
            asked.extend(ids)

    return up.run(
        host=host, port=port, data=data, profile=ProfileName.CPU, environ=environ or {}, get_models=get_models
    )


def test_the_first_start_gets_models_makes_a_key_and_says_when_it_serves(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    with start(tmp_path, port) as running:
        models, key, ready = until_ready(running)
        running.send_signal(signal.SIGINT)
        rest, log = running.communicate(timeout=10)
    assert running.returncode == 0
    assert models == (f"models base,segmentation-3.0-campplus,qwen2.5-coder-0.5b-instruct in {tmp_path / 'models'}")
    assert re.fullmatch(rf"API key \(kept in {tmp_path}/api-key\): sk-[\w-]{{32,}}", key)
    assert ready == f"Speechmesh is ready at http://127.0.0.1:{port}"
    assert rest == ""
    assert re.search(r"^summarize  \| stub serves$", log, re.MULTILINE)


def test_a_later_start_keeps_the_key_to_itself(tmp_path: Path) -> None:
    (tmp_path / "api-key").write_text("sk-secret\n")
    with start(tmp_path, 0) as running:
        lines = until_ready(running)
        running.terminate()
        out, log = running.communicate(timeout=10)
    assert lines[1] == f"The API key is kept in {tmp_path}/api-key"
    assert "sk-secret" not in out + log


def test_two_on_one_data_folder_are_refused(tmp_path: Path) -> None:
    with start(tmp_path, 0) as running:
        until_ready(running)
        with pytest.raises(MeshError, match=rf"Another Speechmesh \(process {running.pid}\)"):
            run(tmp_path, 0)
        running.terminate()
        running.communicate(timeout=10)
    assert running.returncode == 0


def test_a_port_in_use_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(MeshError, match=rf"listens on 127.0.0.1:{port} already.*--port"):
            run(tmp_path, port)
    assert not (tmp_path / "api-key").exists()


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_a_host_that_is_not_ours_is_a_readable_error(tmp_path: Path, host: str) -> None:
    with pytest.raises(MeshError, match=f"Cannot listen on {host}"):
        run(tmp_path, 8080, host=host)


def test_keys_from_a_file_of_ones_own_leave_none_behind(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("sk-mine\n")
    with start(tmp_path, 0, SPEECHMESH_EDGE_KEYS_FILE=str(keys)) as running:
        lines = until_ready(running)
        running.terminate()
        running.communicate(timeout=10)
    assert lines[1] == f"API keys are read from {keys}"
    assert not (tmp_path / "api-key").exists()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SPEECHMESH_EDGE_LISTEN", "8080", "SPEECHMESH_EDGE_LISTEN: '8080' is not of the form host:port"),
        ("SPEECHMESH_ASR_LISTEN", "127.0.0.1:99999", "SPEECHMESH_ASR_LISTEN: .*up to 65535"),
        ("SPEECHMESH_EDGE_KEYS_FILE", "/nonexistent", "SPEECHMESH_EDGE_KEYS_FILE: /nonexistent cannot be read: "),
        ("SPEECHMESH_PROT", "80", "SPEECHMESH_PROT: no such setting"),
        ("SPEECHMESH_ASR_THREDS", "2", "SPEECHMESH_ASR_THREDS: no such setting"),
        ("SPEECHMESH_DIARIZE_DRAIN_SECONDS", "long", "SPEECHMESH_DIARIZE_DRAIN_SECONDS: .*number"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_is_downloaded(
    tmp_path: Path, name: str, value: str, sentence: str
) -> None:
    asked = list[str]()
    with pytest.raises(MeshError, match=sentence):
        run(tmp_path, 0, {name: value}, asked=asked)
    assert asked == []
