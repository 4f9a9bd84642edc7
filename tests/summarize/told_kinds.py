"""Sentence kinds that a test tells, in place of what a model makes of sentences."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.summarize.engine import LanguageModel
from services.summarize.sentence_kinds import Kinds


class ToldKinds:
    """In place of `SentenceKinds`: certain of what it was told, and that everything else is nothing.

    Args:
        model: whose vectors it will see.
        tasks: sentences that are tasks.
        instructions: sentences that speak to a model.
    """

    def __init__(self, model: LanguageModel, tasks: Sequence[str] = (), instructions: Sequence[str] = ()) -> None:
        told = [*tasks, *instructions]
        vectors = model.embed(model.encode(told)) if told else np.zeros((0, 1), np.float32)
        self._tasks = {vector.tobytes() for vector in vectors[: len(tasks)]}
        self._instructions = {vector.tobytes() for vector in vectors[len(tasks) :]}

    def of(self, vectors: NDArray[np.float32]) -> list[Kinds]:
        """Return what the sentences with these vectors are."""
        return [
            Kinds(
                task=5.0 if vector.tobytes() in self._tasks else -5.0,
                instruction=5.0 if vector.tobytes() in self._instructions else -5.0,
            )
            for vector in vectors
        ]
