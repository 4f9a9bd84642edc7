import pytest

from services.summarize.faithfulness import Evidence
from services.summarize.material import Material, quotations, saying_little, that_fit
from services.summarize.style import Style


def material(*units: str) -> Material:
    words: dict[str, int] = {}
    tokens = [[words.setdefault(word, len(words)) for word in unit.split()] for unit in units]
    text = "\n".join(units)
    return Material(text, units, tuple(tokens), of_notes=False, evidence=Evidence(text, "en"))


# What all have in common tells nothing; what two or three have, most.
LONG = [
    f"the house{number // 2} in street{number // 3} of town{number // 3} is old{number // 2}" for number in range(12)
]


def test_few_units_are_all_worth_repeating() -> None:
    assert saying_little(material(*LONG[:11])) == []


def test_of_many_units_half_say_little() -> None:
    little = saying_little(material(*LONG, "yes", "well then"))

    assert len(little) == 7
    assert {"yes", "well then"} <= set(little)


@pytest.mark.parametrize(("style", "most"), [(Style.BRIEF, 2), (Style.DETAILED, 4), (Style.BULLET_POINTS, 3)])
def test_what_says_most_is_quoted_in_order(style: Style, most: int) -> None:
    quoted = quotations(material("yes", *LONG, "no"), style)

    assert len(quoted) == most
    assert sorted(quoted, key=LONG.index) == quoted


def test_questions_are_quoted_only_where_there_is_nothing_else() -> None:
    questions = ["Where is the roof of the house?", "屋根はどこですか？"]  # noqa: RUF001 - the Japanese mark

    assert quotations(material(*questions, "The roof is old."), Style.BRIEF) == ["The roof is old."]
    assert quotations(material(*questions), Style.BRIEF) == questions


def test_nothing_is_quoted_of_nothing() -> None:
    assert quotations(material(), Style.BRIEF) == []


@pytest.mark.parametrize("unit", ["word " * 40, "x" * 300, "long-word-that-never-ends " * 12, "short"])
def test_a_quoted_headline_is_short(unit: str) -> None:
    (headline,) = quotations(material(unit.strip()), Style.HEADLINE)

    assert len(headline) <= 80
    assert len(headline.split()) <= 12
    assert headline == unit or headline.endswith("…")


def test_what_fits_is_what_says_most_in_order() -> None:
    tokens = material("yes", *LONG).tokens
    kept = that_fit(["yes", *LONG], tokens, [10] * 13, 35)

    assert len(kept) == 3
    assert "yes" not in kept
    assert sorted(kept, key=LONG.index) == kept


def test_what_is_too_large_is_left_out_and_a_smaller_one_taken() -> None:
    assert that_fit(["the large roof", "no"], [[1, 2, 3], [4]], [50, 5], 10) == ["no"]
