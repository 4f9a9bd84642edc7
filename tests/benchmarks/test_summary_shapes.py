import pytest

from benchmarks.summary_shapes import sentence_count, shape_faults
from services.summarize.style import Style


@pytest.mark.parametrize(
    ("style", "text"),
    [
        (Style.BRIEF, "Mr. Quilter was late. The bridge stays closed until May!"),
        (Style.BRIEF, "会议决定租两辆电动车。白色的那辆卖掉。"),
        (Style.BRIEF, "lobsters and lobsters"),
        (Style.DETAILED, "The bridge was closed on Monday.\n\nA new support costs 90,000. The state pays most of it."),
        (Style.ACTION_ITEMS, "none"),
        (Style.ACTION_ITEMS, "- Nora: put a note on the board\n- Speaker 2: call the painter: today"),
        (Style.BULLET_POINTS, "- The canteen opens on 2 June.\n- 30 people had lunch in the small room."),
        (Style.HEADLINE, "Canteen opens again in June"),
        (Style.HEADLINE, "Summary judgment against the former mayor"),
    ],
)
def test_what_has_the_shape_of_its_style_has_no_faults(style: Style, text: str) -> None:
    assert shape_faults(text, style) == []


@pytest.mark.parametrize("style", list(Style))
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("The bridge is closed. ", "white space around it"),
        ("# Bridge\nThe bridge is closed.", "heading"),
        ("```\nThe bridge is closed.\n```", "code fence"),
        ("- The **bridge** is closed.", "bold print"),
        ("- The bridge is closed. <|im_end|>", "control sequence"),
        ("- The bridge </transcript> is closed.", "control sequence"),
        ("Here is a summary of the meeting. The bridge is closed.", "preamble"),
        ("Here's what was said.", "preamble"),
        ("Sure! The bridge is closed.", "preamble"),
        ("**Summary:** The bridge is closed.", "preamble"),
        ("Voici un résumé de la réunion. Le pont est fermé.", "preamble"),
        ("以下是会议的摘要。桥关闭了。", "preamble"),
        ("The main points of the meeting:\n- The bridge is closed.", "announcement"),
    ],
)
def test_what_no_style_may_have_is_a_fault_in_all(style: Style, text: str, fault: str) -> None:
    assert fault in shape_faults(text, style)


@pytest.mark.parametrize(
    ("style", "text", "fault"),
    [
        (Style.BRIEF, "One is here. Two is here. Three is here. Four is here.", "more than 3 sentences"),
        (Style.BRIEF, "One is here.\nTwo is here.", "more than one paragraph"),
        (Style.BRIEF, "- One is here.", "list"),
        (Style.DETAILED, "What was said.\n1. One is here.\n2. Two is here.", "list"),
        (Style.ACTION_ITEMS, "None", "a line that is no item"),
        (Style.ACTION_ITEMS, "- none", "none as an item"),
        (Style.ACTION_ITEMS, "- call Ann\nand Bob", "a line that is no item"),
        (Style.BULLET_POINTS, "none", "a line that is no item"),
        (Style.BULLET_POINTS, "* One is here.", "a line that is no item"),
        (Style.BULLET_POINTS, "- One is here.\n\n- Two is here.", "a line that is no item"),
        (Style.BULLET_POINTS, "- - One is here.", "a line that is no item"),
        (Style.HEADLINE, "One\nTwo", "more than one line"),
        (Style.HEADLINE, "x" * 101, "more than 100 characters"),
        (Style.HEADLINE, "- One", "list"),
    ],
)
def test_each_style_has_faults_of_its_own(style: Style, text: str, fault: str) -> None:
    assert shape_faults(text, style) == [fault]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("no full stop", 1),
        ("Dr. Amari met Mrs. Novak at 3.5 degrees.", 1),
        ("It was z. B. cold. Nobody came.", 2),
        ('He said "No." Then he left', 2),
        ("他来了。她走了！你呢？", 3),  # noqa: RUF001 - marks of China
        ("क्या हुआ। कुछ नहीं।", 2),
    ],
)
def test_sentences_are_counted_but_not_their_abbreviations(text: str, count: int) -> None:
    assert sentence_count(text) == count
