import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

LAUNCHER = Path(__file__).parents[2] / "speechmesh"

# Stands in for Python 3.11: makes "environments" and "installs" in no time, and tells what it was asked.
FAKE_PYTHON = """#!/bin/sh
case "$*" in
*version_info*) echo "${FAKE_VERSION:-3.11}" ;;
"-I -m venv "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && echo made >>"$4/../made" ;;
"-I -m pip install "*)
    [ -z "${PYTHONPATH:-}" ] || { echo "pip was given PYTHONPATH"; exit 1; }
    [ -z "${FAKE_PIP_HANGS:-}" ] || { echo $$ >"$0.pid"; mv "$0.pid" "${0%/*}/../../pip-pid"; exec sleep 60; }
    sleep "${FAKE_PIP_SECONDS:-0}"
    [ -z "${FAKE_PIP_FAILS:-}" ] || { echo "ERROR: No space left on device"; exit 1; } ;;
*) echo "cwd=$PWD"; echo "path=$PYTHONPATH"; printf 'argument=%s\\n' "$@"; exit "${FAKE_EXIT:-0}" ;;
esac
"""


class Checkout:
    """A copy of the launcher in a tree of its own, with a Python that only pretends."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "check out"
        self.venvs = folder / "venvs"
        self.bin = folder / "bin"
        self.root.mkdir(parents=True)
        self.bin.mkdir()
        shutil.copy(LAUNCHER, self.root)
        (self.root / "requirements.txt").write_text("nothing==1\n")
        self.fake("python3.11")

    def fake(self, name: str, text: str = FAKE_PYTHON) -> None:
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HOME": str(self.root.parent),
            "SPEECHMESH_VENVS": str(self.venvs),
            **more,
        }

    def run(
        self,
        *arguments: str,
        launcher: Path | None = None,
        cwd: Path | None = None,
        user: int | None = None,
        **more: str,
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [launcher or self.root / "speechmesh", *arguments],
            cwd=cwd or self.root,
            env=self.environment(**more),
            user=user,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    def times_made(self) -> int:
        made = self.venvs / "made"
        return len(made.read_text().splitlines()) if made.exists() else 0


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_start_sets_up_and_hands_over(checkout: Checkout, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = checkout.run("transcribe", "a file.wav", cwd=elsewhere, FAKE_EXIT="3", PYTHONPATH="/elsewhere")
    assert done.returncode == 3
    size = re.search(r"about [0-9.]+ GB", (LAUNCHER.parent / "README.md").read_text())
    assert size is not None
    assert size[0] in done.stderr
    assert done.stdout.splitlines() == [
        f"cwd={elsewhere}",
        f"path={checkout.root}:{checkout.root}/protos",
        *(f"argument={word}" for word in ("-P", "-m", "services.cli", "transcribe", "a file.wav")),
    ]
    link = checkout.root / ".venv"
    assert link.is_symlink()
    assert link.resolve().parent == checkout.venvs
    assert len(link.resolve().name) == 12


def test_the_second_start_is_quick_and_silent(checkout: Checkout) -> None:
    checkout.run()
    # No interpreter is looked for any more.
    (checkout.bin / "python3.11").unlink()
    done = checkout.run("check")
    assert done.returncode == 0
    assert done.stderr == ""
    assert checkout.times_made() == 1


def test_clones_share_one_environment_and_other_requirements_get_another(checkout: Checkout) -> None:
    checkout.run()
    clone = checkout.root.parent / "clone"
    shutil.copytree(checkout.root, clone, symlinks=True)
    (clone / ".venv").unlink()
    checkout.run(launcher=clone / "speechmesh", cwd=clone)
    assert checkout.times_made() == 1
    assert (clone / ".venv").readlink() == (checkout.root / ".venv").readlink()
    (clone / "requirements.txt").write_text("nothing==2\n")
    checkout.run(launcher=clone / "speechmesh", cwd=clone)
    assert checkout.times_made() == 2
    assert (clone / ".venv").readlink() != (checkout.root / ".venv").readlink()


def test_it_works_through_symbolic_links_and_the_path(checkout: Checkout, tmp_path: Path) -> None:
    (checkout.bin / "first").symlink_to("../check out/speechmesh")
    (checkout.bin / "speech").symlink_to("first")
    assert f"path={checkout.root}:" in checkout.run(launcher=checkout.bin / "speech", cwd=tmp_path).stdout
    by_name = subprocess.run(
        ["sh", "-c", "speech"],
        cwd="/",
        env=checkout.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"path={checkout.root}:" in by_name.stdout


def test_python_3_12_will_do_and_what_does_not_run_is_passed_over(checkout: Checkout) -> None:
    checkout.fake("python3.11", "#!/bin/sh\necho 'version 3.11 is not set' >&2\nexit 127\n")
    checkout.fake("python3.12")
    done = checkout.run(FAKE_VERSION="3.12")
    assert done.returncode == 0
    assert "python3.12 (3.12)" in done.stderr


def test_without_a_python_it_says_how_to_get_one(checkout: Checkout) -> None:
    for name in ("python3.11", "python3.12", "python3", "python"):
        checkout.fake(name)
    done = checkout.run(FAKE_VERSION="3.8")
    assert done.returncode == 1
    assert "Python 3.11 (or 3.12) was not found" in done.stderr
    assert not (checkout.root / ".venv").exists()


def test_a_failed_installation_shows_why_and_is_done_again(checkout: Checkout) -> None:
    failed = checkout.run(FAKE_PIP_FAILS="yes")
    assert failed.returncode == 1
    assert "No space left on device" in failed.stderr
    log = next(checkout.venvs.glob("*.log"))
    assert str(log) in failed.stderr
    assert checkout.run().returncode == 0
    assert checkout.times_made() == 2


def wait_until(path: Path) -> None:
    end = time.monotonic() + 5
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert path.exists()


def test_an_interrupted_installation_is_done_again(checkout: Checkout) -> None:
    first = subprocess.Popen(
        [checkout.root / "speechmesh"],
        env=checkout.environment(FAKE_PIP_SECONDS="30"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(checkout.venvs / "made")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    again = checkout.run()
    assert again.returncode == 0
    assert checkout.times_made() == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_the_installation_ends_pip_too(checkout: Checkout, number: signal.Signals) -> None:
    running = subprocess.Popen(
        [checkout.root / "speechmesh"],
        env=checkout.environment(FAKE_PIP_HANGS="yes"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    pid_file = checkout.venvs / "pip-pid"
    wait_until(pid_file)
    pip = psutil.Process(int(pid_file.read_text()))
    running.send_signal(number)
    _, errors = running.communicate(timeout=10)
    assert running.returncode == 128 + number
    assert "Interrupted; the next start does it again." in errors
    assert not pip.is_running()
    assert checkout.run().returncode == 0


def test_two_at_once_set_up_once(checkout: Checkout) -> None:
    both = [
        subprocess.Popen(
            [checkout.root / "speechmesh"],
            env=checkout.environment(FAKE_PIP_SECONDS="0.3"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=10) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert checkout.times_made() == 1
    assert sum("Another ./speechmesh is setting up" in errors for _, errors in told) == 1


def test_without_flock_it_says_how_to_get_it(checkout: Checkout) -> None:
    tools = checkout.bin.parent / "tools"
    tools.mkdir()
    for name in ("sh", "cat", "cut", "sha256sum", "mkdir", "rm", "ln", "readlink"):
        (tools / name).symlink_to(str(shutil.which(name)))
    done = checkout.run(PATH=f"{checkout.bin}:{tools}")
    assert done.returncode == 1
    assert "flock was not found" in done.stderr
    assert "util-linux" in done.stderr
    assert checkout.times_made() == 0


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_venv_of_somebody_else_is_left_alone(checkout: Checkout, tmp_path: Path, kind: str) -> None:
    theirs = checkout.root / ".venv" if kind == "folder" else tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "pyvenv.cfg").touch()
    if kind == "link":
        (checkout.root / ".venv").symlink_to(theirs)
    done = checkout.run()
    assert done.returncode == 1
    assert "mv .venv .venv.mine" in done.stderr
    assert (theirs / "pyvenv.cfg").exists()
    assert checkout.times_made() == 0


def test_a_link_of_ours_that_leads_nowhere_is_replaced(checkout: Checkout) -> None:
    (checkout.root / ".venv").symlink_to("/nonexistent/venv")
    assert checkout.run().returncode == 0
    assert (checkout.root / ".venv").resolve().parent == checkout.venvs


def test_a_checkout_that_cannot_be_written_to_works() -> None:
    # Root may write anywhere, so root has somebody else try, in a folder that everybody can reach.
    other = 65_534 if os.geteuid() == 0 else os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        checkout = Checkout(Path(folder))
        checkout.venvs.mkdir()
        os.chown(checkout.venvs, other, -1)
        checkout.root.chmod(0o555)
        done = checkout.run(user=other)
        checkout.root.chmod(0o755)
        assert done.returncode == 0
        assert not os.path.lexists(checkout.root / ".venv")


# Makes "environments" whose Python is a real one.
REAL_PYTHON = f"""#!/bin/sh
case "$*" in
*version_info*) echo 3.11 ;;
"-I -m venv "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
"-I -m pip "*) ;;
*) exec {sys.executable} "$@" ;;
esac
"""


def test_a_package_in_the_users_own_place_does_not_shadow_ours(checkout: Checkout, tmp_path: Path) -> None:
    checkout.fake("python3.11", REAL_PYTHON)
    package = checkout.root / "services" / "cli"
    package.mkdir(parents=True)
    (package / "__main__.py").write_text("import sys; sys.stdout.write(f'{sys.argv[1:]}')\n")
    decoy = tmp_path / "decoy" / "services"
    decoy.mkdir(parents=True)
    (decoy / "__init__.py").write_text("raise SystemExit('shadowed')\n")
    assert checkout.run("up", cwd=decoy.parent).stdout == "['up']"
