from pathlib import Path

import pytest

from services.cli.model_files import ensure_models
from services.cli.suite import PROFILE
from services.models.catalogue import load_catalogue
from services.runtime.errors import MeshError


def test_an_unknown_model_is_an_error_that_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match=r"no model 'tiny'.*base"):
        ensure_models(["tiny"], tmp_path)


def test_nothing_is_pulled_when_nothing_is_missing(tmp_path: Path) -> None:
    ensure_models([], tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_the_models_of_the_tests_are_in_the_catalogue() -> None:
    assert "tiny.en" in [model.id for model in load_catalogue().profile(PROFILE)]
