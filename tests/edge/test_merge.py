import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.edge.merge import merge
from services.edge.transcript import Activity, Segment, Turn, Word
from tests.edge.lawful import order_words


def said(*words: tuple[str, float, float], probability: float = 0.9) -> Segment:
    """Return a segment of (text, start, end) words."""
    made = tuple(Word(text, start, end, probability) for text, start, end in words)
    text = "".join(word.text for word in made).strip()
    return Segment(made[0].start, made[-1].end, text, made, probability, -0.2, 0.01, 1.1, "en", 0.97)


def evenly(text: str, start: float, step: float = 0.3) -> Segment:
    """Return a segment whose words take `step` seconds each, without pauses."""
    words = enumerate(text.split())
    return said(*((f" {word}", start + step * n, start + step * (n + 1)) for n, word in words))


def speakers_of(segments: tuple[Segment, ...]) -> list[int | None]:
    return [word.speaker for segment in segments for word in segment.words]


def by_speaker(segments: tuple[Segment, ...]) -> list[tuple[int | None, str]]:
    return [(segment.speaker, segment.text) for segment in segments]


# --- who said it ---


def test_without_turns_every_speaker_is_unknown() -> None:
    segments, names = merge([evenly("nobody was asked", 0.0)], [], [])
    assert speakers_of(segments) == [None, None, None]
    assert names == ()


def test_without_words_there_are_no_speakers() -> None:
    assert merge([], [Turn(0.0, 1.0, 0)], []) == ((), ())


def test_a_segment_is_cut_where_the_speaker_changes() -> None:
    segment = evenly("How are you? I am fine.", 0.0)
    turns = [Turn(0.0, 0.9, 4), Turn(0.9, 1.8, 2)]
    segments, names = merge([segment], turns, turns)
    assert by_speaker(segments) == [(0, "How are you?"), (1, "I am fine.")]
    assert names == ("Speaker 1", "Speaker 2")
    assert (segments[0].end, segments[1].start) == (segment.words[2].end, segment.words[3].start)
    assert {piece.average_log_probability for piece in segments} == {segment.average_log_probability}


def test_confidence_is_the_mean_of_the_words_that_are_left() -> None:
    words = (Word(" a", 0.0, 0.4, 0.2), Word(" b", 0.4, 0.8, 0.4), Word(" c", 1.0, 1.4, 0.9))
    segment = replace(said((" a", 0.0, 1.4)), words=words)
    segments, _ = merge([segment], [], [Turn(0.0, 0.8, 0), Turn(1.0, 1.4, 1)])
    assert [piece.confidence for piece in segments] == pytest.approx([0.3, 0.9])


def test_speakers_are_numbered_by_their_first_word_not_by_their_first_turn() -> None:
    turns = [Turn(0.0, 0.2, 0), Turn(1.0, 2.0, 7), Turn(3.0, 4.0, 0)]
    segments, names = merge([evenly("first one", 1.0), evenly("second one", 3.0)], turns, turns)
    assert by_speaker(segments) == [(0, "first one"), (1, "second one")]
    assert len(names) == 2


def test_a_speaker_without_a_word_gets_no_name() -> None:
    turns = [Turn(0.0, 1.0, 0), Turn(5.0, 6.0, 1)]
    assert merge([evenly("just me", 0.0)], turns, turns)[1] == ("Speaker 1",)


def test_a_word_goes_to_who_holds_most_of_it() -> None:
    turns = [Turn(0.0, 1.1, 0), Turn(1.1, 3.0, 1)]
    segments, _ = merge([said((" Yes.", 0.5, 0.9), (" Mostly", 1.0, 1.5), (" his", 1.5, 1.8))], [], turns)
    assert speakers_of(segments) == [0, 1, 1]


def test_a_narrow_word_goes_to_who_speaks_through_the_whole_of_it() -> None:
    exclusive = [Turn(0.0, 1.19, 0), Turn(1.19, 3.0, 1)]
    overlapping = [Turn(0.0, 1.4, 0), Turn(1.19, 3.0, 1)]
    segments, _ = merge([said((" So", 0.7, 1.0), (" there.", 1.0, 1.4))], overlapping, exclusive)
    assert speakers_of(segments) == [0, 0]


def test_overlapping_turns_alone_are_enough() -> None:
    segments, _ = merge([evenly("one two", 0.0)], [Turn(0.0, 1.0, 3)], [])
    assert speakers_of(segments) == [0, 0]


