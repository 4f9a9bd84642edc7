from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest

from services.asr.engine import AlignedWord, Hypothesis
from services.asr.stock_phrases import STOCK_PHRASES
from services.asr.suppression import Sign, is_stock_phrase, segment_signs, verdict, window_signs
from services.asr.transcript import Reason

SAID = Hypothesis((1, 2), "We should leave on Friday, I think.", -0.3, 0.02, 1.1, complete=True)


def words(*spoken: tuple[str, float, float], probability: float = 0.9) -> list[AlignedWord]:
    return [AlignedWord(f" {text}", start, end, probability) for text, start, end in spoken]


# --- signs ---


def test_nothing_speaks_against_what_was_said() -> None:
    assert window_signs(SAID, 2.5, 0.9) == frozenset()


@pytest.mark.parametrize(
    ("hypothesis", "speech_seconds", "speech_probability", "sign"),
    [
        (SAID, 2.5, 0.6, Sign.WEAK_VOICE),
        (replace(SAID, text="No."), 0.1, 0.9, Sign.WEAK_VOICE),
        (replace(SAID, no_speech_probability=0.61), 2.5, 0.9, Sign.NO_SPEECH),
        (replace(SAID, average_log_probability=-1.01), 2.5, 0.9, Sign.GUESSED),
        (replace(SAID, compression_ratio=2.5), 2.5, 0.9, Sign.REPEATS),
        (replace(SAID, text="on and " * 5), 2.5, 0.9, Sign.REPEATS),
        (replace(SAID, text="We leave on Friday. " * 5), 9.0, 0.9, Sign.REPEATS),
        (replace(SAID, text="Four score and seven years ago our fathers brought forth"), 1.0, 0.9, Sign.HURRIED),
        (replace(SAID, text="Thank you."), 2.5, 0.9, Sign.STOCK_PHRASE),
    ],
)
def test_each_sign_shows_alone_and_alone_holds_nothing_back(
    hypothesis: Hypothesis, speech_seconds: float, speech_probability: float, sign: Sign
) -> None:
    signs = window_signs(hypothesis, speech_seconds, speech_probability)

    assert signs == {sign}
    assert verdict(signs) is None


def test_the_limits_themselves_speak_against_nothing() -> None:
    hypothesis = replace(SAID, no_speech_probability=0.6, average_log_probability=-1.0, compression_ratio=2.4)

    assert window_signs(replace(hypothesis, text="x" * 70), 2.0, 0.65) == frozenset()


def test_a_short_word_is_not_hurried() -> None:
    assert window_signs(replace(SAID, text="Yes, of course."), 0.25, 0.9) == frozenset()


@pytest.mark.parametrize(
    ("start", "end", "outside"),
    [
        (1.0, 2.0, False),
        (0.25, 1.25, False),
        (0.1, 1.1, True),
        (2.85, 3.35, False),
        (2.95, 3.45, True),
        (7.0, 9.0, True),
    ],
)
def test_words_of_which_less_than_a_fifth_lies_in_speech_are_outside(start: float, end: float, outside: bool) -> None:
    signs = segment_signs(words(("perhaps", start, end)), [(1.0, 2.0), (2.5, 3.0)])

    assert signs == ({Sign.OUTSIDE} if outside else frozenset())


@pytest.mark.parametrize(("moment", "outside"), [(1.0, False), (1.5, False), (2.5, True)])
def test_words_without_length_are_outside_where_nobody_speaks(moment: float, outside: bool) -> None:
    signs = segment_signs(words(("so", moment, moment), ("what", moment, moment)), [(1.0, 2.0)])

    assert (Sign.OUTSIDE in signs) == outside


def test_a_segment_is_judged_by_all_its_words() -> None:
    mixed = [*words(("He", 0.0, 0.2), probability=0.1), *words(("went", 0.2, 1.0), ("home", 1.0, 1.5))]

    assert segment_signs(mixed, [(0.0, 1.5)]) == frozenset()
    assert segment_signs(words(("He", 0.0, 0.2), ("went", 0.2, 1.0), probability=0.39), [(0.0, 1.0)]) == {Sign.GUESSED}
    assert segment_signs(words(("Thank", 0.0, 0.2), ("you.", 0.2, 1.0)), [(0.0, 1.0)]) == {Sign.STOCK_PHRASE}


def test_a_segment_that_says_the_one_before_it_again_repeats() -> None:
    again = words(("Leave", 0.0, 0.5), ("now!", 0.5, 1.0))

    assert segment_signs(again, [(0.0, 1.0)], "leave now") == {Sign.REPEATS}
    assert segment_signs(again, [(0.0, 1.0)], "leave it") == frozenset()


def test_a_sentence_in_no_time_is_hurried_a_word_is_not() -> None:
    sentence = words(*[(word, 1.0, 1.0) for word in ["We", "should", "leave", "on", "Friday,", "I", "think."]])

    assert segment_signs(sentence, [(0.0, 1.0)]) == {Sign.HURRIED}
    assert segment_signs(words(("No.", 1.0, 1.0)), [(0.0, 1.0)]) == frozenset()


