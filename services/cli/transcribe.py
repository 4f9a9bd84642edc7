"""`transcribe`: sends a recording to a server and prints what was said."""

import asyncio
import io
import json
import mimetypes
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from yarl import URL

from services.cli.data_folder import read_key
from services.cli.server_events import EventParser
from services.cli.transcript_text import headline, lines, summary_lines, warning_lines
from services.models.folders import default_data_dir
from services.runtime.errors import MeshError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_CONNECT_SECONDS = 10.0
_RESPONSE_FORMATS = {"text": "json", "json": "json", "srt": "srt", "vtt": "vtt"}

OnProgress = Callable[[str, float], None]
"""Hears of a stage and of how much of it is done (0..1)."""


@dataclass(frozen=True)
class Wish:
    """What is to be transcribed, and how; None leaves a field to the server."""

    file: Path
    model: str | None = None
    language: str | None = None
    diarize: bool = True
    speakers: int = 0
    format: str = "text"
    """`text`, `json`, `srt` or `vtt`."""
    summarize: str | None = None
    """Style of the summary; None: none."""
    separate: bool = False
    """Whether each channel is a speaker of its own."""

    def fields(self) -> dict[str, str]:
        """Return the fields of the form, without the file."""
        fields = {"diarize": "true" if self.diarize else "false", "speakers": str(self.speakers)}
        fields["response_format"] = _RESPONSE_FORMATS[self.format]
        if self.model:
            fields["model"] = self.model
        if self.language:
            fields["language"] = self.language
        if self.summarize:
            fields["summarize"] = self.summarize
        if self.separate:
            fields["channels"] = "separate"
        return fields


@dataclass(frozen=True)
class Key:
    """An API key."""

    text: str
    file: Path | None = None
    """Where it was found; None for one that was given."""


class TranscribeError(Exception):
    """What went wrong, in a sentence for the person at the terminal."""


def server_url(server: str | None, environ: Mapping[str, str]) -> URL:
    """Return the base URL of the server: the one given, or the usual one of this machine.

    Raises:
        TranscribeError: it is no HTTP URL.
    """
    url = URL(server or f"http://127.0.0.1:{environ.get('SPEECHMESH_PORT') or 8080}")
    if url.scheme not in ("http", "https") or not url.host:
        raise TranscribeError(f"{server} is no URL of a server, such as http://127.0.0.1:8080.")
    return url


def choose_key(key: str | None, url: URL, data: Path | None, environ: Mapping[str, str]) -> Key | None:
    """Return the API key: the one given; for a server on this machine, the one that `up` has made, if any.

    Args:
        key: the one given.
        url: base URL of the server.
        data: data folder of the `up` that made a key; None: the usual one.
        environ: the environment, which says what the usual one is.
    """
    if key:
        return Key(key)
    # A key of this machine is nobody else's business.
    if url.host not in _LOOPBACK:
        return None
    # Without a home folder there is no usual one, and the server may not ask for a key at all.
    with suppress(MeshError):
        file = (data or default_data_dir(environ)).expanduser() / "api-key"
        if made := read_key(file):
            return Key(made, file)
    return None


def run(wish: Wish, *, server: str | None, key: str | None, data: Path | None, environ: Mapping[str, str]) -> int:
    """Transcribe and print; return the exit code.

    `server`, `key` and `data` are as for `server_url` and `choose_key`.

    The transcript goes to standard output, everything else to standard error.
    """
    errors = Console(stderr=True, highlight=False, markup=False)
    try:
        url = server_url(server, environ)
        with _progress_bar(errors) as progress:
            bar = progress.add_task("uploading", total=1.0)
            answer = asyncio.run(
                request(
                    wish,
                    url,
                    choose_key(key, url, data, environ),
                    lambda stage, ratio: progress.update(bar, description=stage, completed=ratio),
                )
            )
    except TranscribeError as error:
        errors.print(f"Error: {error}", soft_wrap=True)
        return 1
    _print_answer(answer, wish.format, errors)
    return 0


