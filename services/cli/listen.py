"""`listen`: live captions of a microphone or a file in the terminal."""

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import av
from av.audio.resampler import AudioResampler
from rich.console import Console
from rich.live import Live
from rich.text import Text
from yarl import URL

from services.audio.pcm import SAMPLE_BYTES, SAMPLE_RATE
from services.cli.transcribe import Key, TranscribeError, choose_key, server_url

_RECORDERS = {
    "parec": ("--raw", "--format=s16le", "--rate=16000", "--channels=1"),
    "arecord": ("-q", "-t", "raw", "-f", "S16_LE", "-r", "16000", "-c", "1"),
}
"""Programs that record the microphone on Linux, of PulseAudio (and PipeWire) and of ALSA, and how: to standard output.

The ALSA library that PyAV brings along finds neither the machine's configuration nor its plugins."""

_DEVICE_OPTIONS = {"parec": "--device", "arecord": "-D"}
_MACS_MICROPHONE = ":default"

_CHUNK_BYTES = 3200
_INTERRUPTED = 130
"""Exit code of who was interrupted."""

_CHUNK_SECONDS = _CHUNK_BYTES / (SAMPLE_RATE * SAMPLE_BYTES)


@dataclass(frozen=True)
class Wish:
    """What is to be listened to, and how; None leaves a field to the server."""

    file: Path | None = None
    """None for the microphone."""
    device: str | None = None
    """The microphone, as its recorder calls it; None for the usual one."""
    realtime: bool = False
    """Whether a file is sent as fast as it was spoken, not as fast as it is taken."""
    model: str | None = None
    language: str | None = None

    def config(self) -> dict[str, str]:
        """Return the stream's configuration."""
        given = {"model": self.model, "language": self.language}
        return {name: value for name, value in given.items() if value}


