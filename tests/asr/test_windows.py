import pickle
from collections.abc import Iterable, Sequence
from itertools import chain, cycle, islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.asr.windows import (
    ENCODED_SECONDS,
    FRAME_SAMPLES,
    Frame,
    Window,
    Windower,
    WindowRules,
    cut_before,
    fitting_seconds,
    split,
    utterances,
)

SECOND = 16_000
FRAME_SECONDS = FRAME_SAMPLES / SECOND

# Short, so that a few seconds of frames hold every case; margins that meet in some pauses.
SMALL = WindowRules(longest_pause=1.0, longest=3.0, margin=0.3)
WIDE = WindowRules(longest_pause=1.0, longest=3.0, margin=0.8)


def silence(seconds: float) -> list[Frame]:
    return [Frame(0.02, 0.0)] * round(seconds / FRAME_SECONDS)


def speech(seconds: float, level: float = 0.01) -> list[Frame]:
    return [Frame(0.9, level)] * round(seconds / FRAME_SECONDS)


def cut(frames: Sequence[Frame], rules: WindowRules | None = None, samples: int | None = None) -> list[Window]:
    windower = Windower(rules or WindowRules())
    return windower.feed(frames) + windower.finish(len(frames) * FRAME_SAMPLES if samples is None else samples)


def seconds(window: Window) -> tuple[float, float]:
    return window.start / SECOND, window.end / SECOND


# --- where windows lie ---


def test_a_recording_without_speech_has_no_windows() -> None:
    assert cut(silence(60)) == []
    assert cut([]) == []


def test_a_window_has_a_margin_around_its_speech() -> None:
    (window,) = cut(silence(3.2) + speech(1.6) + silence(3.2))

    assert window.speech == ((3.2 * SECOND, 4.8 * SECOND),)
    assert seconds(window) == (2.7, 5.3)
    assert (window.seconds, window.speech_seconds, window.longest_pause_seconds) == pytest.approx((2.6, 1.6, 0.0))
    assert window.speech_probability == pytest.approx(0.9)


def test_a_margin_ends_where_the_recording_does() -> None:
    (window,) = cut(silence(0.32) + speech(1.6) + silence(0.16))

    assert seconds(window) == (0.0, pytest.approx(2.08))


def test_a_recording_may_end_in_the_middle_of_speech_and_of_a_frame() -> None:
    frames = silence(1.6) + speech(1.6)
    samples = len(frames) * FRAME_SAMPLES - 100

    (window,) = cut(frames, samples=samples)

    assert (window.end, window.speech[-1][1]) == (samples, samples)


def test_a_long_pause_ends_a_window_before_anything_else_is_said() -> None:
    windower = Windower(WindowRules())

    assert windower.feed(speech(1.6) + silence(1.92)) == []
    (window,) = windower.feed(silence(0.1))

    assert seconds(window) == (0.0, pytest.approx(2.1))
    assert windower.feed(silence(60.0)) == []


def test_a_shorter_pause_stays_inside() -> None:
    (window,) = cut(speech(1.6) + silence(1.6) + speech(1.6))

    assert window.longest_pause_seconds == pytest.approx(1.6)
    assert window.speech_seconds == pytest.approx(3.2)


def test_the_closure_of_a_stop_is_no_pause() -> None:
    (window,) = cut(speech(0.96) + silence(0.096) + speech(0.96) + silence(0.128) + speech(0.96))

    assert len(window.speech) == 2


def test_speech_begins_when_it_is_sure_and_lasts_while_it_is_likely() -> None:
    doubtful = [Frame(0.4, 0.01)] * 10
    (window,) = cut([*silence(3.2), *doubtful, *speech(0.32), *doubtful, *silence(3.2)])

    assert window.speech == ((110 * FRAME_SAMPLES, 130 * FRAME_SAMPLES),)
    assert window.speech_probability == pytest.approx((0.9 + 0.4) / 2)


def test_neighbours_share_the_pause_between_them() -> None:
    talk = speech(1.6) + silence(0.64) + speech(1.6)

    before, after = cut(talk, SMALL)
    assert (before.end, after.start) == (1.9 * SECOND, 1.94 * SECOND)

    before, after = cut(talk, WIDE)
    assert before.end == after.start == 1.92 * SECOND


def test_what_would_outgrow_its_length_is_cut_at_the_best_pause() -> None:
    talk = speech(3.2) + silence(0.32) + speech(6.4) + silence(0.64) + speech(3.2) + silence(0.32) + speech(9.6)

    assert [window.speech_seconds for window in cut(talk)] == pytest.approx([9.6, 12.8])


def test_of_equal_pauses_the_last_is_taken() -> None:
    talk = [frame for _ in range(8) for frame in speech(3.2) + silence(0.32)]

    assert [len(window.speech) for window in cut(talk)] == [4, 4]


