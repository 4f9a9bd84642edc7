"""The asr service with an engine that needs no model."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

from services.asr.device import Device
from services.asr.models import Models
from services.asr.scheduler import BatchLimits, Scheduler
from services.asr.server import AsrServicer
from services.asr.transcriber import Transcriber
from services.asr.windows import WindowRules
from services.asr.workers import Workers
from services.runtime.admission import Admission
from services.runtime.lifecycle import Loading
from tests.asr.fake_engine import FakeEngine, listen


def make_servicer(
    engine: FakeEngine, ears: Executor, *, places: int = 4, max_seconds: float = 60, buffer_seconds: float = 600
) -> AsrServicer:
    """Return what serves `engine` under its own id and as `alias`, with two workers."""
    workers = Workers(2, Scheduler(2, BatchLimits(1, 4, 1)), waiting_limit=1000)
    models = Models({engine.model: engine}, {"alias": engine.model}, {})
    transcriber: Loading[Transcriber] = Loading()
    transcriber.set(Transcriber(models, listen, workers, WindowRules()))
    return AsrServicer(
        transcriber,
        Device("cpu"),
        Admission("asr", places, 1),
        Admission("asr-streams", places, 1),
        ears,
        max_audio_seconds=max_seconds,
        buffer_seconds=buffer_seconds,
    )


@contextlib.contextmanager
def servicer(engine: FakeEngine, *, places: int = 4) -> Iterator[AsrServicer]:
    """Yield the same with ears of its own."""
    with ThreadPoolExecutor(2) as ears:
        yield make_servicer(engine, ears, places=places)
