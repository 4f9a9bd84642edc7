import random

import pytest

from services.edge.channels import side_by_side
from services.edge.transcript import Segment, Word


def spoken(*words: tuple[str, float, float]) -> Segment:
    """Return a segment of words with their times."""
    return Segment(
        start=words[0][1],
        end=words[-1][2],
        text=" ".join(text for text, _, _ in words),
        words=tuple(Word(f" {text}", start, end, 0.9) for text, start, end in words),
        confidence=0.9,
        average_log_probability=-0.1,
        no_speech_probability=0.0,
        compression_ratio=1.0,
        language="en",
        language_probability=1.0,
    )


CALLER = [spoken(("Hello?", 3.0, 3.5)), spoken(("Who", 6.0, 6.2), ("is", 6.2, 6.4), ("it?", 6.4, 6.8))]
AGENT = [spoken(("Good", 1.0, 1.3), ("morning.", 1.3, 2.2)), spoken(("Us.", 6.5, 6.9))]


def test_speakers_are_numbered_as_they_first_speak_whatever_their_channel() -> None:
    segments, speakers = side_by_side([CALLER, AGENT], named=True)
    assert speakers == ("Speaker 1", "Speaker 2")
    assert [(s.text, s.channel, s.speaker) for s in segments] == [
        ("Good morning.", 1, 0),
        ("Hello?", 0, 1),
        ("Who is it?", 0, 1),
        ("Us.", 1, 0),
    ]
    assert all(word.speaker == s.speaker and word.speaker_confidence == 1.0 for s in segments for word in s.words)


def test_words_that_are_spoken_over_say_so() -> None:
    segments, _ = side_by_side([CALLER, AGENT], named=True)
    assert [word.text.strip() for s in segments for word in s.words if word.overlap] == ["it?", "Us."]


def test_without_names_there_are_channels_and_no_speakers() -> None:
    segments, speakers = side_by_side([CALLER, AGENT], named=False)
    assert speakers == ()
    assert {(s.speaker, s.channel) for s in segments} == {(None, 0), (None, 1)}
    assert {word.speaker for s in segments for word in s.words} == {None}


def test_a_silent_channel_is_no_speaker() -> None:
    assert side_by_side([[], AGENT], named=True)[1] == ("Speaker 1",)
    assert side_by_side([[], []], named=True) == ((), ())


def test_sentences_take_turns_even_where_they_were_recognized_as_one() -> None:
    long = spoken(("First", 0.0, 0.6), ("one.", 0.6, 1.2), ("Second", 5.0, 5.6), ("one.", 5.6, 6.2))
    segments, _ = side_by_side([[long], [spoken(("Between.", 2.0, 3.0))]], named=True)
    assert [s.text for s in segments] == ["First one.", "Between.", "Second one."]


@pytest.mark.parametrize("seed", range(30))
def test_no_word_is_lost_changed_or_moved_and_starts_never_run_backwards(seed: int) -> None:
    chance = random.Random(seed)
    channels: list[list[Segment]] = []
    for channel in range(chance.randint(1, 4)):
        now, segments = 0.0, []
        for _ in range(chance.randint(0, 6)):
            words = []
            for number in range(chance.randint(1, 8)):
                start = now + chance.choice([0.0, 0.1, 1.5])
                now = start + chance.choice([0.0, 0.2, 0.7])
                words.append((f"{channel}-{number}{chance.choice(['', '.', ','])}", start, now))
            segments.append(spoken(*words))
        channels.append(segments)
    segments, speakers = side_by_side(channels, named=True)
    for number, channel_segments in enumerate(channels):
        before = [(w.text, w.start, w.end) for s in channel_segments for w in s.words]
        assert [(w.text, w.start, w.end) for s in segments if s.channel == number for w in s.words] == before
    starts = [s.start for s in segments]
    assert starts == sorted(starts)
    assert all(s.start <= s.end for s in segments)
    assert list(dict.fromkeys(s.speaker for s in segments)) == list(range(len(speakers)))
    spans = [(w.start, w.end, s.channel) for s in segments for w in s.words]
    for segment in segments:
        for word in segment.words:
            # Against every instant of a fine grid, instead of by spans.
            ticks = [word.start + (word.end - word.start) * (n + 0.5) / 40 for n in range(40)]
            share = sum(
                any(start < tick < end and other != segment.channel for start, end, other in spans) for tick in ticks
            )
            if word.end > word.start and abs(share / 40 - 0.5) > 0.05:
                assert word.overlap is (share / 40 >= 0.5)
