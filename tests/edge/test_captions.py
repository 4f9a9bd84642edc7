from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.edge.captions import (
    GAP_MILLISECONDS,
    LINE_COLUMNS,
    MAX_CUE_MILLISECONDS,
    MAX_LINES,
    MIN_CUE_MILLISECONDS,
    Cue,
    captions,
    columns,
    plain,
)
from services.edge.transcript import Segment, Word
from tests.edge.lawful import order_words


def segment_of(words: list[Word], speaker: int | None = None) -> Segment:
    text = "".join(word.text for word in words).strip()
    start, end = (words[0].start, words[-1].end) if words else (0.0, 0.0)
    return Segment(start, end, text, tuple(words), 0.9, -0.2, 0.0, 1.0, "en", 1.0, speaker)


def evenly(tokens: list[str], step: float = 0.3, start: float = 0.0) -> Segment:
    words = [Word(text, start + n * step, start + (n + 1) * step, 0.9) for n, text in enumerate(tokens)]
    return segment_of(words)


def english(text: str, step: float = 0.3) -> Segment:
    return evenly([f" {word}" for word in text.split()], step)


def texts(cues: tuple[Cue, ...]) -> list[str]:
    return [" / ".join(cue.lines) for cue in cues]


def test_a_short_segment_is_one_cue_on_one_line() -> None:
    (cue,) = captions([english("Hello, welcome to the meeting.")], 60.0)
    assert cue.lines == ("Hello, welcome to the meeting.",)
    assert (cue.start, cue.end) == (0, 2000)


def test_a_cue_ends_with_its_sentence_when_that_fits() -> None:
    text = "This sentence is the first of two. And here is another one that is rather longer than it was."
    assert texts(captions([english(text)], 60.0)) == [
        "This sentence is the first of two.",
        "And here is another one that / is rather longer than it was.",
    ]


def test_a_long_sentence_is_cut_at_its_comma() -> None:
    text = "When the long rain had stopped at last, everybody went out of the house to look at the wide river."
    assert texts(captions([english(text)], 60.0))[0] == "When the long rain had stopped at last,"


def test_a_word_alone_does_not_flash_by() -> None:
    text = "Printing, in the only sense with which we are at present concerned, differs from most if not from all."
    assert texts(captions([english(text)], 60.0))[0].startswith("Printing, in the only sense")


def test_a_cue_does_not_hold_a_long_silence() -> None:
    words = [Word(" Before", 0.0, 0.5, 0.9), Word(" after", 4.0, 4.5, 0.9)]
    assert texts(captions([segment_of(words)], 60.0)) == ["Before", "after"]


def test_slow_speech_is_cut_at_seven_seconds() -> None:
    cues = captions([english("one two three four five six", step=2.0)], 60.0)
    assert all(cue.end - cue.start <= MAX_CUE_MILLISECONDS for cue in cues)
    assert len(cues) == 2


def test_a_word_that_lasts_too_long_leaves_the_screen() -> None:
    (cue,) = captions([english("Ooooh", step=20.0)], 60.0)
    assert cue.end == MAX_CUE_MILLISECONDS


def test_scripts_without_spaces_are_broken_by_their_width() -> None:
    text = "我在这一个讲堂中、便须常常随喜我那同学们的拍手和喝采。我倒没有什么不愿意的。"
    cues = captions([evenly(list(text), step=0.2)], 60.0)
    assert "".join(line for cue in cues for line in cue.lines) == text
    assert all(columns(line) <= LINE_COLUMNS for cue in cues for line in cue.lines)
    assert not any(line[0] in "、。" for cue in cues for line in cue.lines)


def test_a_word_wider_than_a_line_is_parted() -> None:
    link = "https://example.org/" + "a" * 120
    cues = captions([english(f"See {link} now.")], 60.0)
    lines = [line for cue in cues for line in cue.lines]
    assert max(map(len, lines)) <= LINE_COLUMNS
    assert "".join(lines).replace(" ", "") == f"See{link}now."


def test_a_long_word_that_fits_is_left_whole() -> None:
    word = "Donaudampfschifffahrtsgesellschaft"
    assert any(word in line for cue in captions([english(f"Die alte {word} bleibt.")], 9.0) for line in cue.lines)


def test_the_prefix_counts_as_part_of_the_line() -> None:
    segment = segment_of([Word(" " + "x" * 20, n, n + 0.5, 0.9) for n in range(3)], speaker=0)
    (cue, *_) = captions([segment], 60.0, ["Speaker 1:"])
    assert cue.lines[0] == "Speaker 1: " + "x" * 20


