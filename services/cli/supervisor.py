"""Runs programs as one: starts them in order, keeps them running, stops them all, leaves none behind.

    start   in the order given; engines take long to load, so none waits for the one before it
    run     one that ends unasked is started again, after a pause that `restarts` decides
    stop    the fronts (those that take calls from outside) first, then the rest, so that what a front has
            begun can still be finished; SIGTERM, a grace, SIGKILL

Each program leads a session of its own: Ctrl-C on the terminal reaches the supervisor alone, and whatever a
program that ended leaves running is killed as its process group. Should the supervisor itself be killed, the
programs see to their own end (`services.runtime.parent`).
"""

import asyncio
import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from services.cli.log_lines import LineSplitter
from services.cli.probes import Health
from services.cli.restarts import RestartLimits, RestartPolicy
from services.runtime.parent import PARENT_PID

Say = Callable[[str, str], None]
"""Shows one line of one program: `say(name, line)`."""

SUPERVISOR = "speechmesh"
"""The name under which the supervisor itself speaks."""

_PIPE_READ_BYTES = 64 * 1024
_LAST_OUTPUT_SECONDS = 1.0
_SPAWN_FAILED_EXIT_CODE = 127


@dataclass(frozen=True)
class Program:
    """One program to keep running."""

    name: str
    """What its log lines are marked with."""

    argv: tuple[str, ...]
    """Command and arguments; no shell."""

    env: Mapping[str, str]
    """Its whole environment; the supervisor adds its own process id."""

    health: Health
    """How to find out whether it serves."""

    front: bool = False
    """Whether it takes calls from outside and so is stopped before the others."""


@dataclass(frozen=True)
class Timing:
    """How patient a supervisor is; all in seconds."""

    grace: float = 25.0
    """From SIGTERM to SIGKILL, for the fronts and again for the rest; to be longer than the programs' own drain."""

    poll: float = 0.2
    """Between two questions for health."""

    reminder: float = 30.0
    """Between two lines that say who is still being waited for at the first start."""

    restarts: RestartLimits = field(default_factory=RestartLimits)
    """When a program that ended is started again."""


