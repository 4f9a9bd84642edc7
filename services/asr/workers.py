"""The threads that compute: each asks the scheduler what to do, does it, and tells the recording it belongs to.

One lock guards the scheduler and every session; nothing is computed while it is held.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from services.asr.engine import Engine, Hypothesis
from services.asr.fallback import best
from services.asr.live import AnySession, LiveSession
from services.asr.scheduler import Batch, Job, Lane, Request, Scheduler, Stage
from services.asr.session import Output, Session, WindowWork
from services.asr.vad import VoiceActivity
from services.runtime import metrics
from services.runtime.errors import Fault, MeshError
from services.runtime.logs import get_logger
from services.runtime.pace import Pace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHORT_SECONDS = 60.0
"""A recording of which more has come is long."""

LONGEST_LIVE_WAIT_SECONDS = 3.0
"""Work that may wait before what becomes final in live streams; when it is more, no new stream is taken."""


@dataclass(frozen=True)
class Listener:
    """Where a transcription reports to; called from the workers' threads, quickly and never two at once."""

    output: Callable[[Output], None]
    """Takes what is new: what has become final, in order of time, and of a stream the rest."""
    progress: Callable[[float, float | None], None]
    """Takes the seconds of the recording that are done with, which never go back, and how many there are in all,
    once that is known."""
    ended: Callable[[BaseException | None], None]
    """Takes the end: None when all is given out, otherwise what went wrong. Called once; not after a cancellation."""


class Transcription:
    """One recording or stream while it is transcribed. `feed`, `flush` and `finish` are for one thread, `cancel` for
    any.
    """

    def __init__(
        self,
        workers: Workers,
        session: AnySession,
        request: Request,
        interims: Request | None,
        voice: VoiceActivity,
        listener: Listener,
    ) -> None:
        self._workers = workers
        self.session = session
        self.request = request
        self.interims = interims
        self._voice = voice
        self.listener = listener
        self.over = False

    def feed(self, pcm: NDArray[np.int16]) -> None:
        """Take the next samples (shape (n,), 16 kHz mono). Blocks for as long as voice activity detection takes."""
        frames = self._voice.feed(pcm)
        self._workers.advance(self, lambda: self.session.feed(pcm, frames))

    def flush(self) -> None:
        """Take that what was said so far is complete; for streams only."""
        assert isinstance(self.session, LiveSession)
        self._workers.advance(self, self.session.flush)

    def finish(self) -> None:
        """Take that the recording is over."""
        frames = self._voice.finish()
        self._workers.advance(self, lambda: self.session.finish(frames))

    def cancel(self) -> None:
        """Forget it: what waits leaves the queue at once, what is being computed is thrown away."""
        self._workers.drop(self)


Payload = tuple[Transcription, WindowWork]

Result = Callable[[], list[WindowWork]]
"""Tells a session what was computed for one of its windows; returns the windows that became ready by it."""