async def request(wish: Wish, url: URL, key: Key | None, on_progress: OnProgress) -> dict[str, Any]:
    """Send the recording and return the answer: the JSON contract, or `{"text": ...}` for subtitles.

    Raises:
        TranscribeError: the file cannot be read, the server cannot be reached, or it says no.
    """
    headers = {"Accept": "text/event-stream"}
    if key:
        headers["Authorization"] = f"Bearer {key.text}"
    # No limit on the whole: a long recording takes as long as it takes.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
    try:
        with _UploadFile(wish.file, lambda ratio: on_progress("uploading", ratio)) as file:
            # Unquoted, because servers take a name as it stands, percent signs and all.
            form = aiohttp.FormData(wish.fields(), quote_fields=False)
            name = "".join(letter if letter.isprintable() else "_" for letter in wish.file.name)
            media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
            form.add_field("file", file, filename=name, content_type=media_type)
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
                session.post(url / "v1/transcribe", data=form) as response,
            ):
                return await _read_answer(response, key, on_progress)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise TranscribeError(
            f"No server answers at {url}. Start one with `./speechmesh up`, or name another with --server."
        ) from error
    except (aiohttp.ClientError, ConnectionError, ValueError) as error:
        raise TranscribeError(f"The connection to {url} broke: {error or type(error).__name__}.") from error
    except OSError as error:
        raise TranscribeError(f"Cannot read {wish.file}: {error.strerror or error}.") from error


async def _read_answer(response: aiohttp.ClientResponse, key: Key | None, on_progress: OnProgress) -> dict[str, Any]:
    if response.status != 200:
        raise TranscribeError(_complaint(await response.text(errors="replace"), response.status, key))
    # A proxy, or another server with the same contract, may answer in the plain form.
    if response.content_type == "application/json":
        return _object(await response.text())
    if response.content_type != "text/event-stream":
        return {"text": await response.text(errors="replace")}
    result = None
    # Read to the end even after the result: whoever hangs up early leaves an error in the server's log.
    async for name, data in _events(response):
        if name == "progress":
            on_progress(str(data.get("stage", "working")), float(data.get("ratio", 0.0)))
        elif name == "result":
            result = data
        elif name == "error":
            raise TranscribeError(_complaint(json.dumps(data), int(data.get("status", 500)), key))
    if result is None:
        raise TranscribeError("The server ended its answer before the transcript was there.")
    return result


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    parser = EventParser()
    async for chunk in response.content.iter_any():
        for event in parser.feed(chunk):
            yield event.name, _object(event.data)


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("the answer is not a JSON object")
    return value


def _complaint(body: str, status: int, key: Key | None) -> str:
    """Return the server's own sentence; what to do about it where that is known."""
    try:
        sentence = str(_object(body)["error"])
    except (ValueError, KeyError):
        sentence = f"The server answered with status {status}."
    if status == 401 and key and key.file:
        sentence += (
            f" The key came from {key.file}; name the server's data folder with --data, or give a key with --key."
        )
    elif status == 401:
        sentence += " Give a key with --key or SPEECHMESH_API_KEY."
    return sentence


def _print_answer(answer: Mapping[str, Any], form: str, errors: Console) -> None:
    if form == "json":
        text = json.dumps(answer, ensure_ascii=False, indent=2)
    elif form == "text" and "segments" in answer:
        errors.print(headline(answer))
        for warning in warning_lines(answer):
            errors.print(warning, soft_wrap=True)
        if "summary" in answer and answer["summary"] is None:
            errors.print("There is no summary: the server could not make one for the moment.", soft_wrap=True)
        text = "\n".join([*lines(answer), *summary_lines(answer)])
    else:
        text = str(answer.get("text", ""))
    sys.stdout.write(text if text.endswith("\n") or not text else f"{text}\n")
    sys.stdout.flush()


def _progress_bar(errors: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )


class _UploadFile(io.BufferedReader):
    """A file that tells how much of it has been read; aiohttp reads it piece by piece in a thread."""

    def __init__(self, path: Path, on_read: Callable[[float], None]) -> None:
        super().__init__(io.FileIO(path))
        self._total = max(1, os.fstat(self.fileno()).st_size)
        self._on_read = on_read

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._on_read(min(1.0, self.tell() / self._total))
        return data