@pytest.mark.parametrize(("start", "speaker"), [(1.4, 0), (1.6, None)])
def test_a_word_in_a_gap_takes_a_turn_only_when_it_is_near(start: float, speaker: int | None) -> None:
    segments, _ = merge([evenly("Fine. Really.", 0.2), said((" What?", start, start + 0.3))], [], [Turn(0.0, 1.0, 0)])
    assert speakers_of(segments)[-1] == speaker


def test_a_gap_between_two_turns_goes_to_the_nearer_one() -> None:
    turns = [Turn(0.0, 1.0, 0), Turn(1.8, 3.0, 1)]
    words = said((" Done.", 0.4, 1.0), (" Well.", 1.4, 1.7), (" Now.", 2.0, 2.4))
    assert speakers_of(merge([words], turns, turns)[0]) == [0, 1, 1]


def test_a_gap_inside_a_sentence_belongs_to_its_speaker() -> None:
    turns = [Turn(0.0, 1.0, 0), Turn(3.5, 5.0, 0)]
    sentence = evenly("this goes on and on although the turns have a hole here.", 0.0, step=0.4)
    segments, _ = merge([sentence], turns, turns)
    assert set(speakers_of(segments)) == {0}


def test_a_long_stretch_without_a_turn_stays_unknown() -> None:
    turns = [Turn(0.0, 1.0, 0), Turn(9.0, 10.0, 0)]
    segments, _ = merge([evenly(" ".join(["word"] * 33), 0.0)], turns, turns)
    assert None in speakers_of(segments)


def test_a_stretched_word_is_matched_where_it_was_spoken() -> None:
    turns = [Turn(0.0, 1.3, 0), Turn(1.9, 6.0, 1)]
    words = [(" I", 0.0, 0.3), (" am", 0.3, 0.6), (" not", 0.6, 0.9), (" sure.", 0.9, 5.0)]
    segments, _ = merge([said(*words, (" Really?", 5.0, 5.3))], turns, turns)
    assert speakers_of(segments) == [0, 0, 0, 0, 1]
    assert segments[0].end == 5.0


def test_the_first_word_of_a_sentence_is_matched_at_its_end() -> None:
    turns = [Turn(0.0, 2.0, 0), Turn(4.0, 6.0, 1)]
    words = [(" Done.", 0.0, 0.4), (" Well", 0.4, 4.3), (" then", 4.3, 4.6), (" go.", 4.6, 4.9)]
    assert speakers_of(merge([said(*words)], turns, turns)[0]) == [0, 1, 1, 1]


def test_a_hole_in_the_turns_between_two_sentences_of_one_speaker_is_his() -> None:
    turns = [Turn(0.0, 1.2, 0), Turn(3.6, 5.0, 0)]
    talk = evenly("We saw it. Then we all went home. It was late.", 0.0, step=0.4)
    assert set(speakers_of(merge([talk], turns, turns)[0])) == {0}


def test_a_text_far_from_all_speech_has_no_speaker() -> None:
    turns = [Turn(0.0, 1.0, 0), Turn(20.0, 21.0, 1)]
    talk = [evenly("So it is.", 0.0), evenly("Thanks for watching!", 8.0), evenly("Good morning all.", 20.0)]
    assert by_speaker(merge(talk, turns, turns)[0]) == [
        (0, "So it is."),
        (None, "Thanks for watching!"),
        (1, "Good morning all."),
    ]


def test_three_speakers_in_a_row_keep_their_sentences() -> None:
    turns = [Turn(0.0, 0.85, 0), Turn(0.85, 1.85, 1), Turn(1.85, 3.0, 2)]
    talk = evenly("Who is it? It is me. Who are you?", 0.0)
    assert [text for _, text in by_speaker(merge([talk], turns, turns)[0])] == [
        "Who is it?",
        "It is me.",
        "Who are you?",
    ]


# --- islands ---


def test_a_speck_of_a_turn_inside_a_sentence_is_jitter() -> None:
    turns = [Turn(0.0, 0.9, 0), Turn(0.9, 1.15, 1), Turn(1.15, 3.0, 0)]
    segments, names = merge([evenly("I think so too my friend.", 0.0)], turns, turns)
    assert set(speakers_of(segments)) == {0}
    assert names == ("Speaker 1",)


def test_a_backchannel_with_a_turn_of_its_own_is_kept() -> None:
    turns = [Turn(0.0, 0.9, 0), Turn(0.9, 1.25, 1), Turn(1.25, 3.0, 0)]
    segments, _ = merge([evenly("I think so yeah my friend.", 0.0)], turns, turns)
    assert by_speaker(segments) == [(0, "I think so"), (1, "yeah"), (0, "my friend.")]