def test_an_unknown_speaker_has_no_prefix() -> None:
    assert texts(captions([english("Who said that?")], 60.0, ["Speaker 1:"])) == ["Who said that?"]


def said_by(speaker: int | None, *words: tuple[str, float, float]) -> Segment:
    return segment_of([Word(f" {text}", start, end, 0.9) for text, start, end in words], speaker)


def test_a_short_cue_stays_until_it_can_be_read_or_the_next_one_comes() -> None:
    talk = [said_by(0, ("Yes.", 0.0, 0.3)), said_by(1, ("No.", 0.5, 0.8)), said_by(0, ("Maybe.", 5.0, 5.3))]
    assert [(cue.start, cue.end) for cue in captions(talk, 5.4)] == [(0, 500), (500, 1500), (5000, 5400)]


def test_a_cue_lingers_after_its_last_word() -> None:
    talk = [said_by(0, ("Wait", 0.0, 0.5), ("here.", 0.5, 2.0)), said_by(1, ("Why?", 4.0, 4.3))]
    assert captions(talk, 9.0)[0].end == 2500


def test_a_cue_that_is_said_too_fast_to_be_read_stays_into_the_silence() -> None:
    fast = english("This whole sentence, all of its words, takes a second.", step=0.1)
    (cue,) = captions([fast], 9.0)
    assert cue.end == sum(map(columns, cue.lines)) * 1000 // 17 > 3000


def test_between_two_cues_the_screen_is_clear_for_two_frames() -> None:
    talk = [said_by(0, ("Wait", 0.0, 1.0), ("here.", 1.0, 2.0)), said_by(1, ("Why?", 2.2, 2.5))]
    assert captions(talk, 9.0)[0].end == 2200 - GAP_MILLISECONDS


def test_a_cue_gives_up_the_gap_rather_than_its_second() -> None:
    talk = [said_by(0, ("Wait.", 0.0, 0.9)), said_by(1, ("Why?", 1.0, 1.3))]
    assert captions(talk, 9.0)[0].end == MIN_CUE_MILLISECONDS


def test_tiny_sentences_of_one_speaker_share_a_cue() -> None:
    talk = [
        said_by(0, ("Yes.", 0.0, 0.3)),
        said_by(0, ("I", 0.5, 0.7), ("do.", 0.7, 1.0)),
        said_by(0, ("So.", 1.2, 1.5)),
    ]
    assert texts(captions(talk, 9.0, ["Speaker 1:"])) == ["Speaker 1: Yes. I do. So."]


def test_a_cue_never_holds_two_speakers() -> None:
    talk = [said_by(0, ("Yes.", 0.0, 0.3)), said_by(1, ("No.", 0.3, 0.6)), said_by(None, ("Oh.", 0.6, 0.9))]
    assert [cue.speaker for cue in captions(talk, 9.0)] == [0, 1, None]


def test_sentences_far_apart_are_two_cues() -> None:
    talk = [said_by(0, ("Yes.", 0.0, 0.3)), said_by(0, ("Indeed.", 4.0, 4.5))]
    assert texts(captions(talk, 9.0)) == ["Yes.", "Indeed."]


def test_segments_of_languages_without_spaces_are_joined_without() -> None:
    talk = [replace(evenly(list("今天很好"), 0.2, start), language="zh") for start in (0.0, 0.8)]
    assert texts(captions(talk, 9.0)) == ["今天很好今天很好"]


def test_a_segment_without_a_leading_space_is_parted_from_the_one_before() -> None:
    talk = [replace(evenly(["早。"]), language="zh"), evenly(["Hello."], start=0.4)]
    assert texts(captions(talk, 9.0)) == ["早。 Hello."]


def test_a_cue_of_no_length_gets_one() -> None:
    talk = [evenly([" a"], step=0.0, start=3.0), replace(evenly([" b"], step=0.0, start=3.0), speaker=0)]
    assert [(cue.start, cue.end) for cue in captions(talk, 3.0)] == [(2999, 3000), (3000, 3001)]


def test_a_segment_whose_words_are_not_known_is_cut_all_the_same() -> None:
    text = " ".join(["something"] * 30)
    segment = Segment(0.0, 12.0, text, (), 0.9, -0.2, 0.0, 1.0, "en", 1.0)
    cues = captions([segment], 60.0)
    assert " ".join(line for cue in cues for line in cue.lines) == text
    assert cues[-1].end >= 12000


