"""The examples that people copy: README.md's own, and the contract's where they lie beside the checkout."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.e2e.mesh import ROOT, Mesh

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(300)]

CONTRACT_EXAMPLES = ROOT.parent / "shared" / "design" / "examples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, two_speakers: Path) -> Path:
    """A folder with the recordings that the examples name."""
    folder = tmp_path_factory.mktemp("examples")
    for name, codec in (("meeting.mp3", "mp3"), ("video.mp4", "aac")):
        with av.open(str(two_speakers)) as source, av.open(str(folder / name), "w") as target:
            stream = target.add_stream(codec, rate=44_100)
            for frame in source.decode(audio=0):
                target.mux(stream.encode(frame))
            target.mux(stream.encode(None))
    return folder


def readme_block(language: str, containing: str) -> str:
    """Return the code block of README.md in `language` that contains a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [block for block in blocks if containing in block]
    return block


def run(mesh: Mesh, folder: Path, command: list[str], code: str) -> str:
    """Run an example against the mesh, in the folder of recordings; return what it prints."""
    code = code.replace("http://127.0.0.1:8080", mesh.url).replace("https://api.stt.ai", mesh.url)
    code = code.replace("YOUR_API_KEY", mesh.key)
    done = subprocess.run(
        [*command, code],
        cwd=folder,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "SPEECHMESH_API_KEY": mesh.key},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def needs(program: str) -> str:
    """Return the program's path, or skip."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def contract_example(name: str) -> str:
    """Return an example of the contract, or skip."""
    path = CONTRACT_EXAMPLES / name
    if not path.exists():
        pytest.skip(f"no examples of the contract at {CONTRACT_EXAMPLES}")
    return path.read_text()


def test_the_curl_of_the_readme(mesh: Mesh, folder: Path) -> None:
    needs("curl")

    assert "Diane in New Jersey" in run(mesh, folder, ["sh", "-c"], readme_block("sh", "curl"))


def test_the_python_of_the_readme(mesh: Mesh, folder: Path) -> None:
    assert "-->" in run(mesh, folder, [sys.executable, "-c"], readme_block("python", "requests"))


def test_the_node_of_the_readme(mesh: Mesh, folder: Path) -> None:
    printed = run(mesh, folder, [needs("node"), "-e"], readme_block("js", "openAsBlob"))

    assert "Speaker 1: " in printed
    assert "Speaker 2: " in printed


def test_the_contracts_curl(mesh: Mesh, folder: Path) -> None:
    needs("curl")

    printed = run(mesh, folder, ["sh", "-c"], contract_example("curl.sh"))

    assert '"speakers":["Speaker 1","Speaker 2"]' in printed
    assert '"large-v3-turbo"' in printed
    assert "Speaker 1: " in (folder / "subtitles.srt").read_text()


def test_the_contracts_python(mesh: Mesh, folder: Path) -> None:
    printed = run(mesh, folder, [sys.executable, "-c"], contract_example("client.py"))

    assert "Language: en, Duration: 30" in printed
    assert "Speaker 2: " in printed
    assert "\n- " in printed


def test_the_contracts_node_with_node_fetch(mesh: Mesh, folder: Path) -> None:
    node, npm = needs("node"), needs("npm")
    packages = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "node-fetch@2", "form-data@4"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if packages.returncode:
        pytest.skip("npm could not install node-fetch and form-data")

    printed = run(mesh, folder, [node, "-e"], f'var fetch = require("node-fetch");\n{contract_example("client.js")}')

    assert "Duration: 30" in printed
    assert "Speaker 1: " in printed
