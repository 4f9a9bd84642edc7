"""Commands that share their first word, such as `./speechmesh models`."""

import typer


def command_group(help_text: str) -> typer.Typer:
    """Return a group without commands; alone, it shows its help."""
    return typer.Typer(
        help=help_text,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
