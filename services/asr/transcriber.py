"""Transcribing: the loaded models, the workers that they share, and the recordings that are under way."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from services.asr.engine import Task
from services.asr.models import Models
from services.asr.options import DEFAULT_BEAM, RecognitionOptions
from services.asr.session import Session
from services.asr.vad import VoiceActivity
from services.asr.windows import ENCODED_SECONDS, WindowRules
from services.asr.workers import Listener, Transcription, Workers
from services.audio.pcm import SAMPLE_RATE

_WARM_UP_SECONDS = 2


class Transcriber:
    """Opens transcriptions.

    Args:
        models: the loaded models.
        listen: returns what finds the speech in one recording.
        workers: compute.
        rules: where windows are cut.
    """

    def __init__(
        self, models: Models, listen: Callable[[], VoiceActivity], workers: Workers, rules: WindowRules
    ) -> None:
        self.models = models
        self._listen = listen
        self._workers = workers
        self._rules = rules
        self._numbers = itertools.count()

    def open(
        self, model: str, options: RecognitionOptions, listener: Listener, *, caller: str, seconds_left: float
    ) -> Transcription:
        """Begin a transcription.

        Args:
            model: id or alias; empty for the default.
            options: how to recognize it.
            listener: where it reports to.
            caller: who asks; empty for one whom nothing connects with other requests.
            seconds_left: when he stops waiting.

        Raises:
            MeshError: NOT_FOUND for an unknown model, INVALID for options that it does not have, OVERLOADED when
                it would have to wait too long.
        """
        session = Session(self.models.find(model), options, self._rules)
        return self._workers.open(
            session,
            self._listen(),
            listener,
            # No caller's own name begins like this: those of others begin with "caller".
            caller=f"caller {caller}" if caller else f"request {next(self._numbers)}",
            seconds_left=seconds_left,
        )

    def expected_wait_seconds(self) -> float:
        """Return how long what waits will take."""
        return self._workers.expected_wait_seconds()

    def warm_up(self) -> None:
        """Run every stage of every model once, so that no caller pays for what libraries set up at first use.

        Raises:
            Exception: what went wrong.
        """
        noise = np.random.default_rng(0).normal(0, 3000, _WARM_UP_SECONDS * SAMPLE_RATE).astype(np.int16)
        self._listen().feed(noise)
        for engine in self.models.engines.values():
            (encoding,) = engine.encode([noise], ENCODED_SECONDS[0])
            engine.detect_language(encoding, 0.0, _WARM_UP_SECONDS)
            prompt = engine.prompt(engine.languages[0], Task.TRANSCRIBE, (), timestamps=False)
            (hypothesis,) = engine.decode([encoding], [prompt], DEFAULT_BEAM)
            engine.align(encoding, _WARM_UP_SECONDS, prompt, hypothesis)
