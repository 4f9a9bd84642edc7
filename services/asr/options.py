"""What a caller may ask of recognition, checked against what the model can do. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from services.asr.engine import Engine, Task
from services.runtime.errors import invalid_field

LARGEST_BEAM = 10
"""Memory and time grow with the beam; accuracy does not beyond it."""

DEFAULT_BEAM = 4
"""As accurate as 5 on all recordings that were measured, and a tenth faster; see benchmarks/README.md."""

MOST_HINT_PHRASES = 100
LONGEST_TEXT = 2000
"""Characters of an initial prompt, or of a hint phrase."""

LONGEST_CONTEXT = 5000
"""Characters of the initial prompt and all hint phrases; what is longer has too many tokens in every script."""


@dataclass(frozen=True)
class RecognitionOptions:
    """How a recording is to be recognized."""

    language: str | None = None
    """Language code, or None to detect it, for every utterance."""
    task: Task = Task.TRANSCRIBE
    initial_prompt: str = ""
    """Text that might have preceded the recording: its style and its names are taken up."""
    hint_phrases: tuple[str, ...] = ()
    """Words and names that are likely to be said."""
    beam_size: int = DEFAULT_BEAM


def check(options: RecognitionOptions, engine: Engine) -> tuple[int, ...]:
    """Return the tokens of context that the options ask for.

    Raises:
        MeshError: INVALID; names the field and what this model can do.
    """
    if options.language is not None and options.language not in engine.languages:
        known = ", ".join(engine.languages)
        raise invalid_field(
            "language", f"The model {engine.model} does not know {options.language[:64]!r}; it knows: {known}."
        )
    if options.task is Task.TRANSLATE and not engine.can_translate:
        raise invalid_field("task", f"The model {engine.model} cannot translate; ask for the task transcribe.")
    if not 1 <= options.beam_size <= LARGEST_BEAM:
        raise invalid_field("beam_size", f"The beam size must be from 1 to {LARGEST_BEAM}.")
    if len(options.hint_phrases) > MOST_HINT_PHRASES:
        raise invalid_field("hint_phrases", f"At most {MOST_HINT_PHRASES} hint phrases are taken.")
    for field, texts in (("initial_prompt", [options.initial_prompt]), ("hint_phrases", options.hint_phrases)):
        if any(len(text) > LONGEST_TEXT for text in texts):
            raise invalid_field(field, f"Texts of up to {LONGEST_TEXT} characters are taken.")
    return _context(options, engine)


def _context(options: RecognitionOptions, engine: Engine) -> tuple[int, ...]:
    # Hints first: what stands nearest to the recording has most influence, and that is the caller's own text.
    hints = ", ".join(phrase.strip() for phrase in options.hint_phrases if phrase.strip())
    text = f"{hints}. {options.initial_prompt}" if hints else options.initial_prompt
    field = "initial_prompt" if options.initial_prompt.strip() else "hint_phrases"
    if len(text) > LONGEST_CONTEXT:
        message = f"The initial prompt and the hint phrases have up to {LONGEST_CONTEXT} characters together."
        raise invalid_field(field, message)
    context = engine.context(text)
    if len(context) > engine.longest_context:
        raise invalid_field(
            field,
            f"The initial prompt and the hint phrases have {len(context)} tokens together; "
            f"{engine.model} takes {engine.longest_context}.",
        )
    return context