def test_text_without_anything_to_show_gives_no_cue() -> None:
    assert captions([evenly([" \n", "\x00"])], 60.0) == ()


def test_white_space_and_control_characters_do_not_reach_the_screen() -> None:
    assert plain(" a\r\n\r\nb\x00\x07c\u2028d ") == "a bc d"


def test_who_speaks_into_a_long_sentence_is_seen_when_he_does() -> None:
    long = english("One thing that I have always wanted to say about all of this, and to you above all, is that")
    cues = captions([replace(long, speaker=0), replace(evenly([" Yes."], start=3.0), speaker=1)], 60.0)
    assert [cue.speaker for cue in cues] == [0, 1, 0]
    assert all(cue.end - cue.start > 250 for cue in cues), "nobody flickers by"


def test_who_is_pushed_back_by_another_can_still_be_read() -> None:
    talk = [(0, 0.0, 5.0), (1, 0.1, 0.6), (2, 0.7, 3.0)]
    cues = captions([segment_of([Word(" Yes.", start, end, 0.9)], speaker) for speaker, start, end in talk], 60.0)
    assert [cue.speaker for cue in cues] == [0, 1, 2]
    assert all(cue.end - cue.start >= MIN_CUE_MILLISECONDS for cue in cues)


def test_all_who_talk_at_once_at_the_end_are_seen_before_it() -> None:
    talk = [(speaker, 18.5 + speaker / 10, 20.0) for speaker in range(3)]
    cues = captions([segment_of([Word(" Bye.", start, end, 0.9)], speaker) for speaker, start, end in talk], 20.0)
    assert [cue.speaker for cue in cues] == [0, 1, 2]
    assert cues[-1].end <= 20_000
    assert all(cue.end - cue.start >= 250 for cue in cues)


times = st.floats(0.0, 30.0)
tokens = st.sampled_from([" and", " so,", " yes.", "-like", "那", "。", " 日本", " \n", " " + "w" * 50, "é" * 30])
any_words = st.lists(st.builds(Word, tokens, times, times, st.just(0.9)), max_size=30)
any_speaker = st.sampled_from([None, 0, 1])


@given(st.lists(st.tuples(any_words, any_speaker), max_size=5), st.booleans())
def test_cues_keep_every_law(talk: list[tuple[list[Word], int | None]], named: bool) -> None:
    segments = order_words([segment_of(words, speaker) for words, speaker in talk], 30.0)
    prefixes = ["Speaker 1:", "Speaker 2:"] if named else []
    cues = captions(segments, 30.0, prefixes)
    for cue in cues:
        assert 0 <= cue.start < cue.end
        assert cue.end - cue.start <= MAX_CUE_MILLISECONDS
        assert 1 <= len(cue.lines) <= MAX_LINES
        assert all(line.strip() and columns(line) <= LINE_COLUMNS for line in cue.lines)
    assert all(before.end <= after.start for before, after in pairwise(cues))
    assert all(
        cue.end - cue.start >= MIN_CUE_MILLISECONDS or until - cue.end <= 1
        for cue, until in zip(cues, [*(cue.start for cue in cues), 30_000][1:], strict=True)
    )
    shown = "".join(line for cue in cues for line in cue.lines)
    for prefix in prefixes:
        shown = shown.replace(prefix, "")
    said = "".join(plain(word.text) for segment in segments for word in segment.words)
    assert shown.replace(" ", "") == said.replace(" ", "")


@given(st.lists(st.lists(any_words, max_size=3), max_size=3))
def test_cues_of_people_who_talk_at_once_lose_nothing_and_never_overlap(talk: list[list[list[Word]]]) -> None:
    channels = [
        order_words([segment_of(words, speaker) for words in segments], 30.0) for speaker, segments in enumerate(talk)
    ]
    segments = sorted((segment for channel in channels for segment in channel), key=lambda segment: segment.start)
    cues = captions(segments, 30.0)
    assert all(before.end <= after.start for before, after in pairwise(cues))
    assert all(cue.start < cue.end for cue in cues)
    for speaker, channel in enumerate(channels):
        shown = "".join(line for cue in cues if cue.speaker == speaker for line in cue.lines)
        said = "".join(plain(word.text) for segment in channel for word in segment.words)
        assert shown.replace(" ", "") == said.replace(" ", "")
