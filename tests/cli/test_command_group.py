from typer.testing import CliRunner

from services.cli.command_group import command_group


def test_a_group_alone_shows_its_help() -> None:
    group = command_group("Look at things.")
    for name in ("one", "other"):
        group.command(name)(lambda: None)
    shown = CliRunner().invoke(group, []).output
    assert "Look at things." in shown
    assert all(f"\n  {name}" in shown for name in ("one", "other"))
    assert CliRunner().invoke(group, ["-h"]).output == shown
