"""What is done once to a downloaded model that cannot be served as it comes.

The catalogue names a module; it runs as `python -P -m MODULE SOURCE TARGET` in a process of its own, so that
whatever it imports (torch, for one) stays out of the pull. It reads the verified files in SOURCE and
writes all that the service needs into TARGET, an empty folder.
"""

import os
import shutil
import sys
from pathlib import Path

from services.models.catalogue import Model
from services.models.child import last_lines, run_child
from services.models.progress import Phase, Progress, Report, watching
from services.models.staging import Staging
from services.runtime.errors import Fault, MeshError


def prepare(model: Model, staging: Staging, report: Report) -> Path:
    """Return the folder to publish: the prepared one, or the files as they are.

    Raises:
        MeshError: UNAVAILABLE if the preparation fails; the downloaded files stay for the next try.
    """
    if model.preparation is None:
        return staging.files
    shutil.rmtree(staging.prepared, ignore_errors=True)
    staging.prepared.mkdir()
    module = model.preparation.module
    # -P: a folder called `services` in the place where the pull was started must not shadow ours.
    command = [sys.executable, "-P", "-m", module, str(staging.files), str(staging.prepared)]
    log = staging.root / "prepare.log"
    with watching((staging.prepared,), Progress(model.id, Phase.PREPARING, 0, model.preparation.bytes), report):
        status = run_child(command, log, PYTHONPATH=_import_path())
    if status != 0 or not any(staging.prepared.iterdir()):
        raise MeshError(
            Fault.UNAVAILABLE,
            f"Preparing the model {model.id} with {module} failed: {last_lines(log)}",
            code="preparation_failed",
        )
    return staging.prepared


def _import_path() -> str:
    """Our own import path: `services` need not be installed where the child would look."""
    return os.pathsep.join(path for path in sys.path if path)
