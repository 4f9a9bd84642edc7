import math

import numpy as np
import pytest

from services.asr.models import Models
from services.asr.options import RecognitionOptions
from services.asr.scheduler import BatchLimits, Scheduler
from services.asr.transcriber import Transcriber
from services.asr.windows import WindowRules
from services.asr.workers import Listener, Workers
from services.runtime.errors import Fault, MeshError
from tests.asr.conftest import Transcribe
from tests.asr.fake_engine import FakeEngine, listen, saying, tone

_NOBODY = Listener(lambda output: None, lambda done, total: None, lambda error: None)


def _transcriber(engine: FakeEngine) -> Transcriber:
    workers = Workers(1, Scheduler(1, BatchLimits(1, 4, 1)), waiting_limit=100)
    return Transcriber(Models({"fake": engine}, {"other": "fake"}, {}), listen, workers, WindowRules())


def test_many_recordings_at_once_are_each_themselves(transcribe: Transcribe) -> None:
    recordings = [tone(*[(4.0, 9000), (1.0, 0)] * count) for count in (1, 2, 3, 14)]

    heard = transcribe(FakeEngine(), listen, *recordings)

    assert [len(one.words) for one in heard] == [8, 16, 24, 112]


@pytest.mark.parametrize("model", ["", "fake", "other"])
def test_a_model_is_found_by_its_names(model: str) -> None:
    transcription = _transcriber(FakeEngine()).open(
        model, RecognitionOptions(), _NOBODY, caller="", seconds_left=math.inf
    )

    assert transcription.session.engine.model == "fake"


def test_an_unknown_model_is_not_found() -> None:
    with pytest.raises(MeshError) as refused:
        _transcriber(FakeEngine()).open("huge", RecognitionOptions(), _NOBODY, caller="", seconds_left=math.inf)

    assert refused.value.fault is Fault.NOT_FOUND


def test_requests_without_a_caller_are_callers_of_their_own() -> None:
    transcriber = _transcriber(FakeEngine())

    def caller(name: str) -> str:
        opened = transcriber.open("", RecognitionOptions(), _NOBODY, caller=name, seconds_left=math.inf)
        return opened.request.caller

    assert caller("somebody") == caller("somebody")
    assert len({caller(""), caller(""), caller("somebody"), caller("request 0")}) == 4


def test_a_warm_up_runs_every_stage_of_every_model() -> None:
    engine = FakeEngine()

    _transcriber(engine).warm_up()

    assert engine.encoded
    assert engine.batches


def test_a_model_that_cannot_compute_fails_in_the_warm_up() -> None:
    engine = FakeEngine()
    engine.encode = lambda audio, seconds: 1 / 0  # type: ignore[assignment]

    with pytest.raises(ZeroDivisionError):
        _transcriber(engine).warm_up()


def test_an_empty_answer_of_the_decoder_gives_nothing(transcribe: Transcribe) -> None:
    (heard,) = transcribe(FakeEngine(hypothesis=saying("")), listen, np.full(64_000, 9000, np.int16))

    assert heard.segments == ()
    assert heard.suppressed == ()
