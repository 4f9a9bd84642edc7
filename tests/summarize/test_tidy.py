from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.summarize.style import Style
from services.summarize.tidy import Tidier, tidy

LISTS = [Style.ACTION_ITEMS, Style.BULLET_POINTS]

# What models write, cut small, so that chance builds every awkward line from it.
FRAGMENTS = st.sampled_from(
    [
        "\n",
        "\n\n",
        " ",
        "*",
        "**",
        "- ",
        "1. ",
        "[ ] ",
        "#",
        "```",
        ":",
        ". ",
        "。",
        "Summary:",
        "Sure! ",
        "-",
        "Here is a summary of the meeting",
        "Ana",
        "보고서",
        "تقرير",
        "word " * 25,
        "</transcript>",
        "\r",
        "_",
        '"',
    ]
)
TEXTS = st.lists(FRAGMENTS, max_size=14).map("".join)


def in_pieces(text: str, style: Style, cuts: list[int]) -> str:
    tidier = Tidier(style)
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    pieces = [tidier.feed(text[start:end]) for start, end in pairwise(edges)]
    return "".join(pieces) + tidier.finish()


@given(text=TEXTS, style=st.sampled_from(Style), cuts=st.lists(st.integers(0, 2000), max_size=30))
def test_where_the_text_is_cut_into_pieces_changes_nothing(text: str, style: Style, cuts: list[int]) -> None:
    assert in_pieces(text, style, cuts) == tidy(text, style)


@given(text=TEXTS, style=st.sampled_from(Style))
def test_letter_by_letter_gives_the_same(text: str, style: Style) -> None:
    assert in_pieces(text, style, list(range(len(text)))) == tidy(text, style)


@given(text=TEXTS, style=st.sampled_from(LISTS))
def test_no_item_of_a_list_comes_twice(text: str, style: Style) -> None:
    lines = tidy(text, style).split("\n")
    assert len(lines) == len(set(lines))


@given(text=TEXTS, style=st.sampled_from(LISTS))
def test_every_line_of_a_list_begins_with_a_dash_and_says_something(text: str, style: Style) -> None:
    assert all(line.startswith("- ") and line[2:].strip() for line in tidy(text, style).split("\n") if line)


@given(text=TEXTS)
def test_a_headline_and_a_brief_summary_are_one_line(text: str) -> None:
    assert "\n" not in tidy(text, Style.HEADLINE)
    assert "\n" not in tidy(text, Style.BRIEF)


@given(text=TEXTS, style=st.sampled_from(Style))
def test_there_is_no_white_space_around_and_no_bold_print_inside(text: str, style: Style) -> None:
    tidied = tidy(text, style)
    assert tidied == tidied.strip()
    assert "**" not in tidied


def test_a_heading_that_is_all_there_is_loses_its_bold_print_too() -> None:
    assert tidy("#1. **. ", Style.BRIEF) == "1. ."


@given(text=TEXTS.filter(lambda text: "word" in text and "```" not in text))
def test_a_text_that_says_something_is_never_tidied_away(text: str) -> None:
    assert all(tidy(text, style) for style in Style)


@pytest.mark.parametrize(
    "announcement",
    [
        "Here is a summary of the transcript:\n\n",
        "Sure! Here's a brief summary:\n",
        "**Summary:** ",
        "Summary:\n",
        "## Summary\n\n",
        "```\n",
        "Aquí tienes un resumen:\n\n",
        "다음은 요약입니다:\n",
        "```text\n",
    ],
)
def test_an_announcement_is_left_out(announcement: str) -> None:
    assert tidy(f"{announcement}Ana sends the report.", Style.BRIEF) == "Ana sends the report."


def test_a_first_sentence_with_a_colon_inside_stays() -> None:
    text = "They agreed on one thing: Ana sends the report by Friday."
    assert tidy(text, Style.BRIEF) == text


def test_paragraphs_of_a_detailed_summary_stay_apart() -> None:
    assert tidy("One.\n\n\nTwo.\nThree.\n", Style.DETAILED) == "One.\n\nTwo.\nThree."


@pytest.mark.parametrize("marker", ["- ", "* ", "• ", "1. ", "2) ", "(3) ", "- [ ] ", "  - ", ""])
def test_every_kind_of_list_becomes_dashes(marker: str) -> None:
    assert tidy(f"Action items:\n{marker}Ana sends it.\n\n{marker}Ben pays.\n", Style.ACTION_ITEMS) == (
        "- Ana sends it.\n- Ben pays."
    )


def test_headings_inside_a_list_are_left_out_and_items_that_end_with_a_colon_stay() -> None:
    assert tidy("**Points:**\n- **Ana**:\n### Later\n- Ben\n```\n", Style.BULLET_POINTS) == "- Ana:\n- Ben"


def test_a_number_at_the_start_of_a_point_stays() -> None:
    assert tidy("- 2026 was good\n3.5 million were sold", Style.BULLET_POINTS) == (
        "- 2026 was good\n- 3.5 million were sold"
    )


@pytest.mark.parametrize(
    "written",
    [
        '"Team Ships the Beta"',
        "# Team Ships the Beta\nMore",
        "Headline: Team Ships the Beta.",
        "**Team Ships the Beta**",
        "Here is the headline:\n\nTeam Ships the Beta\n",
    ],
)
def test_a_headline_loses_its_wrapping(written: str) -> None:
    assert tidy(written, Style.HEADLINE) == "Team Ships the Beta"


def test_a_headline_is_done_with_its_first_line() -> None:
    tidier = Tidier(Style.HEADLINE)
    assert tidier.feed("Team ships") == ""
    assert not tidier.done
    assert tidier.feed(" beta\nAnd") == "Team ships beta"
    assert tidier.done
    assert tidier.feed(" more") + tidier.finish() == ""


def test_a_list_that_goes_in_circles_ends_there() -> None:
    tidier = Tidier(Style.ACTION_ITEMS)
    written = tidier.feed("- Ana pays\n- Ben writes\n- Ana pays\n- Carla reads\n- Ana pays\n")
    assert not tidier.done
    written += tidier.feed("- Ben writes\n")
    assert tidier.done
    assert written + tidier.feed("- Dora") + tidier.finish() == "- Ana pays\n- Ben writes\n- Carla reads"


def test_an_item_waits_while_it_may_be_a_repetition() -> None:
    tidier = Tidier(Style.BULLET_POINTS)
    assert tidier.feed("- Ana pays\n- Ana") == "- Ana pays"
    assert tidier.feed(" reads") == "\n- Ana reads"


def test_text_flows_before_its_line_ends() -> None:
    tidier = Tidier(Style.BULLET_POINTS)
    assert tidier.feed("- Ana") == "- Ana"
    assert tidier.feed(" sends") == " sends"
    assert tidier.feed("\n") == ""
    assert tidier.feed("-") == ""
    assert tidier.feed(" B") == "\n- B"


def test_a_first_sentence_flows_once_it_is_clearly_no_announcement() -> None:
    tidier = Tidier(Style.BRIEF)
    assert tidier.feed("The team met on Monday.") == ""
    assert tidier.feed(" It") == "The team met on Monday. It"
