import json

import pytest

from services.cli.printing import print_facts, print_json, print_table


def test_json_is_what_it_was_made_of(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "Änne", "left": None})
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"name": "Änne", "left": None}
    assert "Änne" in shown


def test_a_table_has_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("id", "size"), [("one", 1), ("three", 1000), ("none", None)], right=("size",))
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["id", "size"],
        ["one", "1"],
        ["three", "1000"],
        ["none", "-"],
    ]


def test_what_looks_like_markup_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name",), [("[red]Anna[/red] :smile:",)])
    assert capsys.readouterr().out.splitlines()[1].strip() == "[red]Anna[/red] :smile:"


def test_a_long_name_in_a_pipe_is_broken_and_nothing_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("id", "name"), [("i" * 20, "n" * 300)], wrap=("name",))
    shown = capsys.readouterr().out
    assert (shown.count("i" * 20), shown.count("n") - len("name"[:1])) == (1, 300)


def test_facts_stand_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts({"id": "acc_1", "period end": None})
    assert capsys.readouterr().out == "id          acc_1\nperiod end  -\n"