class Supervisor:
    """Runs a list of programs until told to stop; made for one run.

    Args:
        programs: in the order of their start; names are unique.
        say: shows a line.
        ready: called once, when all programs are healthy at the same time for the first time.
        timing: how patient it is.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        say: Say,
        ready: Callable[[], None],
        timing: Timing | None = None,
    ) -> None:
        self._say = say
        self._ready = ready
        self._timing = timing or Timing()
        self._keepers = [_Keeper(program, say, self._timing, self) for program in programs]
        self._all_healthy = asyncio.Event()
        self._signals = 0
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Run until a signal comes or a program has to be given up.

        Returns:
            0 after a clean stop, 1 when a program was given up or anything had to be killed at once.
        """
        with self._signal_handlers():
            keeping = [asyncio.create_task(keeper.keep()) for keeper in self._keepers]
            reminder = asyncio.create_task(self._remind())
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait([*keeping, stopping], return_when=asyncio.FIRST_COMPLETED)
            given_up = next((keeper for keeper in self._keepers if keeper.given_up), None)
            stopping.cancel()
            reminder.cancel()
            if given_up and not self._signals:
                self._explain(given_up)
            await self._stop_all()
            await asyncio.gather(*keeping)
        return 1 if (given_up and not self._signals) or self._signals > 1 else 0

    def may_ask(self, keeper: "_Keeper") -> bool:
        """Tell whether it makes sense to ask a program for its health.

        A front is healthy only when the others are; until then its answer is known and would fill its log.
        """
        return not keeper.front or all(other.is_healthy for other in self._keepers if not other.front)

    def health_changed(self) -> None:
        """Hear that a program has become healthy."""
        if not self._all_healthy.is_set() and all(keeper.is_healthy for keeper in self._keepers):
            self._all_healthy.set()
            self._ready()

    async def _remind(self) -> None:
        while not self._all_healthy.is_set():
            await asyncio.sleep(self._timing.reminder)
            late = [keeper.name for keeper in self._keepers if not keeper.is_healthy]
            if late and not self._all_healthy.is_set():
                self._say(SUPERVISOR, f"still waiting for {', '.join(late)}")

    async def _stop_all(self) -> None:
        fronts = [keeper for keeper in self._keepers if keeper.front]
        others = [keeper for keeper in self._keepers if not keeper.front]
        for keepers in (fronts, others):
            await asyncio.gather(*(keeper.stop() for keeper in keepers))

    def _explain(self, keeper: "_Keeper") -> None:
        self._say(SUPERVISOR, f"{keeper.name} does not start; its last lines:")
        for line in keeper.last_lines:
            self._say(SUPERVISOR, f"    {line}")

    def _on_signal(self, number: signal.Signals) -> None:
        self._signals += 1
        if self._signals == 1:
            self._say(SUPERVISOR, f"{number.name}: stopping (once more to stop at once)")
        elif self._signals == 2:
            self._say(SUPERVISOR, f"{number.name}: killing what still runs")
            for keeper in self._keepers:
                keeper.kill()
        self._stop.set()

    @contextlib.contextmanager
    def _signal_handlers(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = [signal.SIGINT, signal.SIGTERM]
        # Under nohup it is ignored, and that is the point of nohup.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


class _Keeper:
    """Keeps one program running."""

    def __init__(self, program: Program, say: Say, timing: Timing, crew: Supervisor) -> None:
        self.name = program.name
        self.front = program.front
        self.is_healthy = False
        self.given_up = False
        self.last_lines = deque[str](maxlen=15)
        self._program = program
        self._say = say
        self._timing = timing
        self._crew = crew
        self._policy = RestartPolicy(timing.restarts)
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()

    async def keep(self) -> None:
        """Run the program, again and again, until it is stopped or given up."""
        try:
            while not self._stopping.is_set():
                exit_code = await self._run_once()
                if self._stopping.is_set():
                    return
                pause = self._policy.exited(time.monotonic(), exit_code)
                if pause is None:
                    self.given_up = True
                    return
                self._say(SUPERVISOR, f"{self.name} ended ({_cause(exit_code)}); starting it again in {pause:g} s")
                await _first(self._stopping.wait(), asyncio.sleep(pause))
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """End the program: SIGTERM, and SIGKILL after the grace; return when it is gone."""
        self._stopping.set()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        try:
            await asyncio.wait_for(self._ended.wait(), self._timing.grace)
        except TimeoutError:
            self._say(SUPERVISOR, f"{self.name} did not stop within {self._timing.grace:g} s; killing it")
            self.kill()
            await self._ended.wait()

    def kill(self) -> None:
        """Kill the program and all that it started."""
        self._stopping.set()
        if self._process is not None:
            _kill_group(self._process.pid)

    async def _run_once(self) -> int:
        """Start the program and see it through to its end; return its exit code, negative for a signal."""
        started = time.monotonic()
        reading, writing = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._program.argv,
                env={**self._program.env, PARENT_PID: str(os.getpid())},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
            )
        except OSError as error:
            os.close(reading)
            self._show(f"cannot start {self._program.argv[0]}: {error}")
            return _SPAWN_FAILED_EXIT_CODE
        finally:
            os.close(writing)
        # A stop that came while the process was being made found nothing to end; it has begun nothing yet.
        if self._stopping.is_set():
            self.kill()
        showing = asyncio.create_task(self._show_output(reading))
        watching = asyncio.create_task(self._watch_health(started))
        exit_code = await self._process.wait()
        _kill_group(self._process.pid)
        self._process = None
        self.is_healthy = False
        watching.cancel()
        # A descendant outside the group may hold the pipe open for ever.
        await asyncio.wait([showing, watching], timeout=_LAST_OUTPUT_SECONDS)
        showing.cancel()
        for outcome in await asyncio.gather(showing, watching, return_exceptions=True):
            if isinstance(outcome, Exception):
                self._say(SUPERVISOR, f"watching {self.name} failed: {outcome!r}")
        return exit_code

    async def _watch_health(self, started: float) -> None:
        async with self._program.health.open() as is_serving:
            while True:
                if self._crew.may_ask(self) and await is_serving():
                    break
                await asyncio.sleep(self._timing.poll)
        self.is_healthy = True
        self._policy.healthy(time.monotonic())
        self._say(SUPERVISOR, f"{self.name} serves after {time.monotonic() - started:.1f} s")
        self._crew.health_changed()

    async def _show_output(self, descriptor: int) -> None:
        # A pipe of our own, not asyncio's: with that, waiting for the process would also wait until every
        # descendant has closed the pipe.
        reader = asyncio.StreamReader()
        splitter = LineSplitter()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
        )
        try:
            while chunk := await reader.read(_PIPE_READ_BYTES):
                for line in splitter.feed(chunk):
                    self._show(line)
        finally:
            for line in splitter.finish():
                self._show(line)
            transport.close()

    def _show(self, line: str) -> None:
        self.last_lines.append(line)
        self._say(self.name, line)


async def _first(*waits: Awaitable[object]) -> None:
    """Return when the first of `waits` is done; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def _kill_group(leader: int) -> None:
    # macOS answers EPERM for a group that has only zombies left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _cause(exit_code: int) -> str:
    if exit_code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"