@pytest.mark.parametrize("shift", [-0.08, 0.08])
def test_a_backchannel_a_little_beside_its_turn_is_kept(shift: float) -> None:
    turns = [Turn(0.0, 0.9 + shift, 0), Turn(0.9 + shift, 1.25 + shift, 1), Turn(1.25 + shift, 3.0, 0)]
    segments, _ = merge([evenly("I think so yeah my friend.", 0.0)], turns, turns)
    assert by_speaker(segments) == [(0, "I think so"), (1, "yeah"), (0, "my friend.")]


def test_a_backchannel_beside_the_end_of_a_sentence_is_kept() -> None:
    turns = [Turn(0.0, 0.9, 0), Turn(0.9, 1.25, 1), Turn(1.25, 3.0, 0)]
    segments, _ = merge([evenly("I think so, yeah. My friend.", 0.0)], turns, turns)
    assert by_speaker(segments) == [(0, "I think so,"), (1, "yeah."), (0, "My friend.")]


@pytest.mark.parametrize("shift", [-0.15, -0.1, 0.1, 0.15])
def test_a_change_that_is_a_little_off_moves_no_word(shift: float) -> None:
    turns = [Turn(0.0, 1.2 + shift, 0), Turn(1.2 + shift, 3.0, 1)]
    talk = evenly("I saw you there. No you did not.", 0.0)
    assert by_speaker(merge([talk], turns, turns)[0]) == [(0, "I saw you there."), (1, "No you did not.")]


def test_a_pause_stands_for_a_sentence_end_where_nothing_is_punctuated() -> None:
    turns = [Turn(0.0, 1.05, 0), Turn(1.05, 4.0, 1)]
    talk = [evenly("i saw you there", 0.0), evenly("no you did not", 1.7)]
    assert by_speaker(merge(talk, turns, turns)[0]) == [(0, "i saw you there"), (1, "no you did not")]


def test_the_last_word_of_a_sentence_comes_back_over_a_jittered_boundary() -> None:
    turns = [Turn(0.0, 0.85, 0), Turn(0.85, 3.0, 1)]
    talk = [evenly("I saw you there.", 0.0), evenly("No you did not.", 1.3)]
    assert by_speaker(merge(talk, turns, turns)[0]) == [(0, "I saw you there."), (1, "No you did not.")]


def test_the_first_word_of_a_sentence_comes_back_over_a_jittered_boundary() -> None:
    turns = [Turn(0.0, 1.65, 0), Turn(1.65, 3.0, 1)]
    talk = [evenly("I saw you there.", 0.0), evenly("No you did not.", 1.4)]
    assert by_speaker(merge(talk, turns, turns)[0]) == [(0, "I saw you there."), (1, "No you did not.")]


def test_a_last_word_far_from_its_sentences_turn_stays_where_the_turns_put_it() -> None:
    turns = [Turn(0.0, 0.5, 0), Turn(0.5, 3.0, 1)]
    talk = [evenly("I saw you there.", 0.0), evenly("No you did not.", 1.3)]
    assert speakers_of(merge(talk, turns, turns)[0])[:4] == [0, 0, 1, 1]


def test_a_piece_keeps_the_evidence_of_the_segment_it_was_cut_from() -> None:
    whole = evenly("one two three. four five six.", 0.0)
    pieces, _ = merge([whole], [Turn(0.0, 0.9, 0), Turn(0.9, 1.8, 1)], [])

    assert len(pieces) == 2
    for piece in pieces:
        kept = replace(piece, start=whole.start, end=whole.end, text=whole.text, words=whole.words, speaker=None)
        assert replace(kept, confidence=whole.confidence) == whole
    assert {piece.language_probability for piece in pieces} == {0.97}


# --- activity, confidence, overlap ---


def active(*levels: tuple[int, ...]) -> Activity:
    """Return an activity of one row a speaker, each level held for a second."""
    return Activity(0.05, tuple(bytes(level for level in row for _ in range(20)) for row in levels))


def confidences(segments: tuple[Segment, ...]) -> list[float]:
    words = [word for segment in segments for word in segment.words]
    assert all((word.speaker is None) == (word.speaker_confidence is None) for word in words)
    return [word.speaker_confidence for word in words if word.speaker_confidence is not None]