def test_a_pause_of_a_second_is_as_good_as_a_longer_one() -> None:
    talk = speech(6.4) + silence(1.92) + speech(4.8) + silence(1.024) + speech(9.6)

    assert [len(window.speech) for window in cut(talk)] == [2, 1]


def test_speech_without_any_pause_is_cut_at_its_quietest_moment_in_the_last_third() -> None:
    quieter = speech(8.0) + speech(0.16, 0.0001) + speech(5.84) + speech(0.16, 0.001) + speech(10.0)

    before, after = cut(quieter)

    assert before.end == after.start == before.speech[-1][1] == after.speech[0][0]
    assert 14.0 < before.end / SECOND < 14.16
    assert (before.start, after.end) == (0, len(quieter) * FRAME_SAMPLES)


def test_one_quiet_frame_alone_is_no_quiet_moment() -> None:
    talk = [*speech(12.8), Frame(0.9, 0.0), *speech(0.96, 0.02), *speech(0.16, 0.002), *speech(12.8)]

    before, _ = cut(talk)

    assert 13.7 < before.end / SECOND < 14.0


# --- parting a window ---


def test_a_window_is_parted_at_the_pause_near_its_middle() -> None:
    (window,) = cut(
        speech(1.6) + silence(0.64) + speech(3.2) + silence(0.64) + speech(3.2) + silence(0.64) + speech(1.6)
    )

    parts = split(window)

    assert parts is not None
    assert parts[0].end == parts[1].start == round((1.6 + 0.64 + 3.2 + 0.32) * SECOND)


def test_a_much_longer_pause_outweighs_the_middle() -> None:
    (window,) = cut(speech(0.64) + silence(1.6) + speech(3.2) + silence(0.16) + speech(4.0))

    parts = split(window)

    assert parts is not None
    assert [len(part.speech) for part in parts] == [1, 2]


def test_a_window_is_parted_near_a_given_place() -> None:
    (window,) = cut([frame for _ in range(5) for frame in speech(1.6) + silence(0.64)])

    def pieces(near: float) -> int:
        parts = split(window, round(near * SECOND))
        assert parts is not None
        return len(parts[0].speech)

    assert [pieces(near) for near in (0.5, 2.0, 4.0, 6.5, 8.5, 10.0)] == [1, 1, 2, 3, 4, 4]


def test_a_window_without_a_pause_cannot_be_parted() -> None:
    (window,) = cut(speech(5.0))

    assert split(window) is None


def test_an_utterance_goes_on_over_a_breath() -> None:
    (window,) = cut(speech(1.6) + silence(0.288) + speech(1.6) + silence(0.32) + speech(1.6))

    ends = [0.0, 3.488, 3.808, 5.408]
    assert [end / SECOND for utterance in utterances(window) for end in utterance] == pytest.approx(ends)


def test_a_window_is_cut_in_the_pauses_before_what_is_named() -> None:
    (window,) = cut([frame for _ in range(4) for frame in speech(1.6) + silence(0.64)])
    starts = [first for first, _ in window.speech]

    parts = cut_before(window, [starts[1], starts[3]])

    assert [len(part.speech) for part in parts] == [1, 2, 1]
    assert [part.start for part in parts] == [0, round(1.92 * SECOND), round(6.4 * SECOND)]
    assert [part.end for part in parts] == [parts[1].start, parts[2].start, window.end]
    assert cut_before(window, []) == [window]


@pytest.mark.parametrize(
    ("length", "fitting"), [(0, 10), (8, 10), (8.1, 12), (12, 14), (13, 16), (18, 20), (28, 30), (29.5, 30)]
)
def test_few_lengths_are_encoded_with_silence_after_the_last_word(length: float, fitting: int) -> None:
    assert fitting_seconds(length) == fitting


@given(st.floats(0.0, 30.0))
def test_a_window_fits_into_what_is_encoded(length: float) -> None:
    fitting = fitting_seconds(length)

    assert fitting in ENCODED_SECONDS
    assert fitting >= length
    assert fitting - length >= 2.0 or fitting == ENCODED_SECONDS[-1]
    assert all(shorter - length < 2.0 for shorter in ENCODED_SECONDS if shorter < fitting)


# --- laws ---

probabilities = st.sampled_from([0.0, 0.2, 0.35, 0.4, 0.5, 0.7, 1.0])
stretches = st.lists(st.tuples(probabilities, st.integers(1, 60)), max_size=25)
rules = st.sampled_from([SMALL, WIDE])
levels = (0.01, 0.03, 0.002, 0.02, 0.0005, 0.01, 0.04)


