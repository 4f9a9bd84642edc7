# ruff: noqa: RUF001 - sentences of every script, whose letters look alike
import pytest

from services.summarize.number_claims import Claim, is_label, label_numbers, number_claims
from services.summarize.number_words import number_words
from services.summarize.wording import each_token
from tests.summarize.said_and_written import SAME_NUMBERS, unsupported


def claims(sentence: str, language: str = "en") -> list[Claim]:
    return list(number_claims(sentence, list(each_token(sentence)), number_words(language)))


@pytest.mark.parametrize(
    ("sentence", "readings"),
    [
        ("nothing", []),
        ("twenty four", [(("24",),)]),
        ("1.500 men", [(("1500",), ("1.5",))]),
        ("12 000", [(("12000",),)]),
        ("5 million", [(("5000000",),)]),
        ("5 m", [(("5000000",), ("5",))]),
        ("2:30 pm", [(("2:30",), ("2", "30"), ("2:30",), ("230",), ("2", "30"), ("14:30",), ("1430",), ("14", "30"))]),
        ("2026-11-15", [(("2026", "11", "15"), ("2026", "11"), ("2026", "15"))]),
        ("420万", [(("4200000",),)]),
    ],
)
def test_a_claim_has_every_reading_of_its_number(sentence: str, readings: list[tuple[tuple[str, ...], ...]]) -> None:
    assert [claim.readings for claim in claims(sentence)] == readings


def test_claims_are_stretches_that_do_not_overlap() -> None:
    sentence = "On 05/06/2024 twenty-two of 420万 met at 3pm."
    assert sorted(sentence[claim.start : claim.end] for claim in claims(sentence)) == [
        "05/06/2024",
        "3",
        "420万",
        "twenty-two",
    ]


@pytest.mark.parametrize(("language", "said", "written"), SAME_NUMBERS)
def test_a_number_in_digits_is_known_however_it_is_written(language: str, said: str, written: str) -> None:
    assert unsupported(f"x {said} x", f"x {written} x", language) == ()


OTHER_NUMBERS = [
    ("en", "12,000", "13,000"),
    ("en", "12", "12,000"),
    ("en", "12,000", "12"),
    ("en", "12 thousand", "12 million"),
    ("en", "1.5", "15"),
    ("en", "3.5", "5.3"),
    ("en", "14:30", "14:45"),
    ("en", "twelve", "20"),
    ("en", "fourteen", "40"),
    ("en", "four, seven", "47"),
    ("de", "vierundzwanzig", "42"),
    ("de", "vierundzwanzig", "4"),
    ("fr", "quatre-vingt-quatre", "85"),
    ("ru", "двадцать четыре тысячи", "24 000 000"),
    ("zh", "三千", "三万"),
    ("ko", "이십사", "42"),
    ("en", "12.03.2026", "12.03.2025"),
    ("en", "555-123-4567", "555-123-4568"),
]


@pytest.mark.parametrize(("language", "said", "written"), OTHER_NUMBERS)
def test_another_number_is_not(language: str, said: str, written: str) -> None:
    assert unsupported(f"x {said} x", f"x {written} x", language) != ()


@pytest.mark.parametrize(
    ("language", "source", "sentence", "found"),
    [
        ("en", "we hired 12 people", "Twelve people were hired.", ()),
        ("en", "we hired people", "We hired twelve people.", ("twelve",)),
        ("en", "we hired twelve people", "We hired twelve people.", ()),
        ("en", "on the 14th", "on the fourteenth", ()),
        ("en", "on the 13th", "on the fourteenth", ("fourteenth",)),
        ("de", "12500 euro", "zwölftausendfünfhundert Euro", ()),
        ("de", "euro", "zwölftausendfünfhundert Euro", ("zwölftausendfünfhundert",)),
        ("fr", "84 euros", "quatre-vingt-quatre euros", ()),
        ("ru", "24", "двадцать четыре", ()),
        ("ru", "25", "двадцать четыре", ("двадцать четыре",)),
        ("ja", "3500円", "三千五百円です", ()),
        ("zh", "3点", "会议三点开始", ()),
    ],
)
def test_number_words_of_a_sentence_are_claims(
    language: str, source: str, sentence: str, found: tuple[str, ...]
) -> None:
    assert unsupported(source, sentence, language) == found


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "at first a second one came, and no third"),
        ("en", "hundreds of dozens"),
        ("es", "uno de ellos y una de ellas"),
        ("it", "tu sei uno di noi"),
        ("fr", "un livre neuf et une table"),
        ("de", "ein mann und eine frau, erst einer, dann zweite hilfe"),
        ("nl", "een man en het ene kind"),
        ("ro", "nouă ne place o carte"),
        ("hu", "egy hét múlva"),
        ("tr", "bu yüzden altında bir şey yedi"),
        ("vi", "năm nay ba tôi"),
        ("da", "en mand og et barn"),
        ("pt", "um quarto com uma meia"),
        ("zh", "千万不要一起去, 万一不行, 七八个也好"),
        ("ja", "一緒に一番を十分に"),
        ("ko", "이번 일정은 만약의 일"),
    ],
)
def test_words_that_are_mostly_no_numbers_claim_none(language: str, sentence: str) -> None:
    assert unsupported("", sentence, language) == ()


@pytest.mark.parametrize("label", ["Speaker 2", "SPEAKER_02", "speaker two"])
def test_labels_of_speakers_are_looked_up_as_a_whole(label: str) -> None:
    source = "Speaker 1: we are two. speaker 3: 2 o'clock"
    assert unsupported(source, "Speaker 2 left.") == ("Speaker 2",)
    assert unsupported(source, "Speaker 1 and SPEAKER_03 left.") == ()
    assert unsupported(f"{label}: hello", "Speaker 2 left.") == ()


@pytest.mark.parametrize(
    ("text", "label", "numbers"),
    [
        ("Speaker 2", True, {"2"}),
        ("SPEAKER_02", True, {"2"}),
        ("speaker two", True, {"2"}),
        ("speaker .. 2", False, {"2"}),
        ("chapter 2", False, {"2"}),
        ("speaker who", True, set()),
    ],
)
def test_a_label_is_a_word_for_who_speaks_right_before_a_number(text: str, label: bool, numbers: set[str]) -> None:
    word, number = each_token(text)
    assert is_label(word, number) is label
    assert label_numbers(number, [number_words("en")]) == numbers
