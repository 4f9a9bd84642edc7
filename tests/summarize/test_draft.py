from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.summarize.draft import MOST_REFUSED, Draft
from services.summarize.style import Style

LISTS = [Style.ACTION_ITEMS, Style.BULLET_POINTS]
PROSE = [Style.BRIEF, Style.DETAILED]

# What models write, cut small, so that chance builds every awkward text from it.
FRAGMENTS = st.sampled_from(
    [
        "\n",
        "\n\n",
        " ",
        "**",
        "- ",
        "1. ",
        "# ",
        "```",
        "Here is a summary:",
        ". ",
        ".",
        "? ",
        '"',
        "3.5",
        "Mr.",
        "etc. ",
        "Ana pays. ",
        "ben pays",
        "- Ana pays\n",
        "refused. ",
        "- refused\n",
        "보고서를 보냅니다. ",
        "報告書を送ります。",
        "「はい。」",
        "تقرير",
        "word, " * 25,
        "x" * 239,
    ]
)
TEXTS = st.lists(FRAGMENTS, max_size=20).map("".join)


def judged(unit: str) -> str | None:
    return None if "refused" in unit else unit


def drafted(
    pieces: Sequence[str],
    style: Style,
    judge: Callable[[str], str | None] = judged,
    most: int = 100,
    show: Callable[[str], None] = lambda unit: None,
) -> tuple[Draft, int]:
    """Return a finished draft of tokens that are these pieces, and how many of them it took."""
    draft = Draft(style, lambda tokens: "".join(pieces[token] for token in tokens), judge, most, show)
    taken = 0
    for token in range(len(pieces)):
        taken += 1
        if not draft.take(token):
            break
    draft.finish()
    return draft, taken


def in_pieces(text: str, cuts: Sequence[int]) -> list[str]:
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


# --- where the text is cut into tokens ---


@given(TEXTS, st.sampled_from(Style), st.lists(st.integers(0, 3000), max_size=30), st.integers(1, 5))
def test_where_the_tokens_are_cut_changes_nothing(text: str, style: Style, cuts: list[int], most: int) -> None:
    whole, _ = drafted([text], style, most=most)
    pieces, _ = drafted(in_pieces(text, cuts), style, most=most)

    assert (pieces.units, pieces.refused) == (whole.units, whole.refused)


@given(TEXTS, st.sampled_from(Style))
@example("x" * 238 + "etc. Foo bar. More", Style.BRIEF)
@example("Ana pays. He said 3.5 etc. ben too. Mr. X. ", Style.DETAILED)
def test_letter_by_letter_gives_the_same(text: str, style: Style) -> None:
    whole, _ = drafted([text], style)
    letters, _ = drafted(list(text), style)

    assert (letters.units, letters.refused) == (whole.units, whole.refused)


# --- what is shown ---


@given(TEXTS, st.sampled_from(Style), st.integers(1, 5))
def test_what_was_shown_is_what_is_returned_and_no_more_than_wanted(text: str, style: Style, most: int) -> None:
    shown = list[str]()
    draft, _ = drafted(list(text), style, most=most, show=shown.append)

    assert draft.units == shown
    assert len(shown) <= most


@given(TEXTS, st.sampled_from(Style))
def test_nothing_is_shown_that_was_not_judged_or_was_refused(text: str, style: Style) -> None:
    accepted = list[str]()

    def judge(unit: str) -> str | None:
        if "refused" in unit:
            return None
        accepted.append(f"[{unit}]")
        return accepted[-1]

    draft, _ = drafted(list(text), style, judge)

    assert draft.units == accepted
    assert not any("refused" in unit for unit in accepted)


@given(TEXTS, st.sampled_from(LISTS))
def test_the_units_of_a_list_are_its_lines_without_dashes(text: str, style: Style) -> None:
    draft, _ = drafted(list(text), style)

    assert all(unit.strip() and "\n" not in unit for unit in draft.units)
    assert len(set(draft.units)) == len(draft.units)