class Captions:
    """Shows finals as lines and, on a terminal, what is not final yet dimly below them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> "Captions":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, message: Mapping[str, Any]) -> None:
        """Show one message of the server."""
        if message.get("text"):
            self._console.print(Text(message["text"]), soft_wrap=True)
        if self._console.is_terminal and "partial" in message:
            self._live.update(Text(message["partial"], style="dim"), refresh=True)


def run(wish: Wish, *, server: str | None, key: str | None, data: Path | None, environ: Mapping[str, str]) -> int:
    """Show captions until the file ends, or Ctrl-C; return the exit code.

    `server`, `key` and `data` are as for `transcribe.server_url` and `transcribe.choose_key`.

    Captions go to standard output, everything else to standard error.
    """
    try:
        url = server_url(server, environ)
        with Captions(Console(highlight=False, markup=False)) as captions:
            asyncio.run(caption(wish, url, choose_key(key, url, data, environ), captions))
    except TranscribeError as error:
        Console(stderr=True, highlight=False, markup=False).print(f"Error: {error}", soft_wrap=True)
        return 1
    except asyncio.CancelledError:
        return _INTERRUPTED
    return 0


async def caption(wish: Wish, url: URL, key: Key | None, captions: Captions) -> None:
    """Send the audio and show what comes back.

    Raises:
        TranscribeError: there is no audio to be had, the server cannot be reached, or it says no.
    """
    headers = {"Authorization": f"Bearer {key.text}"} if key else {}
    try:
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.ws_connect(url / "v1/stream", max_msg_size=0) as socket,
        ):
            await socket.send_json(wish.config())
            with _interruptible() as stopped:
                await _both(_send(socket, wish, stopped), _show(socket, captions))
    except aiohttp.ClientConnectorError as error:
        raise TranscribeError(
            f"No server answers at {url}. Start one with `./speechmesh up`, or name another with --server."
        ) from error
    except aiohttp.WSServerHandshakeError as error:
        raise TranscribeError(f"The server at {url} takes no live streams (status {error.status}).") from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise TranscribeError(f"The connection to {url} broke: {error or type(error).__name__}.") from error


@contextlib.contextmanager
def _interruptible() -> Iterator[asyncio.Event]:
    """Let Ctrl-C end the audio, by this event: what was said is still to come. The second one ends everything."""
    stopped = asyncio.Event()
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def interrupt() -> None:
        if stopped.is_set() and task is not None:
            task.cancel()
        stopped.set()

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield stopped
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def _both(sending: Coroutine[Any, Any, None], showing: Coroutine[Any, Any, None]) -> None:
    """Wait for both; when one fails, end the other. Without audio to send, that is the error, not what followed."""
    tasks = [asyncio.create_task(sending), asyncio.create_task(showing)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _show(socket: aiohttp.ClientWebSocketResponse, captions: Captions) -> None:
    ended = False
    async for frame in socket:
        message = json.loads(frame.data)
        if message.get("type") == "error":
            raise TranscribeError(str(message["error"]))
        captions.show(message)
        ended = ended or bool(message.get("is_final"))
    if not ended:
        raise TranscribeError("The connection broke before the last word.")


async def _send(socket: aiohttp.ClientWebSocketResponse, wish: Wish, stopped: asyncio.Event) -> None:
    began, sent = time.monotonic(), 0
    # A server that hangs up says why in what is read.
    with contextlib.suppress(ConnectionError):
        async for pcm in _chunks(wish, stopped):
            sent += len(pcm)
            if wish.realtime and wish.file is not None:
                due = began + sent / (SAMPLE_RATE * SAMPLE_BYTES)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            await socket.send_bytes(pcm)
        await socket.send_json({"action": "stop"})


async def _chunks(wish: Wish, stopped: asyncio.Event) -> AsyncIterator[bytes]:
    """Yield PCM until it ends or `stopped` is set; it is read in a thread, for microphones block."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | TranscribeError | None] = asyncio.Queue(maxsize=50)
    leave = threading.Event()

    def read() -> None:
        last: TranscribeError | None = None
        try:
            for pcm in pcm_of(wish):
                if leave.is_set():
                    return
                asyncio.run_coroutine_threadsafe(queue.put(pcm), loop).result()
        except TranscribeError as error:
            last = error
        asyncio.run_coroutine_threadsafe(queue.put(last), loop)

    threading.Thread(target=read, daemon=True).start()
    stopping = asyncio.create_task(stopped.wait())
    try:
        while not stopped.is_set():
            getting = asyncio.create_task(queue.get())
            await asyncio.wait({getting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                getting.cancel()
                return
            item = getting.result()
            if item is None:
                return
            if isinstance(item, TranscribeError):
                raise item
            yield item
    finally:
        leave.set()
        stopping.cancel()


def pcm_of(wish: Wish) -> Iterator[bytes]:
    """Yield the audio as PCM of the mesh, in pieces of about a tenth of a second.

    Raises:
        TranscribeError: it cannot be opened, or holds no audio.
    """
    if wish.file is None and sys.platform == "linux":
        yield from _recorded(wish.device)
        return
    resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE, frame_size=_CHUNK_BYTES // SAMPLE_BYTES)
    with _opened(wish) as container:
        if not container.streams.audio:
            raise TranscribeError(f"{wish.file} has no audio track.")
        try:
            for frame in container.decode(container.streams.audio[0]):
                for piece in resampler.resample(frame):
                    yield bytes(piece.planes[0])[: piece.samples * SAMPLE_BYTES]
            for piece in resampler.resample(None):
                yield bytes(piece.planes[0])[: piece.samples * SAMPLE_BYTES]
        except av.FFmpegError as error:
            raise TranscribeError(f"The audio cannot be read: {error.strerror}.") from error


def _recorded(device: str | None) -> Iterator[bytes]:
    """Yield what a recorder of this machine hears, until it ends."""
    name = next(filter(shutil.which, _RECORDERS), None)
    if name is None:
        raise TranscribeError(
            f"The microphone needs one of these programs: {', '.join(_RECORDERS)}. Or name a file with --file."
        )
    chosen = [_DEVICE_OPTIONS[name], device] if device else []
    # In a session of its own: Ctrl-C is for us, who end it then.
    command = [name, *_RECORDERS[name], *chosen]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as recorder:
        assert recorder.stdout is not None
        try:
            while pcm := recorder.stdout.read(_CHUNK_BYTES):
                yield pcm[: len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES]
        finally:
            recorder.terminate()
    if recorder.returncode > 0:
        raise TranscribeError(f"{name} could not record (exit code {recorder.returncode}).")


def _opened(wish: Wish) -> Any:
    try:
        if wish.file is not None:
            return av.open(str(wish.file))
        if sys.platform != "darwin":
            raise TranscribeError("On this platform only files can be listened to: name one with --file.")
        return av.open(wish.device or _MACS_MICROPHONE, format="avfoundation")
    except (av.FFmpegError, OSError, ValueError) as error:
        what = str(wish.file) if wish.file else f"the microphone {wish.device or _MACS_MICROPHONE}"
        raise TranscribeError(f"Cannot open {what}: {getattr(error, 'strerror', None) or error}.") from error
