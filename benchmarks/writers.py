"""What writes after prompts, each in a process of its own: our engine, and those that it is compared with.

    python -m benchmarks.writers ENGINE FOLDER    jobs come as lines of JSON, and so do the answers

Threads are why: how those of a library behave is said before it is imported, and holds for the whole process. Ours
has what the service has (`runtime.threads.calm_threads`), the others what they give themselves. A process without a job
waits for the next line, so only one computes at a time. "generate, calm" is `generate` with the threads of ours: those
of torch spin, which on cores that somebody else uses, too, makes them several times slower.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import psutil  # type: ignore[import-untyped]

_ROOT = Path(__file__).resolve().parent.parent
_WARMING_TOKENS = 4
_STOP_SECONDS = 60.0


@dataclass(frozen=True)
class Job:
    """Prompts to write after."""

    prompts: Sequence[Sequence[int]]
    tokens: int
    """To be written after each, whether the text ends or not."""
    at_once: bool = True
    """All together; else one after the other."""
    penalty: bool = True
    """Whether tokens that were written become less likely, as the service has it. Ours always has it so."""


@dataclass(frozen=True)
class Run:
    """How it went."""

    seconds: float
    """From the first request to the last end."""
    firsts: Sequence[float]
    """When each prompt had its first token, from the first request."""
    written: Sequence[Sequence[int]]
    """Tokens after each prompt."""
    others_cores: float = 0.0
    """Cores that were busy with something else meanwhile, or that this machine did not get from its host: the mean."""

    @property
    def rate(self) -> float:
        """Tokens written in a second, all prompts together."""
        return sum(map(len, self.written)) / self.seconds


class Writer(Protocol):
    """An engine that is loaded."""

    def write(self, job: Job) -> Run:
        """Do a job."""


class OurWriter:
    """`Device` over `TransformersModel` with the settings of the service; nobody judges what is written.

    No token ends a text: where the model says the end, it has to go on.
    """

    def __init__(self, folder: Path) -> None:
        from services.runtime.settings import read_settings
        from services.runtime.threads import calm_threads
        from services.summarize.config import SummarizeSettings

        settings = read_settings(SummarizeSettings, {**os.environ, "SPEECHMESH_MODELS_DIR": str(folder.parent)})
        calm_threads(settings.threads_of_one_computation)
        # Only now: they import numpy and torch, which read how their threads shall behave.
        from services.summarize.device import Device
        from services.summarize.summarizer import LONGEST_REST
        from services.summarize.transformers_engine import TransformersModel

        class Endless(TransformersModel):
            @property
            def ends(self) -> frozenset[int]:
                return frozenset()

        def load() -> Endless:
            return Endless(
                folder.name,
                folder,
                device=settings.device,
                threads=settings.threads_of_one_computation,
                rows=settings.rows,
                window=settings.tokens_of_part + LONGEST_REST,
            )

        self._thread = ThreadPoolExecutor(1)
        self._model = self._thread.submit(load).result()
        # A new one for every job: one that has done it before need not read the prompt again.
        self._new_device = lambda: Device(self._model, self._thread)
        self._runner = asyncio.Runner()

    def write(self, job: Job) -> Run:
        """Do a job; see `Writer`."""
        assert job.at_once
        assert job.penalty
        return self._runner.run(self._together(job))

    async def _together(self, job: Job) -> Run:
        from services.runtime.fair_queue import Request

        device = self._new_device()
        began = time.monotonic()
        firsts = [0.0] * len(job.prompts)
        written: list[list[int]] = [[] for _ in job.prompts]

        async def one(number: int, prompt: Sequence[int]) -> None:
            def take(token: int) -> bool:
                if not written[number]:
                    firsts[number] = time.monotonic() - began
                written[number].append(token)
                return True

            request = Request(f"caller {number}")
            await device.write(request, prompt, job.tokens, take)
            device.end(request)

        await asyncio.gather(*(one(number, prompt) for number, prompt in enumerate(job.prompts)))
        return Run(time.monotonic() - began, firsts, written)

    def prompts(self, texts: Sequence[str], length: int) -> list[list[int]]:
        """Return the prompts of brief summaries of the beginnings of texts, all of exactly so many tokens."""
        return [self._prompt(text, length) for text in texts]

    def _prompt(self, text: str, length: int) -> list[int]:
        from services.summarize.prompts import for_summary
        from services.summarize.style import Style

        (tokens,) = self._model.encode([text])
        # A cut in a word may become one token more or less.
        for end in range(min(len(tokens), length), 0, -1):
            beginning = self._model.decode(tokens[:end])
            prompt = self._model.chat(for_summary(beginning, Style.BRIEF, "en", of_notes=False))
            if len(prompt) == length:
                return prompt
        raise ValueError(f"no beginning of the text makes a prompt of {length} tokens")


class OtherWriter:
    """A library that writes batches; it has one request wait for the other, or takes all as one batch."""

    def __init__(self, write: Callable[[Sequence[Sequence[int]], int, float], Any], penalty: float) -> None:
        self._write = write
        self._penalty = penalty

    def write(self, job: Job) -> Run:
        """Do a job; see `Writer`."""
        began = time.monotonic()
        firsts, written = list[float](), list[list[int]]()
        for batch in [job.prompts] if job.at_once else [[prompt] for prompt in job.prompts]:
            before = time.monotonic() - began
            result = self._write(batch, job.tokens, self._penalty if job.penalty else 1.0)
            firsts += [before + result.first_seconds] * len(batch)
            written += result.tokens
        return Run(time.monotonic() - began, firsts, written)


class WriterProcess:
    """An engine in a process of its own, as `running_writer` makes it."""

    def __init__(self, process: int, jobs: IO[str], answers: IO[str]) -> None:
        self._process = psutil.Process(process)
        self._jobs, self._answers = jobs, answers

    def wait_until_loaded(self) -> None:
        """Return when the engine is loaded."""
        self._ask({})

    def write(self, job: Job) -> Run:
        """Do a job; see `Writer`."""
        began, busy, own = time.monotonic(), _busy_seconds(), sum(self._process.cpu_times()[:2])
        answer = self._ask({"write": asdict(job)})
        others = _busy_seconds() - busy - (sum(self._process.cpu_times()[:2]) - own)
        return Run(**{**answer, "others_cores": max(0.0, others / (time.monotonic() - began))})

    def warm_up(self, job: Job) -> None:
        """Do the beginning of a job for nothing."""
        self.write(Job(job.prompts, _WARMING_TOKENS, job.at_once, job.penalty))

    def prompts(self, texts: Sequence[str], length: int) -> list[list[int]]:
        """Return prompts; see `OurWriter`, the one that can."""
        prompts: list[list[int]] = self._ask({"prompts": [texts, length]})
        return prompts

    def _ask(self, question: dict[str, Any]) -> Any:
        self._jobs.write(json.dumps(question) + "\n")
        self._jobs.flush()
        answer = self._answers.readline()
        if not answer:
            raise RuntimeError("the process of a writer has ended; what it said stands above")
        return json.loads(answer)


def _busy_seconds() -> float:
    """Return how long the cores of this machine have been busy, all together; what the host took away is among it."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