def test_a_sentence_is_shown_when_the_next_one_begins() -> None:
    shown = list[str]()
    draft = Draft(Style.BRIEF, lambda tokens: "".join(map(chr, tokens)), judged, 3, shown.append)

    for character in "The three of them met on Monday at 3.":
        assert draft.take(ord(character))
    assert shown == []
    for character in "5 km from town. A":
        assert draft.take(ord(character))
    assert shown == ["The three of them met on Monday at 3.5 km from town."]
    assert draft.finish() == [*shown[:1], "A"]


def test_a_line_of_a_list_is_shown_when_the_next_one_begins() -> None:
    shown = list[str]()
    draft = Draft(Style.BULLET_POINTS, lambda tokens: "".join(map(chr, tokens)), judged, 3, shown.append)

    for character in "Points:\n- Ana pays. Ben too.\n":
        draft.take(ord(character))
    assert shown == []
    for character in "- Carla":
        draft.take(ord(character))
    assert shown == ["Ana pays. Ben too."]
    assert draft.finish() == ["Ana pays. Ben too.", "Carla"]


@pytest.mark.parametrize("style", PROSE)
def test_the_units_of_prose_are_its_sentences_over_all_paragraphs(style: Style) -> None:
    draft, _ = drafted(list("The team met on Monday. Ana pays.\n\nBen, Mr. X and others stay.\nGood."), style)

    assert draft.units == ["The team met on Monday.", "Ana pays.", "Ben, Mr. X and others stay.", "Good."]


def test_a_judge_may_mend_what_is_shown() -> None:
    draft, _ = drafted(list("- Ana pays\n- ben pays"), Style.BULLET_POINTS, str.upper)

    assert draft.units == ["ANA PAYS", "BEN PAYS"]


# --- the end ---


def test_it_wants_no_more_once_it_has_enough() -> None:
    text = "The team met today. Ana pays. Ben pays. Carla pays."
    draft, taken = drafted(list(text), Style.BRIEF, most=2)

    assert draft.units == ["The team met today.", "Ana pays."]
    assert taken == text.index("Ben") + 1


@pytest.mark.parametrize("end", ["\n", "\nAnd more.", "", "\n\n"])
def test_a_headline_is_its_first_line_and_nothing_is_wanted_behind_it(end: str) -> None:
    headline = "Team ships the beta"
    draft, taken = drafted(list(f"{headline}{end}"), Style.HEADLINE, most=1)

    assert draft.units == [headline]
    assert taken == len(headline) + min(1, len(end))


def test_a_headline_that_is_one_token_with_its_end_is_kept() -> None:
    draft, taken = drafted(["Team ships the beta\n", "more"], Style.HEADLINE, most=1)

    assert (draft.units, taken) == (["Team ships the beta"], 1)


def test_a_list_that_goes_in_circles_ends_there_and_keeps_all_its_lines() -> None:
    text = "- Ana pays\n- Ben pays\n- Carla pays\n" * 5
    draft, taken = drafted(list(text), Style.BULLET_POINTS)

    assert draft.units == ["Ana pays", "Ben pays", "Carla pays"]
    assert taken == text.index("Ben", 40) + len("Ben pays\n")


def test_a_model_that_is_refused_again_and_again_is_stopped() -> None:
    draft, taken = drafted(["This is to be refused. "] * 20 + ["Ana pays."], Style.BRIEF)

    assert draft.units == []
    assert draft.refused == MOST_REFUSED
    assert MOST_REFUSED < taken < 20


def test_what_is_accepted_in_between_starts_the_count_of_refusals_again() -> None:
    lines = ["- refused %d\n"] * (MOST_REFUSED - 1) + ["- Ana pays %d\n"]
    draft, _ = drafted([line % number for number, line in enumerate(lines * 3)], Style.BULLET_POINTS)

    assert len(draft.units) == 3
    assert draft.refused == 3 * (MOST_REFUSED - 1)


def test_nothing_written_is_nothing_shown() -> None:
    assert drafted([], Style.BRIEF)[0].units == []
    assert drafted(["\n", " ", "```"], Style.BULLET_POINTS)[0].units == []
