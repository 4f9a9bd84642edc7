import pytest

from benchmarks.scoring import (
    Tally,
    Turns,
    Utterance,
    attributed_errors,
    broken_laws,
    invented_words,
    normaliser,
    parse_rttm,
    parse_stm,
    turn_errors,
    utterances_of,
    word_errors,
)

REFERENCE = [
    Utterance("anna", "how are you today", 0.0, 2.0),
    Utterance("bert", "fine thanks", 2.0, 3.0),
]


def test_english_is_normalised_by_its_own_rules() -> None:
    assert word_errors("I'm twenty two, Mister Smith.", "i am 22 mr. smith", "en").errors == 0


def test_other_languages_lose_case_and_punctuation_alone() -> None:
    assert word_errors("Straße, schön!", "straße schön", "de") == Tally(0, 2)
    assert normaliser("hi")("मुँह में।") == "मुँह में"


def test_languages_without_spaces_are_scored_by_character() -> None:
    assert word_errors("我在这。", "我 再 这", "zh") == Tally(errors=1, length=3, substitutions=1)


def test_kinds_of_errors_are_told_apart() -> None:
    tally = word_errors("a b c d", "a x c d e", "de")
    assert (tally.substitutions, tally.insertions, tally.deletions) == (1, 1, 0)
    assert tally.rate == pytest.approx(50.0)


def test_an_empty_transcript_is_all_deletions() -> None:
    assert word_errors("one two", "", "de") == Tally(errors=2, length=2, deletions=2)


def test_tallies_add_up_to_a_micro_average() -> None:
    both = Tally(1, 10) + Tally(9, 10)
    assert both.rate == pytest.approx(50.0)
    assert Tally().rate is None


def test_words_where_nobody_speaks_are_counted() -> None:
    assert invented_words("Thank you.", "en") == 2
    assert invented_words(" ... ", "en") == 0


def test_names_of_speakers_do_not_matter() -> None:
    said = [
        Utterance("Speaker 2", "How are you today?", 0.0, 2.0),
        Utterance("Speaker 1", "Fine, thanks.", 2.0, 3.0),
    ]
    cp, orc = attributed_errors(REFERENCE, said, "en")
    assert (cp.errors, orc.errors, cp.length) == (0, 0, 6)


def test_a_word_at_the_wrong_speaker_costs_attribution_only() -> None:
    said = [
        Utterance("Speaker 1", "how are you today fine", 0.0, 2.2),
        Utterance("Speaker 2", "thanks", 2.2, 3.0),
    ]
    cp, _ = attributed_errors(REFERENCE, said, "en")
    assert (cp.errors, cp.insertions, cp.deletions) == (2, 1, 1)
    everything_at_one = [Utterance("Speaker 1", "how are you today fine thanks", 0.0, 3.0)]
    cp, orc = attributed_errors(REFERENCE, everything_at_one, "en")
    assert (cp.errors, orc.errors) == (4, 0)


def test_a_conversation_without_an_answer_is_all_errors() -> None:
    cp, orc = attributed_errors(REFERENCE, [], "en")
    assert (cp.rate, orc.rate) == (100.0, 100.0)


def test_diarization_errors_are_told_apart_and_names_do_not_matter() -> None:
    found = [Utterance("x", "", 0.0, 1.5), Utterance("y", "", 2.0, 4.0)]
    turns = turn_errors(REFERENCE, found, 5.0)
    assert turns.total == pytest.approx(3.0)
    assert (turns.missed, turns.false_alarm, turns.confusion) == pytest.approx((0.5, 1.0, 0.0))
    assert turns.rate == pytest.approx(50.0)


def test_confusion_and_overlap_are_scored() -> None:
    reference = [Utterance("a", "", 0.0, 2.0), Utterance("b", "", 1.0, 2.0)]
    found = [Utterance("x", "", 0.0, 2.0)]
    assert turn_errors(reference, found, 2.0) == Turns(total=3.0, missed=1.0)
    assert (Turns(3.0, missed=1.0) + Turns(1.0)).rate == pytest.approx(25.0)


def test_segments_of_unknown_speakers_are_one_more_speaker() -> None:
    answer = {
        "segments": [
            {"start": 0.0, "end": 1.0, "text": "Hi.", "speaker": "Speaker 1"},
            {"start": 1.0, "end": 2.0, "text": "Who?", "speaker": None},
        ]
    }
    assert [utterance.speaker for utterance in utterances_of(answer)] == ["Speaker 1", "unknown"]


def test_times_that_run_backwards_or_out_of_the_file_are_counted() -> None:
    def segment(start: float, end: float) -> dict[str, object]:
        return {"start": start, "end": end, "words": [{"word": "a", "start": start, "end": end}]}

    assert broken_laws({"duration": 3.0, "segments": [segment(0.0, 1.0), segment(1.0, 3.0)]}) == 0
    assert broken_laws({"duration": 3.0, "segments": [segment(0.0, 1.0), segment(0.5, 4.0)]}) == 2


def test_stm_lines_are_read_with_and_without_labels() -> None:
    text = ";; comment\nrec 1 anna 0.5 1.25 How are you?\nrec 1 bert 2 3 <o,f0,male> fine\n\nrec 1 anna 4 5\n"
    assert parse_stm(text) == [
        Utterance("anna", "How are you?", 0.5, 1.25),
        Utterance("bert", "fine", 2.0, 3.0),
        Utterance("anna", "", 4.0, 5.0),
    ]


def test_rttm_lines_are_read() -> None:
    text = "SPEAKER rec 1 6.690 0.430 <NA> <NA> speaker90 <NA> <NA>\nLEXEME x\n"
    (turn,) = parse_rttm(text)
    assert (turn.speaker, turn.start, turn.end) == ("speaker90", 6.69, pytest.approx(7.12))
