from benchmarks.tables import table


def test_columns_are_as_wide_as_they_must_be_and_numbers_stand_right() -> None:
    text = table("Title", ["name", "n", "%"], [["a", 1, 2.5], ["longer", 100, None]])
    assert text == "\nTitle\nname      n     %\n------  ---  ----\na         1  2.50\nlonger  100     -"


def test_a_table_may_have_no_rows() -> None:
    assert table("Nothing", ["a"], []).splitlines() == ["", "Nothing", "a", "-"]