def test_clear_evidence_makes_sure() -> None:
    turns = [Turn(0.0, 1.2, 0), Turn(1.2, 2.4, 1)]
    activity = Activity(0.05, (bytes([255] * 24 + [0] * 24), bytes([0] * 24 + [255] * 24)))
    talk = evenly("I saw you there. No you did not.", 0.0)
    for soft in (None, activity):
        assert min(confidences(merge([talk], turns, turns, soft)[0])) > 0.85


def test_a_coin_flip_is_a_half() -> None:
    turns = [Turn(0.0, 3.0, 0), Turn(0.0, 3.0, 1)]
    segments, _ = merge(
        [evenly("I saw you there, did I not?", 0.0)], turns, [], active((128, 128, 128), (128, 128, 128))
    )
    assert confidences(segments) == pytest.approx([0.5] * 7)


def test_many_words_on_weak_evidence_do_not_add_up_to_certainty() -> None:
    turns = [Turn(0.0, 6.0, 0), Turn(0.0, 6.0, 1)]
    activity = active((140,) * 6, (115,) * 6)
    segments, _ = merge([evenly("word " * 19 + "word.", 0.0)], turns, [], activity)
    assert set(speakers_of(segments)) == {0}
    assert 0.5 < max(confidences(segments)) < 0.6


def test_activity_settles_who_speaks_in_an_overlap() -> None:
    turns = [Turn(0.0, 6.0, 0), Turn(0.0, 6.0, 1)]
    talk = evenly("You hear the one of us all the time. Then you hear the other one, don't you think?", 0.0)
    segments, names = merge([talk], turns, [], active((255, 255, 255, 0, 0, 0), (0, 0, 0, 255, 255, 255)))
    assert [(segment.speaker, len(segment.words)) for segment in segments] == [(0, 9), (1, 9)]
    assert len(names) == 2


def test_activity_alone_does_not_overrule_a_turn_but_takes_its_certainty() -> None:
    turns = [Turn(0.0, 3.0, 0), Turn(5.0, 6.0, 1)]
    talk = evenly("Is it me or is it you?", 0.0)
    sure = confidences(merge([talk], turns, turns, active((255,) * 6, (0,) * 6))[0])
    segments, _ = merge([talk], turns, turns, active((30,) * 6, (225,) * 6))
    assert set(speakers_of(segments)) == {0}
    assert max(confidences(segments)) < 0.65 < min(sure)


def test_a_word_in_an_overlap_is_marked_whoever_gets_it() -> None:
    turns = [Turn(0.0, 1.2, 0), Turn(0.9, 2.4, 1)]
    exclusive = [Turn(0.0, 1.2, 0), Turn(1.2, 2.4, 1)]
    segments, _ = merge([evenly("I saw you there. No you did not.", 0.0)], turns, exclusive)
    assert [word.overlap for segment in segments for word in segment.words] == [False] * 3 + [True] + [False] * 4


# --- sentences ---


def test_a_segment_is_cut_where_a_sentence_ends() -> None:
    talk = evenly("This is one sentence. This is another one.", 0.0)
    pieces, _ = merge([talk], [Turn(0.0, 5.0, 0)], [])
    assert by_speaker(pieces) == [(0, "This is one sentence."), (0, "This is another one.")]


def test_a_short_sentence_stays_with_the_next_one() -> None:
    pieces, _ = merge([evenly("Yes. No. That is all of it. Right.", 0.0)], [Turn(0.0, 5.0, 0)], [])
    assert [piece.text for piece in pieces] == ["Yes. No. That is all of it.", "Right."]


def test_a_short_sentence_before_a_long_pause_stands_alone() -> None:
    talk = said((" Yes.", 0.0, 0.3), (" I", 2.0, 2.3), (" see.", 2.3, 2.6))
    pieces, _ = merge([talk], [Turn(0.0, 5.0, 0)], [])
    assert [piece.text for piece in pieces] == ["Yes.", "I see."]


def test_a_title_does_not_end_a_segment() -> None:
    pieces, _ = merge([evenly("That was the old Dr. Miller from the U.S. Army.", 0.0)], [Turn(0.0, 5.0, 0)], [])
    assert len(pieces) == 1


# --- laws ---

