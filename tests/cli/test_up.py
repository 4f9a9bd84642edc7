import asyncio
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from services.accounts.api_keys import digest_of
from services.accounts.register import Found, Register
from services.cli import owner, up
from services.cli.data_folder import ensure_key, read_key
from services.cli.database import file_url, opened
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


def find(url: str, key: str) -> Found | None:
    """Return what the database has of a key."""

    async def work() -> Found | None:
        async with opened(url) as store:
            return await Register(store).find(digest_of(key))

    return asyncio.run(work())


def revoke_all(url: str) -> None:
    """Revoke all keys of the owner."""

    async def work() -> None:
        async with opened(url) as store:
            register = Register(store)
            for key in await register.keys(owner.OWNER):
                await register.revoke_key(key.id)

    asyncio.run(work())


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
    found = find(file_url(tmp_path), key.rpartition(" ")[2])
    assert found is not None
    assert (found.account.id, found.account.plan, found.key.name) == ("acc_owner", "unlimited", "up")
    assert stat.S_IMODE((tmp_path / "accounts.db").stat().st_mode) == 0o600
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


def test_a_database_of_ones_own_leaves_none_behind(tmp_path: Path, sqlite_database: str) -> None:
    data = tmp_path / "data"
    with start(data, 0, SPEECHMESH_DATABASE_URL=sqlite_database) as running:
        until_ready(running)
        running.terminate()
        running.communicate(timeout=10)
    key = read_key(data / "api-key")
    assert key is not None
    assert owner.admit(sqlite_database, key) is None
    assert not (data / "accounts.db").exists()


def test_a_key_that_was_revoked_stays_so_and_is_told(tmp_path: Path) -> None:
    url = file_url(tmp_path)
    owner.upgrade(url)
    key, _ = ensure_key(tmp_path / "api-key")
    owner.admit(url, key)
    revoke_all(url)
    with start(tmp_path, 0) as running:
        lines = until_ready(running)
        running.terminate()
        running.communicate(timeout=10)
    assert lines[1:-1] == [
        f"The API key is kept in {tmp_path}/api-key",
        f"The API key in {tmp_path}/api-key was revoked; to get another one, remove its file and start again",
    ]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://edge:hunter2@127.0.0.1:1/mesh", "The database mesh at 127.0.0.1:1 cannot be used: "),
        ("sqlite:////dev/null/accounts.db", "The database /dev/null/accounts.db cannot be used: "),
    ],
)
def test_a_database_that_cannot_be_used_is_told_before_anything_is_downloaded(
    tmp_path: Path, url: str, sentence: str
) -> None:
    asked = list[str]()
    with pytest.raises(MeshError, match=sentence) as caught:
        run(tmp_path, 0, {"SPEECHMESH_DATABASE_URL": url}, asked=asked)
    assert "hunter2" not in caught.value.message
    assert asked == []
    assert not (tmp_path / "api-key").exists()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SPEECHMESH_EDGE_LISTEN", "8080", "SPEECHMESH_EDGE_LISTEN: '8080' is not of the form host:port"),
        ("SPEECHMESH_ASR_LISTEN", "127.0.0.1:99999", "SPEECHMESH_ASR_LISTEN: .*up to 65535"),
        ("SPEECHMESH_DATABASE_URL", "mysql://db/mesh", "SPEECHMESH_DATABASE_URL: it must read "),
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
