import pytest

from services.summarize.proper_names import joined_forms, names, roman_value, split_at_capitals
from services.summarize.wording import each_token
from tests.summarize.said_and_written import SAME_NAMES, unsupported


@pytest.mark.parametrize(("language", "said", "written"), SAME_NAMES)
def test_a_name_is_known_in_other_case_accents_endings_and_pieces(language: str, said: str, written: str) -> None:
    assert unsupported(f"x {said} x", f"x, {written} x", language) == ()


@pytest.mark.parametrize(
    ("language", "said", "written"),
    [
        ("en", "ann", "Anna"),
        ("en", "bern", "Berlin"),
        ("en", "bob", "Rob"),
        ("ru", "иван", "Ирина"),
        ("de", "hans", "Hannes"),
    ],
)
def test_another_name_is_not(language: str, said: str, written: str) -> None:
    assert unsupported(f"x {said} x", f"x, {written} x", language) == (written,)


@pytest.mark.parametrize(
    "sentence",
    [
        "The plan works. After that it fails! Maybe: it holds?",
        '"Everything is fine." And so on.',
        "- Everything is fine.\n- Nothing else.",
        "Mr. and Mrs. x, 5 PM, 10 GB, 3 kWh, 20 USD.",
        "OK, TBD, ASAP.",
        "L'x and d'x",
        "After a while",
        "Because it will be",
    ],
)
def test_a_capital_that_any_word_may_have_makes_no_name(sentence: str) -> None:
    assert unsupported("x 5 10 3 20", sentence) == ()


def test_a_sentence_in_capitals_tells_no_names_and_a_title_only_those_with_capitals_inside() -> None:
    assert unsupported("x", "THE TEAM AGREED ON FRIDAY") == ()
    assert unsupported("x", "Team Agrees On Better iPhone Budget Next Week") == ("iPhone",)
    assert unsupported("x", "Quarterly Review Meeting") == ()
    assert unsupported("x", "Among them: Sarah Johnson, Mike Brown") == ("Sarah", "Johnson", "Mike", "Brown")


def test_i_is_a_name_that_the_source_must_have() -> None:
    assert unsupported("we think so", "So I think.") == ("I",)
    assert unsupported("i'm here", "So I think.") == ()


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("Gestern kam Anna mit der Leiterin zum Gespräch.", ("Anna",)),
        ("Es ging um die geplante Übernahme und neue Standorte.", ()),
        ("Der Umbau der Fabrikhalle kostet viel Geld.", ()),
        ("Wir danken Ihnen und bitten Sie um Antwort.", ("Antwort",)),
        ("Danach traf die Chefin Müller in Köln.", ("Müller", "Köln")),
        ("Das Treffen ist am Montag im März.", ("Montag", "März")),
        ("Dabei half die Haushaltsplanung mit Haushaltsplänen.", ()),
        ("Dabei half NATO-Personal.", ("NATO", "Personal")),
    ],
)
def test_german_nouns_are_told_from_names(sentence: str, found: tuple[str, ...]) -> None:
    assert unsupported("der haushalt und der plan mit geld", sentence, "de") == found


@pytest.mark.parametrize(
    ("language", "sentence", "found"),
    [
        ("ko", "Netflix가 YouTube와 경쟁", ("Netflix", "YouTube")),
        ("zh", "使用kubernetes部署", ("kubernetes",)),
        ("ja", "プロジェクトのミーティングでグーグルが発表", ("グーグル",)),
        ("ar", "شركة google تعلن", ("google",)),
        ("he", "חברת Google מודיעה", ("Google",)),
        ("th", "บริษัท Google ประกาศ", ("Google",)),
        ("hi", "Google ने घोषणा की", ("Google",)),
    ],
)
def test_latin_and_katakana_are_names_among_scripts_without_case(
    language: str, sentence: str, found: tuple[str, ...]
) -> None:
    assert unsupported("", sentence, language) == found
    assert unsupported(sentence.lower(), sentence, language) == ()


def test_names_are_the_places_of_their_words() -> None:
    sentence = "Then Anna visited Bob Lang, director of NASA."
    tokens = list(each_token(sentence))
    assert [tokens[index].text for index in names(sentence, tokens, "en")] == ["Anna", "Bob", "Lang", "NASA"]


@pytest.mark.parametrize(
    ("text", "index", "forms"),
    [
        ("the U.S.A. too", 2, ["usa"]),
        ("Anne-Marie", 0, ["annemarie"]),
        ("by Open AI now", 2, ["openai", "ainow"]),
        ("Anna, Bob", 0, []),
    ],
)
def test_a_name_may_be_written_together_with_its_neighbours(text: str, index: int, forms: list[str]) -> None:
    assert set(forms) <= set(joined_forms(text, list(each_token(text)), index))


@pytest.mark.parametrize(
    ("word", "pieces"), [("OpenAI", ["Open", "AI"]), ("iPhone", ["i", "Phone"]), ("Anna", ["Anna"]), ("IBM", ["IBM"])]
)
def test_a_name_is_cut_where_capitals_begin(word: str, pieces: list[str]) -> None:
    assert split_at_capitals(word) == pieces


@pytest.mark.parametrize(
    ("word", "value"), [("ii", 2), ("xiv", 14), ("xlix", 49), ("ccxc", 290), ("i", 0), ("mix", 0), ("anna", 0)]
)
def test_a_roman_numeral_has_a_value(word: str, value: int) -> None:
    assert roman_value(word) == value
