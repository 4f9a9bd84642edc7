from dataclasses import FrozenInstanceError, fields

import pytest

from services.summarize.engine import Chunk, Message, Step

VALUES = [Message("user", "Hello."), Chunk(0, 128, (1, 2, 3)), Step(1, 5, 7, frozenset({7}))]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_what_a_model_is_asked_cannot_change_on_its_way(value: object) -> None:
    for field in fields(value):  # type: ignore[arg-type]
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, None)
