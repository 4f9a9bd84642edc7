import pytest

from services.asr.engine import Models
from services.runtime.errors import Fault, MeshError
from tests.asr.fake_engine import FakeTranscriber


def _models() -> Models:
    return Models(
        {"base": FakeTranscriber("base"), "tiny.en": FakeTranscriber("tiny.en", ("en",))},
        {"large-v3": "base"},
        {"base": "Whisper Base", "large-v3": "Whisper Large V3"},
    )


def test_no_name_means_the_first_model() -> None:
    assert _models().find("", "").model == "base"


def test_an_alias_runs_the_model_behind_it() -> None:
    assert _models().find("large-v3", "de").model == "base"


def test_an_unknown_model_is_refused_with_the_list() -> None:
    with pytest.raises(MeshError, match=r"no model 'huge'.*base, tiny\.en, large-v3") as refused:
        _models().find("huge", "")

    assert refused.value.fault is Fault.NOT_FOUND
    assert refused.value.field == "model"


def test_a_language_that_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(MeshError, match=r"tiny\.en does not know 'de'") as refused:
        _models().find("tiny.en", "de")

    assert refused.value.field == "language"


def test_the_list_names_what_really_runs() -> None:
    assert [(served.id, served.runs, served.display_name) for served in _models().served()] == [
        ("base", "base", "Whisper Base"),
        ("tiny.en", "tiny.en", "tiny.en"),
        ("large-v3", "base", "Whisper Large V3"),
    ]


@pytest.mark.parametrize("aliases", [{"large-v3": "medium"}, {"base": "tiny.en"}])
def test_an_alias_to_nothing_or_over_a_model_is_refused(aliases: dict[str, str]) -> None:
    models = {"base": FakeTranscriber("base"), "tiny.en": FakeTranscriber("tiny.en")}

    with pytest.raises(MeshError, match="The alias"):
        Models(models, aliases, {})