# --- what follows from them ---


def test_one_sign_alone_is_no_proof() -> None:
    assert verdict(frozenset()) is None
    assert [verdict(frozenset([sign])) for sign in Sign] == [None] * len(Sign)


@pytest.mark.parametrize("pair", list(combinations(Sign, 2)), ids=lambda pair: " ".join(sign.name for sign in pair))
def test_two_signs_are_and_more_do_not_weaken_them(pair: tuple[Sign, Sign]) -> None:
    assert verdict(frozenset(pair)) is not None
    assert all(verdict(frozenset([*pair, third])) is not None for third in Sign)


@pytest.mark.parametrize(
    ("signs", "reason"),
    [
        ((Sign.NO_SPEECH, Sign.GUESSED), Reason.NO_SPEECH),
        ((Sign.NO_SPEECH, Sign.WEAK_VOICE), Reason.NO_SPEECH),
        ((Sign.OUTSIDE, Sign.GUESSED), Reason.OUTSIDE_SPEECH),
        ((Sign.OUTSIDE, Sign.STOCK_PHRASE), Reason.OUTSIDE_SPEECH),
        ((Sign.REPEATS, Sign.HURRIED), Reason.REPETITION),
        ((Sign.REPEATS, Sign.GUESSED), Reason.REPETITION),
        ((Sign.REPEATS, Sign.HURRIED, Sign.STOCK_PHRASE), Reason.REPETITION),
        ((Sign.STOCK_PHRASE, Sign.WEAK_VOICE), Reason.STOCK_PHRASE),
        ((Sign.STOCK_PHRASE, Sign.NO_SPEECH), Reason.STOCK_PHRASE),
    ],
)
def test_the_reason_names_what_is_most_telling(signs: Sequence[Sign], reason: Reason) -> None:
    assert verdict(frozenset(signs)) is reason


@pytest.mark.parametrize("no_speech", [0.7, 0.9, 1.0])
def test_clear_speech_is_kept_however_much_the_model_doubts_that_there_is_any(no_speech: float) -> None:
    assert verdict(window_signs(replace(SAID, no_speech_probability=no_speech), 2.5, 0.9)) is None


def test_mumbling_in_the_middle_of_speech_is_kept() -> None:
    assert verdict(window_signs(replace(SAID, average_log_probability=-1.8), 2.5, 0.9)) is None
    assert verdict(segment_signs(words(("perhaps", 1.0, 1.5), probability=0.1), [(0.0, 9.0)])) is None


def test_a_sentence_that_is_written_twice_but_said_once_is_written_once() -> None:
    again = words(*[(word, 9.0, 9.0) for word in ["We", "should", "leave", "on", "Friday."]])

    assert verdict(segment_signs(again, [(0.0, 9.0)], "We should leave on Friday.")) is Reason.REPETITION


def test_who_says_thank_you_is_heard() -> None:
    assert verdict(window_signs(replace(SAID, text="Thank you."), 0.6, 0.9)) is None
    assert verdict(segment_signs(words(("Thank", 0.0, 0.3), ("you.", 0.3, 0.6)), [(0.0, 0.6)])) is None


def test_thanks_for_watching_at_the_end_of_music_is_held_back() -> None:
    thanks = replace(SAID, text="Thanks for watching!")

    assert verdict(window_signs(thanks, 0.6, 0.55)) is Reason.STOCK_PHRASE
    assert verdict(window_signs(replace(thanks, no_speech_probability=0.8), 0.6, 0.9)) is Reason.STOCK_PHRASE


# --- stock phrases ---


@pytest.mark.parametrize(
    "text",
    [
        "Thank you.",
        " THANK YOU!",
        "you",
        "Bye-bye.",
        "♪ Music ♪",
        "[Applause]",
        "Subtitles by the Amara.org community",
        "Untertitelung des ZDF, 2020",
        "Sous-titrage ST' 501",
        "¡Suscríbete al canal!",
        "Продолжение следует...",
        "İzlediğiniz için teşekkür ederim.",
        "ALTYAZI M.K.",
        "شكراً للمشاهدة",
        "ご視聴ありがとうございました。",
        "ｔｈａｎｋ　ｙｏｕ",  # noqa: RUF001 - full-width letters are meant
        "谢谢大家!",
        "시청해 주셔서 감사합니다.",
    ],
)
def test_a_stock_phrase_is_known_in_every_script_case_and_punctuation(text: str) -> None:
    assert is_stock_phrase(text)


@pytest.mark.parametrize("phrase", STOCK_PHRASES)
def test_every_stock_phrase_is_known_however_it_is_written(phrase: str) -> None:
    written = (phrase, phrase.upper(), phrase.title(), phrase.capitalize(), f" “{phrase}…” ", f"- {phrase}!")

    assert all(map(is_stock_phrase, written))


@pytest.mark.parametrize("text", ["", "...", "Thank you for coming.", "I thank you", "yo u", "Danke, vielen Dank euch"])
def test_other_text_is_none(text: str) -> None:
    assert not is_stock_phrase(text)
