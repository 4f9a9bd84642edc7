import re

import pytest

from services.text.spacing import UNSPACED_LETTERS


@pytest.mark.parametrize("letter", ["会", "の", "カ", "ก", "ລ", "က", "ក", "བ", "𠀋"])
def test_letters_that_no_space_parts(letter: str) -> None:
    assert re.fullmatch(f"[{UNSPACED_LETTERS}]", letter)


@pytest.mark.parametrize("letter", ["a", "ё", "ع", "क", "한", "1", " ", "ა"])
def test_letters_that_stand_in_words(letter: str) -> None:
    assert re.fullmatch(f"[{UNSPACED_LETTERS}]", letter) is None
