"""`test`: the test suite, with the models that it needs."""

import os
import subprocess
import sys
from collections.abc import Sequence

from services.cli.checkout import ROOT, tool_environment
from services.cli.model_files import ensure_models
from services.models.catalogue import load_catalogue
from services.models.folders import default_models_dir

PROFILE = "test"
"""The catalogue's name for the models that tests marked `model` run."""


def run(arguments: Sequence[str]) -> int:
    """Run pytest in the root of the checkout with `arguments`; return its exit code.

    Models are pulled first, unless the arguments leave the tests with models out.
    """
    if needs_models(arguments):
        models = [model.id for model in load_catalogue().profile(PROFILE)]
        ensure_models(models, default_models_dir(os.environ))
    command = [sys.executable, "-P", "-m", "pytest", *arguments]
    try:
        return subprocess.run(command, cwd=ROOT, env=tool_environment(os.environ), check=False).returncode
    except KeyboardInterrupt:
        # pytest got the same Ctrl-C and has told what it had done so far.
        return 130


def needs_models(arguments: Sequence[str]) -> bool:
    """Tell whether tests with real models may be among what pytest is asked to run."""
    if any(argument in ("-h", "--help", "--version", "--collect-only", "--co") for argument in arguments):
        return False
    # pytest takes `-m EXPR`, `-mEXPR` and `-m=EXPR`; the last one counts.
    words = iter(arguments)
    expression = ""
    for word in words:
        if word.startswith("-m"):
            expression = word[2:].removeprefix("=") or next(words, "")
    return "not model" not in expression
