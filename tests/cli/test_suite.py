import pytest

from services.cli import suite


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        ([], True),
        (["-q", "tests/cli"], True),
        (["-m", "not model"], False),
        (["-mnot model"], False),
        (["-m=not model and not slow"], False),
        (["-m", "model"], True),
        (["-m", "not slow"], True),
        (["-k", "not model"], True),
        (["--collect-only"], False),
        (["--help"], False),
        (["-m"], True),
    ],
)
def test_models_are_pulled_only_when_tests_may_run_them(arguments: list[str], needed: bool) -> None:
    assert suite.needs_models(arguments) is needed
