import pytest

from services.asr.models import Models
from services.runtime.errors import Fault, MeshError
from tests.asr.fake_engine import FakeEngine

BASE = FakeEngine("base", ("en", "de"))
ENGLISH = FakeEngine("tiny.en", ("en",))


def models() -> Models:
    names = {"base": "Whisper Base", "large-v3": "Whisper Large V3"}
    return Models({"base": BASE, "tiny.en": ENGLISH}, {"large-v3": "base"}, names)


def test_no_name_means_the_first_model() -> None:
    assert models().find("") is BASE


def test_a_model_is_found_by_its_own_name() -> None:
    assert models().find("tiny.en") is ENGLISH


def test_an_alias_runs_the_model_behind_it() -> None:
    assert models().find("large-v3") is BASE


def test_an_unknown_model_is_refused_with_the_list() -> None:
    with pytest.raises(MeshError, match=r"no model 'huge'.*base, tiny\.en, large-v3") as refused:
        models().find("huge")

    assert (refused.value.fault, refused.value.code, refused.value.field) == (Fault.NOT_FOUND, "no_such_model", "model")


def test_the_list_names_what_really_runs_and_what_it_can_do() -> None:
    served = [
        (entry.id, entry.display_name, entry.runs, entry.languages, entry.can_translate) for entry in models().served()
    ]

    assert served == [
        ("base", "Whisper Base", "base", ("en", "de"), True),
        ("tiny.en", "tiny.en", "tiny.en", ("en",), False),
        ("large-v3", "Whisper Large V3", "base", ("en", "de"), True),
    ]


def test_every_name_on_the_list_is_found() -> None:
    assert all(models().find(entry.id).model == entry.runs for entry in models().served())


@pytest.mark.parametrize("aliases", [{"large-v3": "medium"}, {"base": "tiny.en"}, {"a": "base", "b": "a"}])
def test_an_alias_to_nothing_or_over_a_model_is_refused(aliases: dict[str, str]) -> None:
    with pytest.raises(MeshError, match="The alias") as refused:
        Models({"base": BASE, "tiny.en": ENGLISH}, aliases, {})

    assert refused.value.fault is Fault.INVALID
