"""Models that a command needs, pulled when they are not there."""

from collections.abc import Sequence
from pathlib import Path

from services.models.catalogue import is_complete, load_catalogue


def ensure_models(ids: Sequence[str], models_dir: Path) -> None:
    """Pull those of `ids` that `models_dir` lacks, with progress on standard error.

    Raises:
        MeshError: an id is not in the catalogue, or a model cannot be had.
    """
    catalogue = load_catalogue()
    missing = [model for model in map(catalogue.get, ids) if not is_complete(models_dir / model.id, model)]
    if missing:
        # Here, because the bars of a pull are seldom needed and take a while to import.
        from services.cli.models import pull_with_progress

        pull_with_progress(missing, models_dir)
