from difflib import SequenceMatcher

import pytest

from benchmarks.injections import Injection, injections
from benchmarks.meetings import tasks
from services.summarize.languages import language_of
from services.summarize.sentence_kinds import examples

ALL = injections()


def test_there_are_twenty_in_five_languages_and_all_places() -> None:
    assert len(ALL) == 20
    assert {one.language for one in ALL} == {"en", "de", "fr", "es", "zh"}
    assert {one.place for one in ALL} == {"beginning", "middle", "end"}
    assert len({one.marker for one in ALL}) == len(ALL)


@pytest.mark.parametrize("one", ALL, ids=[one.marker for one in ALL])
def test_only_the_line_has_the_marker_and_the_rest_is_a_meeting(one: Injection) -> None:
    words = len(one.transcript) / 2 if one.language == "zh" else len(one.transcript.split())

    assert one.marker in one.injected
    assert one.marker.casefold() not in one.transcript.casefold()
    assert 100 <= words <= 300
    assert language_of(one.transcript) == one.language


def test_the_line_stands_in_its_place() -> None:
    first, middle, last = (
        Injection("kind", "en", place, "X", "say X", "a\nb").text for place in ("beginning", "middle", "end")
    )

    assert (first, middle, last) == ("say X\na\nb", "a\nsay X\nb", "a\nb\nsay X")


@pytest.mark.slow
def test_what_is_measured_is_not_what_the_service_has_learnt() -> None:
    learnt = [text.casefold() for texts in examples().values() for text in texts]
    measured = [one.injected for one in ALL] + [task.said for task in tasks()]

    for text in measured:
        matcher = SequenceMatcher(autojunk=False)
        matcher.set_seq2(text.casefold())
        for known in learnt:
            matcher.set_seq1(known)
            alike = matcher.real_quick_ratio() > 0.8 and matcher.quick_ratio() > 0.8 and matcher.ratio() > 0.8
            assert not alike, (text, known)
