import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from services.models.catalogue import HubRepository, Kind, Model, ModelFile, Preparation, Wheel, WheelMember
from tests.models.tiny_model import REVISION, Site, World, file_name, make_handler, sha256, wheel_bytes


@pytest.fixture
def serve() -> Iterator[Callable[[Site], Site]]:
    servers: list[ThreadingHTTPServer] = []

    def start(site: Site) -> Site:
        server = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(site))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        site.url = f"http://127.0.0.1:{server.server_port}"
        return site

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def world(tmp_path: Path, serve: Callable[[Site], Site], monkeypatch: pytest.MonkeyPatch) -> World:
    """A served model whose weights come in two parts; pip and the hub's client look nowhere else."""
    weights = bytes(range(256)) * 1024
    contents = {"model.bin": weights, "tokens/list.txt": b"a\nb\n"}
    half = len(weights) // 2
    members = {
        "tiny-part1": {
            "tiny_part1/a.bin": weights[:half],
            "tiny_part1/list.txt": contents["tokens/list.txt"],
        },
        "tiny-part2": {"tiny_part2/b.bin": weights[half:]},
    }
    pages: dict[str, bytes] = {}
    wheels = []
    for name, files in members.items():
        wheel = Wheel(name, "1.0", 0)
        data = wheel_bytes(tmp_path / "made.whl", name, "1.0", files)
        pages[f"/files/{file_name(wheel)}"] = data
        pages[f"/simple/{name}/"] = f'<a href="/files/{file_name(wheel)}">{file_name(wheel)}</a>'.encode()
        wheels.append(replace(wheel, bytes=len(data)))
    hub = HubRepository("someone/tiny", REVISION)
    etags = {}
    for path, data in contents.items():
        url = f"/{hub.repo}/resolve/{REVISION}/{path}"
        pages[url] = data
        etags[url] = sha256(data)
    part1 = WheelMember("tiny-part1", "tiny_part1/a.bin")
    part2 = WheelMember("tiny-part2", "tiny_part2/b.bin")
    tokens = WheelMember("tiny-part1", "tiny_part1/list.txt")
    model = Model(
        id="tiny",
        name="Tiny",
        kind=Kind.ASR,
        licence="MIT",
        licence_files=(),
        files=(
            ModelFile("model.bin", len(weights), sha256(weights), (part1, part2)),
            ModelFile("tokens/list.txt", 4, sha256(b"a\nb\n"), (tokens,)),
        ),
        hub=hub,
        wheels=tuple(wheels),
    )
    site = serve(Site(pages, etags))
    for name in ("PIP_FIND_LINKS", "PIP_CONSTRAINT", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return World(model, contents, site)


@pytest.fixture
def prepared_model(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    """The same model, with a preparation that writes the weights backwards."""
    (tmp_path / "stand_in.py").write_text(
        "import pathlib, sys\n"
        "source, target = map(pathlib.Path, sys.argv[1:])\n"
        "(target / 'reversed.bin').write_bytes((source / 'model.bin').read_bytes()[::-1])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return replace(world.model, preparation=Preparation("stand_in", 1, 262_144))
