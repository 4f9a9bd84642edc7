import pytest

from services.summarize.faithfulness import Evidence
from services.summarize.judging import LONGEST, Judge, different, is_same_task

SOURCE = "Ana: The roof leaks. The repair costs 45000 euros. Carla writes to Lindner on Monday."


def judge(**told: object) -> Judge:
    return Judge(Evidence(SOURCE, "en"), "en", "en", **told)  # type: ignore[arg-type] # what each test is about


@pytest.mark.parametrize("unit", ["The roof leaks.", "Repairing it costs 45,000 euros.", "Carla writes to Lindner."])
def test_what_the_source_says_may_stay(unit: str) -> None:
    assert judge().judge(unit) == unit


@pytest.mark.parametrize(
    "unit",
    [
        "The roof leaks, says Zoltan.",
        "The repair costs 99 euros.",
        "Bananas ripen faster beneath tropical sunshine.",
        "Does the roof leak?",
        "Das Dach ist undicht und die Reparatur kostet sehr viel Geld.",
        "...",
        "",
        "The roof leaks. " * LONGEST,
    ],
)
def test_what_it_does_not_say_may_not(unit: str) -> None:
    assert judge().judge(unit) is None


def test_the_same_thing_is_accepted_once() -> None:
    judging = judge()

    assert judging.judge("The roof leaks.")
    assert judging.judge("the roof, leaks") is None


def test_a_name_before_a_sentence_is_taken_away_when_it_is_a_speaker() -> None:
    assert judge(speakers=["Ana"]).judge("Ana: The roof leaks.") == "The roof leaks."
    assert judge().judge("Ana: The roof leaks.") == "Ana: The roof leaks."


def test_a_sentence_that_says_little_is_not_copied() -> None:
    assert judge(uncopied=["The roof leaks."]).judge("The roof leaks!") is None
    assert judge(uncopied=["The roof leaks."]).judge("The roof leaks on Monday.")


def test_a_translation_is_held_to_numbers_and_language_but_not_to_words() -> None:
    judging = Judge(Evidence(SOURCE, "en"), "de", "en")

    assert judging.judge("Das Dach ist undicht und die Reparatur kostet 45000 Euro.")
    assert judging.judge("Das Dach ist undicht und die Reparatur kostet 46000 Euro.") is None
    assert judging.judge("The roof leaks and the repair costs a lot of money.") is None


@pytest.mark.parametrize(
    ("said", "item", "same"),
    [
        ("Tom: I can send the contract to Ann by Tuesday.", "Tom: I send the contract to Ann by Tuesday", True),
        ("Ana: Ben, please send the contract by Tuesday.", "Ben: send the contract by Tuesday", True),
        ("Ana: I send the contract by Tuesday.", "I send the contract by Tuesday", False),
        ("Ana: Ben, please send the contract by Tuesday.", "Ana: send the contract by Tuesday", False),
        ("Tom: I can send the contract to Ann by Tuesday.", "Tom: send the contract to Ann", False),
        ("Tom: I can send the contract to Ann by Tuesday.", "Tom: send the contract to Eve by Tuesday", False),
        ("Omar, fix the login bug this week.", "Omar: fix the login bug this week", True),
        ("Pay invoice 4471 by Friday.", "pay the invoice by Friday", False),
        ("Pay invoice 4471 by Friday.", "pay invoice 4471 by Friday", True),
    ],
)
def test_a_task_in_short_keeps_every_name_and_number_and_adds_nothing(said: str, item: str, *, same: bool) -> None:
    assert is_same_task(said, item, "en") is same


def test_units_that_differ_in_punctuation_only_are_the_same() -> None:
    assert different(["The roof leaks.", "the roof leaks", "It rains."]) == ["The roof leaks.", "It rains."]
