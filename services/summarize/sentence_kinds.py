"""Tells from a model's vectors what sentences do: give somebody a task, or speak to a model. No I/O but its examples.

A small model asked for the tasks in a text invents some and misses most; but it knows one when it sees one: on
the vectors that it makes of sentences (see `LanguageModel.embed`), two logistic regressions learn the kinds from
the examples in `sentence_kinds.toml` (a linear probe: Alain and Bengio 2017). They know no language: what is
written in one for which there is no example is told, too, if a little worse.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EXAMPLES = Path(__file__).with_name("sentence_kinds.toml")
_REGULARIZATION = 0.001


@dataclass(frozen=True)
class Kinds:
    """How sure it is that a sentence is of a kind: log odds, 0 where it is as likely as not."""

    task: float
    """Somebody has to do something later."""
    instruction: float
    """It speaks to a language model."""


def examples() -> dict[str, list[str]]:
    """Return the examples of each kind: `task`, `instruction`, `speech` and `other`."""
    with _EXAMPLES.open("rb") as file:
        kinds = tomllib.load(file)
    return {kind: [text for texts in by_language.values() for text in texts] for kind, by_language in kinds.items()}


class SentenceKinds:
    """What has been learnt from examples.

    Args:
        kinds: the kind of every example: `task`, `instruction`, `speech` or `other`.
        vectors: the model's vector of every example, shape (examples, width).
    """

    def __init__(self, kinds: Sequence[str], vectors: NDArray[np.float32]) -> None:
        # Among speech that resembles instructions some are tasks and some are not.
        told = [number for number, kind in enumerate(kinds) if kind != "speech"]
        self._task = _learn(vectors[told], [kinds[number] == "task" for number in told])
        self._instruction = _learn(vectors, [kind == "instruction" for kind in kinds])

    def of(self, vectors: NDArray[np.float32]) -> list[Kinds]:
        """Return what the sentences with these vectors are; shape (sentences, width)."""
        if not len(vectors):
            return []
        tasks, instructions = (probe.decision_function(vectors) for probe in (self._task, self._instruction))
        return [Kinds(float(task), float(told)) for task, told in zip(tasks, instructions, strict=True)]


def _learn(vectors: NDArray[np.float32], labels: Sequence[bool]) -> Any:
    probe = make_pipeline(
        StandardScaler(), LogisticRegression(C=_REGULARIZATION, class_weight="balanced", max_iter=1000)
    )
    return probe.fit(vectors, labels)