@st.composite
def any_recording(draw: st.DrawFn) -> tuple[list[Frame], int]:
    """Return frames and how many samples they were made of; the last frame may have been filled up."""
    loudness = cycle(levels)
    frames = [Frame(speech, next(loudness)) for speech, count in draw(stretches) for _ in range(count)]
    return frames, max(0, len(frames) * FRAME_SAMPLES - draw(st.integers(0, FRAME_SAMPLES - 1)))


def runs(frames: Iterable[Frame], rules: WindowRules) -> list[tuple[int, int]]:
    """Return the runs of speech, in frames, by looking at the whole recording."""
    found: list[tuple[int, int]] = []
    speaking = False
    silent = 0
    for number, frame in enumerate(frames):
        if frame.speech >= (rules.offset if speaking else rules.onset):
            found[len(found) - speaking :] = [(found[-1][0] if speaking else number, number + 1)]
            speaking, silent = True, 0
        else:
            silent += 1
            speaking = speaking and silent * FRAME_SECONDS <= rules.shortest_pause
    return found


@settings(max_examples=150)
@given(any_recording(), rules, st.lists(st.integers(0, 1500), max_size=8))
def test_any_division_of_the_frames_gives_the_same_windows(
    recording: tuple[list[Frame], int], rules: WindowRules, places: list[int]
) -> None:
    frames, samples = recording
    windower = Windower(rules)
    edges = [0, *sorted(places), len(frames)]

    pieces = [window for first, last in pairwise(edges) for window in windower.feed(frames[first:last])]

    assert pieces + windower.finish(samples) == cut(frames, rules, samples)


@settings(max_examples=300)
@given(any_recording(), rules)
def test_windows_keep_every_law(recording: tuple[list[Frame], int], rules: WindowRules) -> None:
    frames, samples = recording
    windows = cut(frames, rules, samples)

    edges = [0, *chain.from_iterable((window.start, window.end) for window in windows), samples]
    assert edges == sorted(edges)
    for window in windows:
        places = [window.start, *chain.from_iterable(window.speech), window.end]
        assert places == sorted(places)
        assert all(first < last for first, last in window.speech)
        assert window.seconds <= rules.longest + 2 * rules.margin + FRAME_SECONDS
        assert window.longest_pause_seconds <= rules.longest_pause
        assert 0.0 < window.speech_probability <= 1.0
        spoken = (window.speech[-1][1] - window.speech[0][0]) / SECOND
        assert spoken <= rules.longest + FRAME_SECONDS
    for before, after in pairwise(windows):
        pause = after.speech[0][0] - before.speech[-1][1]
        assert (
            after.start - before.end == max(0, pause - round(2 * rules.margin * SECOND)) or pause > rules.longest_pause
        )


@settings(max_examples=300)
@given(any_recording(), rules)
def test_all_speech_lies_in_one_window_and_only_what_has_no_pause_is_cut(
    recording: tuple[list[Frame], int], rules: WindowRules
) -> None:
    frames, samples = recording
    windows = cut(frames, rules, samples)

    spoken = [stretch for window in windows for stretch in window.speech]
    joined: list[tuple[int, int]] = []
    for window in windows:
        for first, last in window.speech:
            if joined and joined[-1][1] == first:
                # Nothing but a run longer than a window is cut, where nothing else is in the window before.
                assert first == window.speech[0][0] == window.start
                joined[-1] = (joined[-1][0], last)
            else:
                joined.append((first, last))
    expected = [(first * FRAME_SAMPLES, min(last * FRAME_SAMPLES, samples)) for first, last in runs(frames, rules)]
    assert joined == expected
    for before, after in pairwise(windows):
        if before.end == before.speech[-1][1] == after.speech[0][0]:
            assert len(before.speech) == 1
            (run,) = [(first, last) for first, last in expected if first <= before.speech[0][0] < last]
            assert (run[1] - before.speech[0][0]) / SECOND > rules.longest - FRAME_SECONDS
    for number, frame in enumerate(frames):
        if frame.speech >= rules.onset:
            assert sum(first <= number * FRAME_SAMPLES < last for first, last in spoken) == 1


@settings(max_examples=150)
@given(any_recording(), rules)
def test_what_is_needed_never_goes_back_and_holds_every_window_to_come(
    recording: tuple[list[Frame], int], rules: WindowRules
) -> None:
    frames, samples = recording
    windower = Windower(rules)
    needed = windower.needed_from
    assert needed == 0

    for number, frame in enumerate(frames, 1):
        windows = windower.feed([frame])
        assert all(window.start >= needed for window in windows)
        assert windower.needed_from >= needed
        needed = windower.needed_from
        assert all(window.end <= needed for window in windows)
        assert needed <= number * FRAME_SAMPLES
    assert all(window.start >= needed for window in windower.finish(samples))


