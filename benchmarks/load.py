"""What stands around an edge that is measured, each in a process of its own: none of its work is the edge's.

    python -m benchmarks.load mesh     engines that need no models, behind the real gRPC services
    python -m benchmarks.load watch    the memory of a process and of all its descendants
    python -m benchmarks.load send     one upload, as fast as it is taken
    python -m benchmarks.load drip     many uploads at once, all of them slow

The first line of the input says as JSON what is to be done; every line of the output is JSON. Each ends when its input
ends.
"""

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks.uploads import DRIP_SECONDS, Connection, Sent, Upload
from services.audio import pcm

_ROOT = Path(__file__).resolve().parent.parent
_WATCH_SECONDS = 0.02
_STOP_SECONDS = 30.0
_SHORT_SECONDS = 60.0
"""Of audio, which engines take as fast as it comes: ordinary requests are to show what the edge costs."""
_MOST_LINE_BYTES = 256 * 1024 * 1024


async def send(told: asyncio.Future[None], **upload: Any) -> None:
    """Send one upload; say how it went when it is answered."""
    connection = Connection(Upload(**upload))
    await connection.connect()
    say(asdict(await connection.send()))


async def drip(told: asyncio.Future[None], count: int, bytes_a_second: float, **upload: Any) -> None:
    """Send uploads slowly; say when all have begun. When told to end say how fast they were (bytes of the file in a
    second, all together), and which of them had been answered, which is none where all goes well.
    """
    connections = [Connection(Upload(**upload)) for _ in range(count)]
    running: list[asyncio.Task[Sent]] = []
    for connection in connections:
        await connection.connect()
        running.append(asyncio.create_task(connection.drip(bytes_a_second)))
        # So that they do not all send at the same moment.
        await asyncio.sleep(DRIP_SECONDS / count)
    while not all(connection.file_bytes for connection in connections):  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(DRIP_SECONDS)
    began, before = time.monotonic(), sum(one.file_bytes for one in connections)
    say(None)
    await told
    rate = (sum(one.file_bytes for one in connections) - before) / (time.monotonic() - began)
    say({"rate": rate, "answered": [(task.result().status, task.result().code) for task in running if task.done()]})
    for task in running:
        task.cancel()
    await asyncio.wait(running)


async def watch(told: asyncio.Future[None], process: int) -> None:
    """Look at a process and its descendants every 20 ms until told to end; then say what was seen: for each look its
    time and, for each process, its id, its depth below the first and its resident bytes.
    """
    root = psutil.Process(process)
    seen: list[tuple[float, list[tuple[int, int, int]]]] = []
    due = time.monotonic()
    while not told.done():
        look = [(root.pid, 0, root.memory_info().rss)]
        depths = {root.pid: 0}
        for one in root.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                # Parents come before their children; one whose parent has just ended is nobody's.
                depths[one.pid] = 1 + depths.get(one.ppid(), 0)
                look.append((one.pid, depths[one.pid], one.memory_info().rss))
        seen.append((time.monotonic(), look))
        due = max(due + _WATCH_SECONDS, time.monotonic())
        await asyncio.sleep(due - time.monotonic())
    say(seen)


async def mesh(told: asyncio.Future[None], engine_speed: float) -> None:
    """Serve the engines until told to end; say where they are. Of long recordings speech recognition takes so many
    seconds in a second, or as many as come where that is 0.
    """
    # Only this process needs them, and the others start faster without.
    from services.runtime.logs import configure_logs
    from tests.edge.fake_mesh import FakeAsr, FakeMesh

    class PacedAsr(FakeAsr):
        async def Recognize(self, request_iterator: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
            async for response in super().Recognize(_paced(request_iterator, engine_speed), context):
                yield response

    configure_logs("mesh", "warning")
    async with FakeMesh(asr=PacedAsr() if engine_speed else FakeAsr()).served() as targets:
        say(targets)
        await told


async def _paced(requests: AsyncIterator[Any], speed: float) -> AsyncIterator[Any]:
    heard, began = 0.0, time.monotonic()
    async for request in requests:
        yield request
        heard += pcm.seconds(len(request.audio))
        if heard > _SHORT_SECONDS:
            await asyncio.sleep(max(0.0, began + heard / speed - time.monotonic()))


PARTS: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {part.__name__: part for part in (mesh, watch, send, drip)}


class Helper:
    """One of these processes, as the one that started it sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def hear(self) -> Any:
        """Return what it says next."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("a process around the edge has ended; what it said stands above")
        return json.loads(line)

    def tell_to_end(self) -> None:
        """End its input. What it still has to say can be heard."""
        assert self._process.stdin is not None
        self._process.stdin.close()


@asynccontextmanager
async def helper(part: str, **job: Any) -> AsyncIterator[Helper]:
    """Run one of `PARTS` in a process of its own; end it afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.load",
        part,
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": f"{_ROOT}:{_ROOT / 'protos'}"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_MOST_LINE_BYTES,
    )
    assert process.stdin is not None
    helping = Helper(process)
    try:
        process.stdin.write(json.dumps(job).encode() + b"\n")
        yield helping
    finally:
        helping.tell_to_end()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def say(value: Any) -> None:
    print(json.dumps(value), flush=True)


async def main() -> None:
    part = sys.argv[1]
    job = json.loads(sys.stdin.readline())
    loop = asyncio.get_running_loop()
    told: asyncio.Future[None] = loop.create_future()

    def read() -> None:
        sys.stdin.read()
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(told.set_result, None)

    threading.Thread(target=read, daemon=True).start()
    working = asyncio.create_task(PARTS[part](told, **job))
    await asyncio.wait({told, working}, return_when=asyncio.FIRST_COMPLETED)
    if part == "send" and not working.done():
        working.cancel()  # nobody waits for its end any more
    with suppress(asyncio.CancelledError):
        await working


if __name__ == "__main__":
    asyncio.run(main())
