"""A live stream without threads: stages are done here, in any order and at any time that workers might choose."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.asr.live import LIVE_RULES, Interim, LiveEvent, LiveSession, Position, SpeechBegan, SpeechEnded
from services.asr.options import RecognitionOptions
from services.asr.resume import from_token, to_token
from services.asr.session import WindowWork
from services.asr.transcript import Segment
from services.audio.pcm import SAMPLE_RATE
from services.runtime.errors import MeshError
from tests.asr.fake_engine import FakeEngine, listen, saying, tone
from tests.asr.stages import advance

ENGLISH = RecognitionOptions(language="en")
TALK = tone((1, 0), (2.2, 9000), (0.9, 0), (4.1, 9000), (0.4, 0), (7.3, 9000), (2, 0), (25, 9000), (11, 0), (1.5, 9000))


@dataclass
class Told:
    """All that a stream told."""

    segments: list[Segment] = field(default_factory=list)
    events: list[LiveEvent] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments)

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]


class Computer:
    """Does what a session asks for: `speed` stages after every chunk, in a random order; what is left, at the end."""

    def __init__(self, session: LiveSession, speed: int = 1000, seed: int = 0) -> None:
        self.session = session
        self.told = Told()
        self._ready: list[WindowWork] = []
        self._random = random.Random(seed)
        self._speed = speed

    def add(self, works: Sequence[WindowWork]) -> None:
        for work in works:
            if work.interim:
                self._ready = [other for other in self._ready if not other.interim]
            self._ready.append(work)

    def work(self, stages: int | None = None) -> None:
        left = self._speed if stages is None else stages
        while self._ready and left:
            left -= 1
            work = self._ready.pop(self._random.randrange(len(self._ready)))
            work.started = True
            self.add(advance(self.session, work))
            self.drain()
        self.drain()

    def drain(self) -> None:
        output = self.session.drain()
        self.told.segments += output.segments
        self.told.events += output.events


def captions(
    audio: NDArray[np.int16],
    *,
    chunk: int = 4096,
    options: RecognitionOptions = ENGLISH,
    engine: FakeEngine | None = None,
    speed: int = 1000,
    seed: int = 0,
    interims: bool = True,
) -> Told:
    voice = listen()
    session = LiveSession(engine or FakeEngine(), options, interims=interims, voice=lambda: voice.state)
    computer = Computer(session, speed, seed)
    for start in range(0, len(audio), chunk):
        part = audio[start : start + chunk]
        computer.add(session.feed(part, voice.feed(part)))
        computer.work()
    computer.add(session.finish(voice.finish()))
    computer.work(100_000)
    assert session.finished
    return computer.told


def test_a_pause_makes_an_utterance_final() -> None:
    told = captions(tone((1, 0), (2, 9000), (1, 0), (2, 9000), (0.2, 0)))

    assert [(round(s.start), round(s.end)) for s in told.segments] == [(1, 3), (4, 6)]


def test_it_is_final_soon_after_the_pause_has_begun() -> None:
    audio = tone((1, 0), (2, 9000), (5, 0))
    voice = listen()
    session = LiveSession(FakeEngine(), ENGLISH)
    computer = Computer(session)
    for start in range(0, len(audio), 800):
        part = audio[start : start + 800]
        computer.add(session.feed(part, voice.feed(part)))
        computer.work()
        if computer.told.segments:
            break

    assert 3.5 < session.received_seconds < 3.8


@pytest.mark.parametrize("pause", [0.2, 0.5])
def test_a_short_pause_ends_a_long_utterance_only(pause: float) -> None:
    short = captions(tone((2, 9000), (pause, 0), (2, 9000), (1, 0)))
    long = captions(tone((9.5, 9000), (pause + 0.1, 0), (4, 9000), (1, 0)))

    assert len(short.of(SpeechEnded)) == 1
    assert len(long.of(SpeechEnded)) == 2


def test_speech_without_a_pause_is_cut_before_it_gets_too_long() -> None:
    told = captions(tone((40, 9000), (1, 0)))

    ends = [event.at for event in told.of(SpeechEnded)]
    assert all(after - before <= LIVE_RULES.longest + 0.1 for before, after in zip([0.0, *ends], ends, strict=False))
    assert len(told.text.split()) >= 70


@settings(max_examples=30)
@given(st.integers(100, 70_000), st.integers(0, 6), st.integers(0, 1000), st.booleans())
def test_finals_depend_on_the_audio_alone(chunk: int, speed: int, seed: int, interims: bool) -> None:
    assert captions(TALK, chunk=chunk, speed=speed, seed=seed, interims=interims).segments == UNDISTURBED.segments


@settings(max_examples=20)
@given(st.lists(st.tuples(st.floats(0.3, 14), st.sampled_from([0, 9000, -9000])), max_size=8), st.integers(200, 30_000))
def test_finals_never_overlap_nor_run_back_whatever_is_heard(stretches: list[tuple[float, float]], chunk: int) -> None:
    audio = tone(*stretches)
    told = captions(audio, chunk=chunk, options=RecognitionOptions())

    times = [moment for segment in told.segments for moment in (segment.start, segment.end)]
    assert times == sorted(times)
    assert all(0 <= moment <= len(audio) / SAMPLE_RATE for moment in times)


def test_the_tail_is_shown_while_it_is_spoken_and_gone_when_it_is_final() -> None:
    told = captions(tone((1, 0), (4, 9000), (2, 0)))

    texts = [interim.text for interim in told.of(Interim)]
    assert len(texts) >= 4
    assert texts[-1] == ""
    assert all(told.segments[0].text.startswith(text) for text in texts)
    assert [len(text) for text in texts[:-1]] == sorted(len(text) for text in texts[:-1])


def test_without_interims_none_is_computed() -> None:
    engine = FakeEngine()

    told = captions(tone((1, 0), (4, 9000), (2, 0)), engine=engine, interims=False)

    assert not told.of(Interim)
    assert len(engine.batches) == 1


def test_a_slow_machine_shows_fewer_interims_and_loses_no_words() -> None:
    slow, fast = captions(TALK, speed=1), captions(TALK)

    assert len(slow.of(Interim)) < len(fast.of(Interim))
    assert slow.text == fast.text


def test_of_what_waits_only_the_latest_interim_is_computed() -> None:
    voice = listen()
    session = LiveSession(FakeEngine(), ENGLISH)
    audio = tone((5, 9000))
    waiting = [
        work
        for start in range(0, len(audio), 4096)
        for work in session.feed(audio[start : start + 4096], voice.feed(audio[start : start + 4096]))
    ]

    assert len(waiting) > 3
    assert advance(session, waiting[-1])
    assert advance(session, waiting[0]) == []


def test_while_one_is_computed_no_other_is_asked_for() -> None:
    voice = listen()
    session = LiveSession(FakeEngine(), ENGLISH)
    (work,) = session.feed(tone((2, 9000)), voice.feed(tone((2, 9000))))
    work.started = True

    assert session.feed(tone((2, 9000)), voice.feed(tone((2, 9000)))) == []


def test_an_interim_that_looks_invented_is_not_shown() -> None:
    told = captions(tone((4, 9000), (2, 0)), engine=FakeEngine(hypothesis=saying("Thanks for watching!")))

    assert not told.of(Interim)


@pytest.mark.parametrize("audio", [tone(), tone((70, 0))], ids=["empty", "silence"])
def test_silence_shows_nothing_and_computes_nothing(audio: NDArray[np.int16]) -> None:
    engine = FakeEngine()

    told = captions(audio, engine=engine)

    assert not told.segments
    assert not told.of(Interim)
    assert not engine.encoded


def test_where_speech_is_cut_nothing_is_shown_twice() -> None:
    told = captions(tone((25, 9000), (2, 0)), speed=2)

    # No more words than half seconds, whatever was cut and is not final yet.
    assert len(told.of(Interim)) > 10
    assert all(len(interim.text.split()) <= 2 * (interim.end - interim.start) + 1 for interim in told.of(Interim))


def test_parts_of_a_window_become_final_together() -> None:
    # Every window is parted once; positions lie between windows, never between their parts.
    engine = FakeEngine(hypothesis=lambda heard, prompt, temperature: replace(heard, complete=len(heard.text) < 30))
    told = captions(TALK, engine=engine, speed=3, seed=5)

    for position in told.of(Position):
        rest = continued(TALK, position, ENGLISH, 4096, engine)
        given = len(told.segments) - len(rest.segments)
        assert told.segments[given:] == rest.segments


def test_speech_begins_and_ends_in_turn() -> None:
    told = captions(TALK)

    kinds = [type(event) for event in told.events if isinstance(event, SpeechBegan | SpeechEnded)]
    assert kinds == [SpeechBegan, SpeechEnded] * (len(kinds) // 2)
    assert len(kinds) >= 10


def test_flush_makes_final_what_was_said_so_far() -> None:
    voice = listen()
    session = LiveSession(FakeEngine(), ENGLISH)
    computer = Computer(session)
    audio = tone((3.1, 9000))
    computer.add(session.feed(audio, voice.feed(audio)))
    computer.add(session.flush())
    computer.work()

    assert [round(segment.end) for segment in computer.told.segments] == [3]
    assert session.flush() == []
    assert not session.finished


def test_a_language_is_reported_from_the_first_utterance_on_and_does_not_flicker() -> None:
    told = captions(tone(*[(1.5, -9000), (1, 0)] * 8), options=RecognitionOptions())

    assert {segment.evidence.language for segment in told.segments} == {"de"}
    assert {interim.language for interim in told.of(Interim) if interim.text} == {"de"}


def test_a_language_may_change_for_good_reason() -> None:
    told = captions(tone(*[(3, 9000), (1, 0)] * 4, *[(4, -9000), (1, 0)] * 4), options=RecognitionOptions())

    assert [segment.evidence.language for segment in told.segments] == ["en"] * 4 + ["de"] * 4


def continued(
    audio: NDArray[np.int16],
    position: Position,
    options: RecognitionOptions,
    chunk: int,
    engine: FakeEngine | None = None,
) -> Told:
    """Go on with a stream at a position in another process, with what it needs of the audio."""
    point = from_token(to_token(position.point))
    voice = listen(point.voice, point.known_samples)
    session = LiveSession(engine or FakeEngine(), options, voice=lambda: voice.state, point=point)
    computer = Computer(session)
    first = round(position.seconds * SAMPLE_RATE)
    for start in range(first, len(audio), chunk):
        part = audio[start : start + chunk]
        computer.add(session.feed(part, voice.feed(part)))
        computer.work()
    computer.add(session.finish(voice.finish()))
    computer.work(100_000)
    return computer.told


@pytest.mark.parametrize("options", [ENGLISH, RecognitionOptions()], ids=["given", "detected"])
@pytest.mark.parametrize("chunk", [1000, 4096, 50_000])
def test_from_every_position_a_stream_goes_on_with_the_same_words(options: RecognitionOptions, chunk: int) -> None:
    undisturbed = captions(TALK, options=options, chunk=chunk)

    positions = undisturbed.of(Position)
    assert len(positions) >= 5
    for position in positions:
        rest = continued(TALK, position, options, 4096)
        given = len(undisturbed.segments) - len(rest.segments)
        assert undisturbed.segments[given:] == rest.segments
        assert all(segment.start >= position.seconds for segment in rest.segments)
        # Nothing is lost in between: what was given out before lies before what is sent again.
        assert all(segment.end <= position.seconds + 1.0 for segment in undisturbed.segments[:given])


def test_a_stream_that_goes_on_within_speech_waits_for_its_audio() -> None:
    undisturbed = captions(tone((30, 9000), (1, 0)))
    position = next(p for p in undisturbed.of(Position) if p.point.known_samples > 3 * SAMPLE_RATE)
    voice = listen(position.point.voice, position.point.known_samples)
    session = LiveSession(FakeEngine(), ENGLISH, voice=lambda: voice.state, point=position.point)
    part = tone((1, 9000))

    assert session.flush() == []
    assert session.feed(part, voice.feed(part)) == []
    assert session.drain().events == ()
    with pytest.raises(MeshError, match="missing"):
        session.finish(voice.finish())


def test_the_languages_of_a_stream_go_on_only_where_they_were_detected() -> None:
    position = captions(TALK).of(Position)[-1]

    with pytest.raises(MeshError, match="language was given"):
        LiveSession(FakeEngine(), RecognitionOptions(), point=position.point)


def test_an_interim_that_failed_is_followed_by_another() -> None:
    voice = listen()
    session = LiveSession(FakeEngine(), ENGLISH)
    audio = tone((2, 9000))
    (work,) = session.feed(audio, voice.feed(audio))
    work.started = True
    session.drop(work)

    assert len(session.feed(audio, voice.feed(audio))) == 1


def test_positions_come_in_silence_too_so_that_little_is_kept() -> None:
    told = captions(tone((65, 0)))

    seconds = [position.seconds for position in told.of(Position)]
    assert len(seconds) >= 5
    assert seconds == sorted(seconds)
    assert seconds[-1] > 50


UNDISTURBED = captions(TALK)