class Workers:
    """The threads of one device, and the queue before them.

    Args:
        count: how many threads.
        scheduler: the queue.
        waiting_limit: seconds of audio that may wait in the lanes before the long one; more is refused.
        clock: tells the time in seconds; deadlines are on it.
    """

    def __init__(
        self,
        count: int,
        scheduler: Scheduler[Payload],
        waiting_limit: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scheduler = scheduler
        self._waiting_limit = waiting_limit
        self._clock = clock
        self._changed = threading.Condition()
        self._stopped = False
        self._pace = Pace(count)
        self._threads = [
            threading.Thread(target=self._work, name=f"asr-worker-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads, each after what it is doing."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def expected_wait_seconds(self) -> float:
        """Return when one of the requests that are under way should be done, judged by the pace so far."""
        with self._changed:
            waiting = sum(self._scheduler.waiting_seconds(lane) for lane in Lane)
            return self._pace.seconds_for(waiting) / max(1, self._scheduler.waiting_requests())

    def open(
        self, session: Session, voice: VoiceActivity, listener: Listener, *, caller: str, seconds_left: float
    ) -> Transcription:
        """Begin a transcription.

        Args:
            session: its state.
            voice: listens to it.
            listener: where it reports to.
            caller: who asks; the requests of one caller share his turns.
            seconds_left: when he stops waiting.

        Raises:
            MeshError: OVERLOADED; too much audio waits already, or more than can be done in the time that is left.
        """
        deadline = self._clock() + seconds_left
        self._admit(deadline)
        request = Request(caller, Lane.SHORT, deadline)
        return Transcription(self, session, request, None, voice, listener)

    def open_stream(
        self, session: LiveSession, voice: VoiceActivity, listener: Listener, *, caller: str, goes_on: bool = False
    ) -> Transcription:
        """Begin a live stream.

        Args:
            session: its state.
            voice: listens to it.
            listener: where it reports to.
            caller: who asks; the streams of one caller share his turns.
            goes_on: whether it is one that broke off elsewhere; it is taken in any case.

        Raises:
            MeshError: OVERLOADED; the streams that there are come too late already.
        """
        if not goes_on:
            self._admit_stream()
        request, interims = Request(caller, Lane.LIVE), Request(caller, Lane.INTERIM)
        return Transcription(self, session, request, interims, voice, listener)

    def advance(self, transcription: Transcription, step: Callable[[], Sequence[WindowWork]]) -> None:
        """Let a transcription take a step and queue what became ready."""
        with self._changed:
            if transcription.over:
                return
            works = step()
            if transcription.interims is not None and not all(work.interim for work in works):
                # An utterance is complete; nobody waits any more for what it was so far.
                self._scheduler.cancel(transcription.interims)
            self._queue(transcription, works)
            request = transcription.request
            if request.lane is Lane.SHORT and transcription.session.received_seconds > SHORT_SECONDS:
                self._scheduler.move(request, Lane.LONG)
            self._report(transcription)
            if works:
                self._changed.notify_all()

    def drop(self, transcription: Transcription) -> None:
        """Take a transcription out of the queue."""
        with self._changed:
            transcription.over = True
            self._cancel(transcription)
            self._measure_queue()

    def _admit(self, deadline: float) -> None:
        with self._changed:
            waiting, wait = self._waiting(), self._expected_wait()
        late = self._clock() + wait > deadline
        if waiting < self._waiting_limit and not late:
            return
        metrics.QUEUE_REFUSED.labels("asr").inc()
        message = "What is waiting takes longer than this request has time" if late else "Too much audio is waiting"
        raise MeshError(
            Fault.OVERLOADED,
            f"{message} ({waiting:.0f} seconds of audio, about {wait:.0f} seconds of work); try again later.",
            code="queue_full",
            retry_after_seconds=max(1.0, wait),
        )

    def _admit_stream(self) -> None:
        with self._changed:
            late = self._pace.seconds_for(self._scheduler.waiting_seconds(Lane.LIVE))
        if late <= LONGEST_LIVE_WAIT_SECONDS:
            return
        metrics.QUEUE_REFUSED.labels("asr-streams").inc()
        raise MeshError(
            Fault.OVERLOADED,
            f"What is said in live streams waits for about {late:.0f} seconds already; try again later.",
            code="queue_full",
            retry_after_seconds=max(1.0, late),
        )

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            self._do(batch)
            # Nothing of a recording is kept alive while there is nothing to do.
            del batch

    def _do(self, batch: Batch[Payload]) -> None:
        began = self._clock()
        outcomes = _outcomes(batch)
        seconds = self._clock() - began
        with self._changed:
            self._scheduler.finish(batch)
            self._measure(batch, seconds)
            for job, outcome in zip(batch.jobs, outcomes, strict=True):
                self._take(job, outcome)
            self._changed.notify_all()

    def _next(self) -> Batch[Payload] | None:
        with self._changed:
            while not self._stopped:
                for request in self._scheduler.expired(self._clock()):
                    self._expire(request)
                batch = self._scheduler.take()
                if batch is not None:
                    for job in batch.jobs:
                        job.payload[1].started = True
                    self._measure_queue()
                    return batch
                self._changed.wait()
            return None

    def _take(self, job: Job[Payload], outcome: Result | Exception) -> None:
        transcription, work = job.payload
        if transcription.over:
            return
        if work.interim and isinstance(outcome, Exception):
            assert isinstance(transcription.session, LiveSession)
            transcription.session.drop(work)
            return
        try:
            if isinstance(outcome, Exception):
                raise outcome
            self._queue(transcription, outcome())
            self._report(transcription)
        except Exception as caught:  # noqa: BLE001 - it ends this request; the thread goes on with the others
            if caught is not outcome:
                get_logger().exception("session_failed", stage=job.stage.name)
            self._end(transcription, caught)

    def _queue(self, transcription: Transcription, works: Sequence[WindowWork]) -> None:
        if not works:
            return
        now = self._clock()
        for work in works:
            if work.again is not None:
                metrics.ASR_RETRIES.labels(work.again).inc()
                work.again = None
            request, since = transcription.request, now
            if work.interim:
                assert transcription.interims is not None
                request = transcription.interims
                # The latest audio counts; what has not been begun is not worth it any more, but keeps its place.
                since = min([now, *(job.since for job in self._scheduler.cancel(request))])
            self._scheduler.add(
                Job(
                    request,
                    work.stage,
                    work.index,
                    work.seconds,
                    (id(transcription.session.engine), *work.batch_key),
                    (transcription, work),
                    since,
                    # Sampling takes longer than all usual stages together.
                    extra=work.stage is Stage.DECODE and work.attempt.temperature > 0,
                )
            )
        self._measure_queue()

    def _report(self, transcription: Transcription) -> None:
        session = transcription.session
        output = session.drain()
        for suppressed in output.suppressed:
            metrics.ASR_SUPPRESSED.labels(suppressed.reason.value).inc()
        if output:
            transcription.listener.output(output)
        transcription.listener.progress(session.done_seconds, session.total_seconds)
        if session.finished:
            self._end(transcription, None)

    def _end(self, transcription: Transcription, error: BaseException | None) -> None:
        transcription.over = True
        self._cancel(transcription)
        try:
            transcription.listener.ended(error)
        except Exception:  # noqa: BLE001 - nobody listens any more
            get_logger().exception("listener_failed")

    def _cancel(self, transcription: Transcription) -> None:
        self._scheduler.cancel(transcription.request)
        if transcription.interims is not None:
            self._scheduler.cancel(transcription.interims)

    def _expire(self, request: Request) -> None:
        jobs = self._scheduler.cancel(request)
        transcription, _ = jobs[0].payload
        self._end(transcription, MeshError(Fault.TOO_SLOW, "The deadline has passed while the recording waited."))

    def _waiting(self) -> float:
        return sum(self._scheduler.waiting_seconds(lane) for lane in Lane if lane is not Lane.LONG)

    def _expected_wait(self) -> float:
        # Callers take turns: however much one of them has waiting, a newcomer waits for no more than his own length
        # of each.
        urgent = (lane for lane in Lane if lane is not Lane.LONG)
        before = sum(self._scheduler.waiting_for_each(lane, SHORT_SECONDS) for lane in urgent)
        return self._pace.seconds_for(before)

    def _measure_queue(self) -> None:
        for lane in Lane:
            metrics.ASR_QUEUE_WINDOWS.labels(lane.name.lower()).set(self._scheduler.depth(lane))
        metrics.ASR_EXPECTED_WAIT_SECONDS.set(self._expected_wait())

    def _measure(self, batch: Batch[Payload], seconds: float) -> None:
        stage = batch.stage.name.lower()
        audio = sum(job.seconds for job in batch.jobs)
        # Interims take other time for the same audio, and take it again and again.
        if not batch.jobs[0].payload[1].interim:
            self._pace.observe(audio if batch.stage is Stage.ENCODE else 0.0, seconds)
        metrics.BUSY_SECONDS.labels("asr").inc(seconds)
        metrics.ASR_BATCH_SECONDS.labels(stage).observe(seconds)
        metrics.ASR_BATCH_WINDOWS.labels(stage).observe(len(batch.jobs))
        metrics.ASR_BATCH_FILL.labels(stage).observe(len(batch.jobs) / self._scheduler.limit(batch.stage))
        metrics.ASR_REAL_TIME_FACTOR.set(self._pace.real_time_factor)
        if batch.stage is Stage.ENCODE:
            began = self._clock() - seconds
            for job in batch.jobs:
                metrics.QUEUE_WAIT_SECONDS.labels("asr").observe(began - job.since)
                metrics.ASR_ENCODED_SECONDS.inc(job.payload[1].attempt.seconds)
                metrics.ASR_PADDING_SECONDS.inc(max(0.0, job.payload[1].attempt.seconds - job.seconds))


def _outcomes(batch: Batch[Payload]) -> list[Result | Exception]:
    """Compute a batch; return for each window what its session is to take, or what went wrong with it."""
    try:
        return list(_compute(batch))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is these requests' and nobody else's
        get_logger().exception("batch_failed", stage=batch.stage.name, windows=len(batch.jobs))
        if len(batch.jobs) == 1:
            return [error]
    # One bad window, or too little memory for all at once: that is not the others' fault.
    return [outcome for job in batch.jobs for outcome in _outcomes(Batch(batch.stage, (job,)))]


def _compute(batch: Batch[Payload]) -> list[Result]:
    """Compute a batch; return for each window what its session is to take."""
    if batch.stage is Stage.ENCODE:
        return _encode(batch.jobs)
    if batch.stage is Stage.DECODE:
        return _decode(batch.jobs)
    return [_align(job) for job in batch.jobs]


def _encode(jobs: Sequence[Job[Payload]]) -> list[Result]:
    works = [job.payload[1] for job in jobs]
    engine = jobs[0].payload[0].session.engine
    encodings = engine.encode([work.audio for work in works], works[0].attempt.seconds)
    results: list[Result] = []
    for job, encoding in zip(jobs, encodings, strict=True):
        transcription, work = job.payload
        heard = transcription.session.hear_language(work, encoding)
        results.append(partial(transcription.session.encoded, work, encoding, heard))
    return results


def _decode(jobs: Sequence[Job[Payload]]) -> list[Result]:
    works = [job.payload[1] for job in jobs]
    session = jobs[0].payload[0].session
    if works[0].attempt.temperature:
        hypotheses = [_sample(session.engine, work) for work in works]
    else:
        prompts = [work.prompt for work in works if work.prompt is not None]
        hypotheses = session.engine.decode([work.encoding for work in works], prompts, works[0].beam_size)
    return [
        partial(job.payload[0].session.decoded, job.payload[1], hypothesis)
        for job, hypothesis in zip(jobs, hypotheses, strict=True)
    ]


def _sample(engine: Engine, work: WindowWork) -> Hypothesis:
    assert work.prompt is not None
    return engine.sample(work.encoding, work.prompt, work.attempt.temperature)


def _align(job: Job[Payload]) -> Result:
    transcription, work = job.payload
    session = transcription.session
    assert work.prompt is not None
    words = session.engine.align(work.encoding, work.seconds, work.prompt, best(work.trials).hypothesis)
    return partial(session.aligned, work, words)
