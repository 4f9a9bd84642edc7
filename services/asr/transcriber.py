"""Transcribing: the loaded models, the workers that they share, and the recordings that are under way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from services.asr.engine import Task
from services.asr.live import LiveSession, ResumePoint
from services.asr.models import Models
from services.asr.options import DEFAULT_BEAM, RecognitionOptions
from services.asr.session import Session
from services.asr.vad import VoiceActivity
from services.asr.windows import ENCODED_SECONDS, WindowRules
from services.asr.workers import Listener, Transcription, Workers
from services.audio.pcm import SAMPLE_RATE
from services.runtime.callers import turns_of
from services.runtime.errors import invalid_field

_WARM_UP_SECONDS = 2


class Transcriber:
    """Opens transcriptions.

    Args:
        models: the loaded models.
        listen: returns what finds the speech in one recording; takes what `VoiceActivity` takes to go on with one.
        workers: compute.
        rules: where windows are cut.
    """

    def __init__(
        self, models: Models, listen: Callable[..., VoiceActivity], workers: Workers, rules: WindowRules
    ) -> None:
        self.models = models
        self._listen = listen
        self._workers = workers
        self._rules = rules

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
            caller=turns_of(caller),
            seconds_left=seconds_left,
        )

    def open_stream(
        self,
        model: str,
        options: RecognitionOptions,
        listener: Listener,
        *,
        caller: str,
        interims: bool,
        point: ResumePoint | None,
    ) -> Transcription:
        """Begin a live stream.

        Args:
            model: id or alias; empty for the default.
            options: how to recognize it.
            listener: where it reports to.
            caller: who asks; empty for one whom nothing connects with other requests.
            interims: whether texts are wanted before they are final.
            point: where another stream broke off, to go on from there; the first sample to come is the one that
                it needs.

        Raises:
            MeshError: NOT_FOUND for an unknown model, INVALID for options that it does not have, or for a point
                of another model or configuration, OVERLOADED when the streams that there are come too late already.
        """
        engine = self.models.find(model)
        if point is None:
            voice = self._listen()
        elif point.model == engine.model:
            voice = self._listen(point.voice, point.known_samples)
        else:
            raise invalid_field("resume_token", f"The resume token is of a stream with {point.model[:64]!r}.")
        session = LiveSession(engine, options, interims=interims, voice=lambda: voice.state, point=point)
        return self._workers.open_stream(session, voice, listener, caller=turns_of(caller), goes_on=point is not None)

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
