"""Live captions as their three kinds of client get them, from real models: the documented one, the SDK, plain ones."""

import contextlib
import gc
import json
import os
import re
import shutil
import subprocess
import time
import wave
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import pytest
import requests
import sttai
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.e2e.mesh import ROOT, Mesh

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(300)]

BROWSER = ROOT.parent / "shared" / "design" / "examples" / "browser.js"


@pytest.fixture(scope="module")
def pcm(two_speakers: Path) -> bytes:
    with wave.open(str(two_speakers)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return file.readframes(file.getnframes())


@pytest.fixture(scope="module")
def undisturbed(mesh: Mesh, pcm: bytes) -> str:
    """What a stream hears when nothing happens to it."""
    return transcript(plain(mesh, pcm))


def websocket(mesh: Mesh, query: str = "") -> ClientConnection:
    headers = {"Authorization": f"Bearer {mesh.key}"}
    return connect(f"{mesh.url.replace('http', 'ws')}/v1/stream{query}", additional_headers=headers)


def frames(pcm: bytes, size: int = 8192) -> Iterator[bytes]:
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


def plain(mesh: Mesh, pcm: bytes, config: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Return all messages of a stream that is sent as fast as it is taken."""
    with websocket(mesh) as socket:
        socket.send(json.dumps(config or {"language": "en"}))
        assert json.loads(socket.recv())["status"] == "ready"
        for frame in frames(pcm):
            socket.send(frame)
        socket.send('{"action": "stop"}')
        return [json.loads(message) for message in socket]


def transcript(messages: list[dict[str, Any]]) -> str:
    assert messages[-1]["is_final"]
    text = str(messages[-1]["transcript"])
    assert text == " ".join(message["text"] for message in messages if message.get("text"))
    return text


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.casefold())


def alike(one: str, other: str) -> float:
    return SequenceMatcher(None, words(one), words(other), autojunk=False).ratio()


def test_captions_are_much_like_the_transcript_of_the_file(mesh: Mesh, two_speakers: Path, undisturbed: str) -> None:
    answer = mesh.transcribe(two_speakers.read_bytes(), diarize="false", language="en")

    assert alike(undisturbed, answer.json()["text"]) > 0.9


def test_the_language_is_found_out(mesh: Mesh, pcm: bytes) -> None:
    messages = plain(mesh, pcm, {"language": "auto", "model": "large-v3-turbo"})

    assert {message["language"] for message in messages if message.get("text")} == {"en"}
    assert messages[-1]["language"] == "en"


# websocket-client leaves its socket to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_official_sdk(mesh: Mesh, pcm: bytes, undisturbed: str) -> None:
    heard: list[dict[str, Any]] = []
    client = sttai.STTClient(api_key=mesh.key, base_url=mesh.url)
    session = client.stream(heard.append, model="large-v3-turbo", language="en")
    for frame in frames(pcm):
        session.send(frame)
    final = session.finish()
    session.close()
    del session
    gc.collect()

    assert final["transcript"] == undisturbed
    assert final["final"]
    assert " ".join(message["text"] for message in heard if message.get("text")) == undisturbed


def test_who_closes_gets_the_rest(mesh: Mesh, pcm: bytes, undisturbed: str) -> None:
    with websocket(mesh, "?language=en") as socket:
        for frame in frames(pcm):
            socket.send(frame)
        with socket.send_context():
            socket.protocol.send_close(1000)
        messages = [json.loads(message) for message in socket]
        socket.socket.close()

    assert messages[-1]["transcript"] == undisturbed


def test_the_contracts_browser_example(mesh: Mesh, pcm: bytes, undisturbed: str, tmp_path: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if not BROWSER.exists() or node is None or npm is None:
        pytest.skip("node, npm or the contract's browser.js is not there")
    packages = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "ws@8"], cwd=tmp_path, capture_output=True, timeout=120, check=False
    )
    if packages.returncode:
        pytest.skip("npm could not install ws")
    (tmp_path / "audio.pcm").write_bytes(pcm)
    address = f"{mesh.url.replace('http', 'ws')}/v1/stream?token={mesh.key}"
    script = BROWSER.read_text().replace("wss://api.stt.ai/v1/stream", address)
    (tmp_path / "page.js").write_text(_BROWSER + script)

    page = subprocess.run([node, "page.js"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)

    assert page.returncode == 0, page.stderr
    finals = [line.removeprefix("Final: ") for line in page.stdout.splitlines() if line.startswith("Final: ")]
    # The page rounds its samples otherwise, and has the language found out: a word or two may differ.
    assert alike(" ".join(finals), undisturbed) > 0.85
    assert "Partial: " in page.stdout


# What a browser has and node has not: a microphone (here: a file, twice as fast), and an audio graph. It stops like
# the example's last line says.
_BROWSER = """
const WebSocket = require("ws");
const audio = new Int16Array(new Uint8Array(require("fs").readFileSync("audio.pcm")).buffer);
Object.defineProperty(globalThis, "navigator", { value: { mediaDevices: { getUserMedia: async () => ({}) } } });
globalThis.AudioContext = class {
  constructor({ sampleRate }) { if (sampleRate !== 16000) throw new Error("sample rate"); }
  createMediaStreamSource() { return { connect() {} }; }
  createScriptProcessor(size) {
    const processor = { connect() {}, onaudioprocess: null };
    let place = 0;
    const timer = setInterval(() => {
      const part = Float32Array.from(audio.subarray(place, place + size), (sample) => sample / 32767);
      processor.onaudioprocess({ inputBuffer: { getChannelData: () => part } });
      place += size;
      if (place >= audio.length) { clearInterval(timer); ws.send(JSON.stringify({ action: "stop" })); }
    }, size / 16 / 2);
    return processor;
  }
};
"""


def test_a_killed_asr_costs_no_word(mesh: Mesh, pcm: bytes, undisturbed: str) -> None:
    with websocket(mesh, "?language=en") as socket:
        for number, frame in enumerate(frames(pcm)):
            socket.send(frame)
            time.sleep(len(frame) / 32_000 / 2)
            if number == 40:
                mesh.service("asr").kill()
        socket.send(b"")
        messages = [json.loads(message) for message in socket]

    assert transcript(messages) == undisturbed
    mesh.wait_until_whole()


def test_a_stream_that_leaves_abruptly_leaves_nothing_behind(mesh: Mesh, pcm: bytes) -> None:
    with contextlib.suppress(ConnectionClosed), websocket(mesh, "?language=en") as socket:
        assert json.loads(socket.recv())["status"] == "ready"
        socket.send(pcm[:320_000])
        assert streams_at_asr(mesh) == 1
        socket.socket.shutdown(SHUT_RDWR)
    deadline = time.monotonic() + 10
    while streams_at_asr(mesh) and time.monotonic() < deadline:
        time.sleep(0.1)

    assert streams_at_asr(mesh) == 0


def streams_at_asr(mesh: Mesh) -> float:
    """Return how many streams the asr behind the mesh has, by its metrics."""
    for port in set(re.findall(r"metrics_port=(\d+)", (mesh.data / "log").read_text())):
        with contextlib.suppress(requests.ConnectionError):
            text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
            if found := re.search(r'speechmesh_queue_places\{service="asr-streams"\} (\S+)', text):
                return float(found[1])
    raise AssertionError("no asr tells how many streams it has")


def test_listen_prints_what_is_said(mesh: Mesh, two_speakers: Path, undisturbed: str) -> None:
    done = subprocess.run(
        ["./speechmesh", "listen", "--file", str(two_speakers), "--server", mesh.url, "--language", "en"],
        cwd=ROOT,
        env={**os.environ, "SPEECHMESH_API_KEY": mesh.key},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert " ".join(done.stdout.split()) == undisturbed
