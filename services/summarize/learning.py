"""Lets a model read the examples of sentence kinds: at its start, or once, when it is prepared after its download.

    folder/sentence_kinds.npz    the vectors of the examples, and a hash of the examples they belong to

Reading a thousand sentences takes a processor ten seconds, which every start would wait for.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from services.summarize.sentence_kinds import SentenceKinds, examples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from services.summarize.engine import LanguageModel

_FILE = "sentence_kinds.npz"
_AT_ONCE = 16


def learned_kinds(model: LanguageModel, folder: Path) -> SentenceKinds:
    """Return what `model` makes of sentences; from its folder, or where that has nothing that fits, by reading.

    Args:
        model: a loaded model.
        folder: from which it was loaded.
    """
    kinds, texts = _labelled()
    vectors = _kept(folder / _FILE, _hash(model, kinds, texts))
    return SentenceKinds(kinds, _read(model, texts) if vectors is None else vectors)


def keep_vectors(model: LanguageModel, folder: Path) -> None:
    """Read the examples and keep their vectors in `folder`; equal input gives equal bytes."""
    kinds, texts = _labelled()
    np.savez(folder / _FILE, vectors=_read(model, texts), examples=_hash(model, kinds, texts))


def _labelled() -> tuple[list[str], list[str]]:
    labelled = [(kind, text) for kind, texts in examples().items() for text in texts]
    return [kind for kind, _ in labelled], [text for _, text in labelled]


def _read(model: LanguageModel, texts: list[str]) -> NDArray[np.float32]:
    tokens = model.encode(texts)
    return np.concatenate([model.embed(tokens[at : at + _AT_ONCE]) for at in range(0, len(tokens), _AT_ONCE)])


def _hash(model: LanguageModel, kinds: list[str], texts: list[str]) -> str:
    return hashlib.sha256(json.dumps([model.embedding, kinds, texts]).encode()).hexdigest()


def _kept(file: Path, fitting: str) -> NDArray[np.float32] | None:
    try:
        # Opened here: numpy leaves a broken file open.
        with file.open("rb") as opened, np.load(opened) as kept:
            if str(kept["examples"]) != fitting:
                return None
            vectors: NDArray[np.float32] = kept["vectors"]
            return vectors
    except (OSError, EOFError, KeyError, ValueError, BadZipFile):
        return None
