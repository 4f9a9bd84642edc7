"""A recording's way without threads: stages are done here, in any order that workers might choose."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.asr.engine import Hypothesis, Prompt, Task
from services.asr.options import RecognitionOptions
from services.asr.session import Output, Session, WindowWork
from services.asr.transcript import Reason, Segment, Suppressed
from services.asr.windows import WindowRules
from services.audio.pcm import SAMPLE_RATE
from services.runtime.errors import MeshError
from tests.asr.fake_engine import FakeEngine, listen, saying, tone
from tests.asr.stages import advance

_ENGLISH = RecognitionOptions(language="en")


def _recognize(
    engine: FakeEngine,
    audio: NDArray[np.int16],
    options: RecognitionOptions = _ENGLISH,
    *,
    choose: Callable[[Sequence[WindowWork]], int] = lambda ready: 0,
    chunk: int = 40_000,
) -> tuple[Session, Output]:
    session = Session(engine, options, WindowRules())
    voice = listen()
    ready: list[WindowWork] = []
    segments: list[Segment] = []
    suppressed: list[Suppressed] = []
    done = 0.0

    def work() -> None:
        nonlocal done
        while ready:
            ready.extend(advance(session, ready.pop(choose(ready))))
            output = session.drain()
            segments.extend(output.segments)
            suppressed.extend(output.suppressed)
            assert session.done_seconds >= done
            done = session.done_seconds

    for start in range(0, len(audio), chunk):
        part = audio[start : start + chunk]
        ready += session.feed(part, voice.feed(part))
        work()
    ready += session.finish(voice.finish())
    work()
    output = session.drain()
    assert session.finished
    assert session.done_seconds == len(audio) / SAMPLE_RATE
    return session, Output((*segments, *output.segments), (*suppressed, *output.suppressed))


def _words(output: Output) -> list[str]:
    return [word.text.strip() for segment in output.segments for word in segment.words]


def test_words_have_the_times_of_the_recording() -> None:
    _, output = _recognize(FakeEngine(), tone((60, 0), (2, 9000), (30, 0), (1, 9000), (5, 0)))

    starts = [word.start for segment in output.segments for word in segment.words]
    assert [round(start, 1) for start in starts] == pytest.approx([60, 60.5, 61, 61.5, 92, 92.5], abs=0.3)


@pytest.mark.parametrize("audio", [tone(), tone((0.00007, 0)), tone((20, 0))], ids=["empty", "a sample", "silence"])
def test_without_speech_there_is_nothing_and_no_language(audio: NDArray[np.int16]) -> None:
    session, output = _recognize(FakeEngine(), audio, RecognitionOptions())

    assert output == Output()
    assert session.summary().language_probability == 0


def test_segments_come_in_order_and_times_never_run_back() -> None:
    audio = tone(*[(2.0, 9000), (0.6, 0)] * 60)

    _, output = _recognize(FakeEngine(), audio, choose=lambda ready: len(ready) - 1)

    times = [time for segment in output.segments for word in segment.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[-1] <= len(audio) / SAMPLE_RATE
    assert all(segment.start == segment.words[0].start for segment in output.segments)
    assert all(segment.end == segment.words[-1].end for segment in output.segments)


@given(st.integers(0, 2**32), st.integers(1000, 200_000))
def test_the_answer_does_not_depend_on_the_order_of_work_or_the_division_of_the_audio(seed: int, chunk: int) -> None:
    audio = tone(*[(3.0, 9000), (0.7, 0), (4.0, -9000), (2.5, 0)] * 4, (9.0, 9000))
    order = random.Random(seed)

    plain, expected = _recognize(FakeEngine(), audio, RecognitionOptions())
    mixed, output = _recognize(
        FakeEngine(), audio, RecognitionOptions(), choose=lambda ready: order.randrange(len(ready)), chunk=chunk
    )

    assert output == expected
    assert mixed.summary() == plain.summary()


def test_a_recording_of_two_languages_has_each_where_it_is_spoken() -> None:
    audio = tone((6, 9000), (0.7, 0), (6, -9000), (0.7, 0), (6, 9000), (0.7, 0), (6, -9000))

    session, output = _recognize(FakeEngine(), audio, RecognitionOptions())

    spoken = [(segment.evidence.language, segment.words[0].text.strip()[:4]) for segment in output.segments]
    assert set(spoken) == {("en", "word"), ("de", "Wort")}
    german = [segment for segment in output.segments if segment.evidence.language == "de"]
    assert all(6.4 < s.start < 13.2 or s.start > 19.4 for s in german)
    assert session.summary().language_probability == pytest.approx(0.97)


def test_a_given_language_is_kept_whatever_is_heard() -> None:
    session, output = _recognize(FakeEngine(), tone((6, -9000)))

    assert {segment.evidence.language for segment in output.segments} == {"en"}
    assert (session.summary().language, session.summary().language_probability) == ("en", 1.0)


def test_a_short_window_that_fails_is_encoded_longer_then_sampled() -> None:
    temperatures: list[float] = []

    def loop(heard: Hypothesis, prompt: Prompt, temperature: float) -> Hypothesis:
        temperatures.append(temperature)
        return heard if temperature >= 0.4 else replace(heard, text="no " * 30, compression_ratio=9.0)

    engine = FakeEngine(hypothesis=loop)
    _, output = _recognize(engine, tone((4, 9000)))

    assert temperatures == [0.0, 0.0, 0.2, 0.4]
    assert len(engine.encoded) == 2
    assert _words(output) == [f"word{number}" for number in range(8)]


def test_what_repeats_at_every_temperature_and_faster_than_speech_is_held_back() -> None:
    _, output = _recognize(
        FakeEngine(hypothesis=saying("no " * 80, compression_ratio=9.0, average_log_probability=-0.2)), tone((4, 9000))
    )

    (held,) = output.suppressed
    assert output.segments == ()
    assert held.reason is Reason.REPETITION
    assert held.text.startswith("no no")
    assert (held.start, held.end) == pytest.approx((0, 4), abs=0.1)


def test_a_guess_where_the_model_hears_nobody_is_held_back() -> None:
    doubtful = saying("Thank you.", no_speech_probability=0.9, average_log_probability=-1.5)

    _, output = _recognize(FakeEngine(hypothesis=doubtful), tone((4, 9000)))

    assert [held.reason for held in output.suppressed] == [Reason.STOCK_PHRASE]


def test_punctuation_alone_is_no_speech() -> None:
    _, output = _recognize(FakeEngine(hypothesis=saying("... .")), tone((4, 9000)))

    assert output.segments == ()
    assert [(held.text, held.reason) for held in output.suppressed] == [("... .", Reason.NO_SPEECH)]


def test_a_window_with_more_text_than_the_model_writes_is_done_in_halves() -> None:
    def cut_off(heard: Hypothesis, prompt: Prompt, temperature: float) -> Hypothesis:
        return replace(heard, complete=len(heard.tokens) < 10)

    _, output = _recognize(FakeEngine(hypothesis=cut_off), tone((4, 9000), (0.4, 0), (4, 9000)))

    assert len(_words(output)) == 16


def test_speech_without_words_is_decoded_again_and_then_on_its_own() -> None:
    prompts: list[int] = []

    def stops_early(heard: Hypothesis, prompt: Prompt, temperature: float) -> Hypothesis:
        prompts.append(len(prompt.tokens))
        words = heard.text.split()
        return replace(heard, text=" ".join(words[:4])) if len(words) > 8 else heard

    _, output = _recognize(FakeEngine(hypothesis=stops_early), tone((4, 9000), (0.4, 0), (4, 9000)))

    assert prompts[:2] == [4, 3]
    assert len(_words(output)) == 16


def test_context_and_task_reach_the_prompt() -> None:
    prompts: list[Prompt] = []

    def note(heard: Hypothesis, prompt: Prompt, temperature: float) -> Hypothesis:
        prompts.append(prompt)
        return heard

    options = RecognitionOptions("en", Task.TRANSLATE, initial_prompt="two words", hint_phrases=("one",))
    _recognize(FakeEngine(hypothesis=note), tone((3, 9000)), options)

    assert prompts[0].task is Task.TRANSLATE
    assert len(prompts[0].tokens) == 3 + 4


def test_what_the_model_cannot_do_is_refused_before_any_audio() -> None:
    with pytest.raises(MeshError) as refused:
        Session(FakeEngine(languages=("en",)), RecognitionOptions(task=Task.TRANSLATE), WindowRules())

    assert refused.value.field == "task"


def test_memory_stays_bounded_however_long_the_recording() -> None:
    session = Session(FakeEngine(), _ENGLISH, WindowRules())
    voice = listen()
    minute = tone(*[(5, 9000), (0.5, 0)] * 10, (5, 0))
    for _ in range(120):
        ready = session.feed(minute, voice.feed(minute))
        while ready:
            ready += advance(session, ready.pop(0))
        session.drain()
        held = sum(pcm.nbytes for pcm in session._pcm) + sum(work.audio.nbytes for work in session._open)
        assert held < 2 * minute.nbytes


def test_a_text_that_leaves_more_out_does_not_take_the_place_of_a_better_one() -> None:
    def worse_with_timestamps(heard: Hypothesis, prompt: Prompt, temperature: float) -> Hypothesis:
        words = heard.text.split()
        return replace(heard, text=" ".join(words[: 12 if len(prompt.tokens) == 4 else 2]))

    _, output = _recognize(FakeEngine(hypothesis=worse_with_timestamps), tone((10, 9000)))

    assert len(_words(output)) == 12


@pytest.mark.parametrize("text", ["", "..."])
def test_speech_without_any_text_is_decoded_again(text: str) -> None:
    def silent_at_first(heard: Hypothesis, prompt: Prompt, temperature: float) -> Hypothesis:
        return replace(heard, text=text) if len(prompt.tokens) == 4 else heard

    _, output = _recognize(FakeEngine(hypothesis=silent_at_first), tone((4, 9000)))

    assert len(_words(output)) == 8


def test_sparse_speech_gets_its_language_before_the_recording_ends() -> None:
    session = Session(FakeEngine(), RecognitionOptions(), WindowRules())
    voice = listen()
    words: list[str] = []
    for _ in range(3):
        for pcm in (tone((1.0, -9000)), tone((59, 0))):
            ready = session.feed(pcm, voice.feed(pcm))
            while ready:
                ready += advance(session, ready.pop(0))
            words += _words(session.drain())

    assert session.received_seconds - session.done_seconds < 60
    assert words[0] == "Wort0"


def test_what_is_held_back_counts_for_no_language() -> None:
    doubtful = saying("Thank you.", no_speech_probability=0.9, average_log_probability=-1.5)

    session, _ = _recognize(FakeEngine(hypothesis=doubtful), tone((4, 9000)), RecognitionOptions())

    assert session.summary().language_probability == 0


def test_a_translation_is_not_judged_by_where_its_words_stand() -> None:
    audio = tone((3, 9000), (0.4, 0), (3, 9000))
    options = RecognitionOptions("en", Task.TRANSLATE)
    engine = FakeEngine(hypothesis=lambda heard, prompt, temperature: replace(heard, text="one two"))

    _, output = _recognize(engine, audio, options)

    assert _words(output) == ["one", "two"]
    assert engine.batches == [1]