@contextmanager
def running_writer(engine: str, folder: Path) -> Iterator[WriterProcess]:
    """Start an engine of `ENGINES` in a process of its own, with this one's environment; end it afterwards."""
    environ = {**os.environ, "PYTHONPATH": f"{_ROOT}:{_ROOT / 'protos'}"}
    command = [sys.executable, "-m", "benchmarks.writers", engine, str(folder)]
    with subprocess.Popen(
        command, cwd=_ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield WriterProcess(process.pid, process.stdin, process.stdout)
        finally:
            # Without jobs it ends by itself, and tidies up.
            process.stdin.close()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _calm_generate(folder: Path) -> Iterator[Writer]:
    from services.runtime.settings import available_cores
    from services.runtime.threads import calm_threads

    calm_threads(available_cores())
    return _generate(folder)


def _generate(folder: Path) -> Iterator[Writer]:
    from benchmarks.baselines import PlainGenerate
    from services.summarize.transformers_engine import REPETITION_PENALTY

    yield OtherWriter(PlainGenerate(folder).write, REPETITION_PENALTY)


def _ctranslate2(folder: Path) -> Iterator[Writer]:
    from benchmarks.baselines import PlainCTranslate2
    from services.summarize.transformers_engine import REPETITION_PENALTY

    with tempfile.TemporaryDirectory() as temporary:
        yield OtherWriter(PlainCTranslate2(folder, Path(temporary) / "converted").write, REPETITION_PENALTY)


def _ours(folder: Path) -> Iterator[Writer]:
    yield OurWriter(folder)


ENGINES: dict[str, Callable[[Path], Iterator[Writer]]] = {
    "speechmesh": _ours,
    "generate": _generate,
    "generate, calm": _calm_generate,
    "ctranslate2": _ctranslate2,
}


def main() -> None:
    engine, folder = sys.argv[1:]
    # Libraries may print, too.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with contextmanager(ENGINES[engine])(Path(folder)) as writer:
        for line in sys.stdin:
            print(json.dumps(_answer(writer, **json.loads(line))), file=answers, flush=True)


def _answer(writer: Writer, write: dict[str, Any] | None = None, prompts: Sequence[Any] | None = None) -> Any:
    if write is not None:
        return asdict(writer.write(Job(**write)))
    if prompts is not None:
        assert isinstance(writer, OurWriter)
        return writer.prompts(*prompts)
    return None


if __name__ == "__main__":
    main()