@settings(max_examples=150)
@given(any_recording(), rules, st.none() | st.floats(0, 1))
def test_the_parts_of_a_window_cover_it(
    recording: tuple[list[Frame], int], rules: WindowRules, share: float | None
) -> None:
    frames, samples = recording
    for window in cut(frames, rules, samples):
        parts = split(window, None if share is None else round(window.start + share * (window.end - window.start)))
        assert (parts is None) == (len(window.speech) < 2)
        if parts is not None:
            before, after = parts
            assert (before.start, before.end, after.end) == (window.start, after.start, window.end)
            assert before.speech + after.speech == window.speech
            assert before.speech[-1][1] <= before.end <= after.speech[0][0]


@settings(max_examples=150)
@given(any_recording(), rules)
def test_utterances_are_the_speech_of_a_window_with_breaths_in_between_and_can_be_cut_apart(
    recording: tuple[list[Frame], int], rules: WindowRules
) -> None:
    frames, samples = recording
    for window in cut(frames, rules, samples):
        found = utterances(window)
        parts = cut_before(window, [first for first, _ in found[1:]])

        assert [(part.speech[0][0], part.speech[-1][1]) for part in parts] == found
        assert [stretch for part in parts for stretch in part.speech] == list(window.speech)
        assert (parts[0].start, parts[-1].end) == (window.start, window.end)
        assert all(before.end == after.start for before, after in pairwise(parts))
        assert all(part.longest_pause_seconds < 0.3 for part in parts)
        assert all(after[0] - before[1] >= 0.3 * SECOND for before, after in pairwise(found))


@pytest.mark.parametrize("pattern", [[0.0], [1.0], [1.0] * 8 + [0.0] * 8, [1.0, 0.0], [1.0] * 8 + [0.0] * 70])
def test_hours_take_no_more_memory_than_minutes(pattern: list[float]) -> None:
    hour = round(3600 / FRAME_SECONDS)
    frames = [Frame(speech, speech * 0.01) for speech in pattern]
    windower = Windower(WindowRules())
    sizes = []
    windows = 0
    for _ in range(60):
        windows += len(windower.feed(islice(cycle(frames), hour // 60)))
        sizes.append(len(pickle.dumps(windower)))

    assert max(sizes[3:]) < 1.5 * max(sizes[:3])
    assert max(sizes) < 50_000
    assert bool(windows) == any(pattern)


def test_the_pause_that_ends_a_window_shrinks_as_it_grows() -> None:
    rules = WindowRules(longest_pause=1.0, pause_when_full=0.2, longest=10.0, margin=0.1)
    # The same pause twice: after two seconds, and after nine.
    frames = silence(1) + speech(2) + silence(0.6) + speech(6) + silence(0.6) + speech(2)

    assert [round(window.start / SECOND) for window in Windower(rules).feed(frames + silence(2))] == [1, 10]


def test_flush_ends_the_window_and_the_windower_goes_on() -> None:
    windower = Windower(WindowRules())
    assert windower.feed([Frame(0.9, 0.1)] * 50) == []

    (flushed,) = windower.flush()
    windower.feed([Frame(0.9, 0.1)] * 30)
    (last,) = windower.finish(80 * FRAME_SAMPLES)

    assert (flushed.start, flushed.end) == (0, 50 * FRAME_SAMPLES)
    assert (last.start, last.end) == (50 * FRAME_SAMPLES, 80 * FRAME_SAMPLES)


def test_pending_speech_is_a_window_that_ends_now() -> None:
    windower = Windower(WindowRules())
    assert windower.pending() is None
    windower.feed([Frame(0.0, 0.0)] * 40 + [Frame(0.9, 0.1)] * 20)

    window = windower.pending()

    assert window is not None
    assert window.end == 60 * FRAME_SAMPLES
    assert window.speech == ((40 * FRAME_SAMPLES, 60 * FRAME_SAMPLES),)
    assert window.speech_probability == pytest.approx(0.9)


@given(st.lists(st.tuples(st.integers(1, 200), st.booleans()), max_size=12), st.integers(0, 2000))
def test_another_windower_goes_on_from_a_state(stretches: list[tuple[int, bool]], place: int) -> None:
    frames = [Frame(0.9 if spoken else 0.0, n % 7 / 7) for count, spoken in stretches for n in range(count)]
    first, second = frames[:place], frames[place:]
    whole, begun = Windower(WindowRules()), Windower(WindowRules())
    expected = whole.feed(frames) + whole.finish(len(frames) * FRAME_SAMPLES)

    before = begun.feed(first)
    other = Windower(WindowRules(), begun.state)

    assert before + other.feed(second) + other.finish(len(frames) * FRAME_SAMPLES) == expected