times = st.floats(min_value=-2.0, max_value=40.0, allow_nan=False)
texts = st.sampled_from([" and", " yes.", " no?", "那", "。", " I", " don't", " Texas,"])
any_word = st.builds(Word, texts, times, times, st.floats(0.0, 1.0))
any_segment = st.lists(any_word, max_size=8).map(
    lambda words: Segment(
        0.0, 1.0, "".join(word.text for word in words).strip(), tuple(words), 0.5, -0.3, 0.1, 1.2, "en", 0.97
    )
)
any_talk = st.lists(any_segment, max_size=6).map(lambda talk: list(order_words(talk, math.inf)))
any_turn = st.builds(
    lambda start, length, speaker: Turn(start, start + length, speaker),
    st.floats(0.0, 40.0),
    st.floats(0.0, 6.0),
    st.integers(0, 4),
)
any_turns = st.lists(any_turn, max_size=12)
durations = st.one_of(st.floats(0.0, 50.0), st.just(math.inf))


def assert_lawful(segments: tuple[Segment, ...], duration: float) -> None:
    edges = [0.0]
    for segment in segments:
        assert (segment.start, segment.end) == (segment.words[0].start, segment.words[-1].end)
        edges.extend(time for word in segment.words for time in (word.start, word.end))
    edges.append(duration)
    assert all(before <= after for before, after in pairwise(edges))


any_activity = st.none() | st.integers(0, 60).flatmap(
    lambda frames: st.builds(
        lambda rows: Activity(0.5, tuple(rows)),
        st.lists(st.binary(min_size=frames, max_size=frames), max_size=5),
    )
)


@settings(max_examples=200)
@given(any_talk, any_turns, any_turns, any_activity)
def test_merging_keeps_every_law(
    talk: list[Segment], turns: list[Turn], exclusive: list[Turn], activity: Activity | None
) -> None:
    segments, names = merge(talk, turns, exclusive, activity)
    assert_lawful(segments, math.inf)
    before = [(word.text, word.probability) for segment in talk for word in segment.words]
    assert [(word.text, word.probability) for segment in segments for word in segment.words] == before
    for segment in segments:
        assert {word.speaker for word in segment.words} == {segment.speaker}
        assert segment.text == "".join(word.text for word in segment.words).strip()
        assert 0.0 <= segment.confidence <= 1.0
    assert all(0.0 <= confidence <= 1.0 for confidence in confidences(segments))
    seen = [speaker for speaker in dict.fromkeys(speakers_of(segments)) if speaker is not None]
    assert seen == list(range(len(names)))
    assert names == tuple(f"Speaker {number + 1}" for number in seen)
    if not turns and not exclusive:
        assert set(speakers_of(segments)) <= {None}


@given(any_talk, any_turns, any_turns, any_activity)
def test_a_word_that_a_turn_overlaps_has_a_speaker(
    talk: list[Segment], turns: list[Turn], exclusive: list[Turn], activity: Activity | None
) -> None:
    segments, _ = merge(talk, turns, exclusive, activity)
    for word in (word for segment in segments for word in segment.words):
        if any(max(turn.start, word.start) < min(turn.end, word.end) for turn in (*turns, *exclusive)):
            assert word.speaker is not None


@given(any_talk, any_turns)
def test_a_word_with_no_turn_anywhere_near_and_no_neighbour_has_none(talk: list[Segment], turns: list[Turn]) -> None:
    latest = max((turn.end for turn in turns), default=0.0)
    words = [word for segment in talk for word in segment.words]
    far = max([latest, *(word.end for word in words)]) + 30.0
    segments, _ = merge([*talk, said((" far.", far, far + 0.5))], turns, turns)
    assert segments[-1].speaker is None


@given(any_talk, any_turns, any_turns, any_activity)
def test_merging_twice_changes_nothing(
    talk: list[Segment], turns: list[Turn], exclusive: list[Turn], activity: Activity | None
) -> None:
    segments, names = merge(talk, turns, exclusive, activity)
    assert merge(segments, turns, exclusive, activity) == (segments, names)


@given(any_talk, any_turns)
def test_speakers_do_not_depend_on_how_words_are_cut_into_segments(talk: list[Segment], turns: list[Turn]) -> None:
    words = tuple(word for segment in talk for word in segment.words)
    whole = [replace(talk[0], words=words)] if words else []
    assert speakers_of(merge(whole, turns, turns)[0]) == speakers_of(merge(talk, turns, turns)[0])


def test_an_hour_takes_a_moment() -> None:
    words = [said((f" w{n}" + "." * (n % 12 == 0), n * 0.29, n * 0.29 + 0.25)) for n in range(12_000)]
    turns = [Turn(n * 1.8, n * 1.8 + 1.9, n % 8) for n in range(2_000)]
    activity = Activity(0.05, tuple(bytes([level]) * 72_000 for level in range(8)))
    segments, names = merge(words, turns, turns, activity)
    assert (len(segments), len(names)) == (12_000, 8)
