"""The commands of `./speechmesh`. Each lives in a module of its own, imported only when it runs."""

import logging
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from services.cli.profiles import ProfileName
from services.runtime.errors import MeshError

app = typer.Typer(
    name="speechmesh",
    help="Speech to text on your own machines: transcripts with speakers and word times over one HTTP API.",
    epilog="Start with `./speechmesh up`; then, in another terminal: `./speechmesh transcribe FILE`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Server = Annotated[
    str | None,
    typer.Option(envvar="SPEECHMESH_URL", show_default="http://127.0.0.1:8080", help="Base URL of the server."),
]
_Key = Annotated[
    str | None,
    typer.Option(envvar="SPEECHMESH_API_KEY", help="API key; for a server on this machine, the one that `up` made."),
]
_Data = Annotated[
    Path | None,
    typer.Option(
        envvar="SPEECHMESH_DATA",
        file_okay=False,
        show_default="~/.local/share/speechmesh",
        help="Data folder of the `up` whose key is to be used.",
    ),
]
_Model = Annotated[str | None, typer.Option(help="Id of the model, as /v1/models lists it.")]
_Language = Annotated[str | None, typer.Option(help="ISO 639-1 code; found out unless given.")]

# What another program's arguments need to come through as they are.
_PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}
_GROUP = {**_PASS_ON, "help_option_names": []}
_Arguments = Annotated[list[str] | None, typer.Argument(metavar="COMMAND [ARGS]...")]


class TranscriptFormat(StrEnum):
    """In what form a transcript is printed."""

    TEXT = "text"
    JSON = "json"
    SRT = "srt"
    VTT = "vtt"


class SummaryStyle(StrEnum):
    """Shape of a summary."""

    BRIEF = "brief"
    DETAILED = "detailed"
    ACTION_ITEMS = "action_items"
    BULLET_POINTS = "bullet_points"
    HEADLINE = "headline"
    BULLETS = "bullets"


@app.command()
def up(
    port: Annotated[
        int | None,
        typer.Option(
            envvar="SPEECHMESH_PORT",
            min=0,
            max=65535,
            show_default="8080",
            help="Port of the HTTP API; 0: any.",
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(envvar="SPEECHMESH_HOST", show_default="127.0.0.1", help="Where to listen; 0.0.0.0: all."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="SPEECHMESH_DATA",
            file_okay=False,
            show_default="~/.local/share/speechmesh",
            help="Folder for the models, the accounts, the API key and uploads at work.",
        ),
    ] = None,
    profile: Annotated[
        ProfileName, typer.Option(envvar="SPEECHMESH_PROFILE", help="Which models to serve, and on what.")
    ] = ProfileName.CPU,
) -> None:
    """Set up what is missing and serve, until Ctrl-C.

    Downloads the profile's models if need be, makes the accounts and an API key at the first start, then runs asr,
    diarize, summarize and edge, and starts again whichever of them crashes.
    """
    from services.cli import up as command

    _leave_failures_to_main()
    raise typer.Exit(command.run(host=host, port=port, data=data, profile=profile, environ=os.environ))


@app.command()
def transcribe(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A recording, audio or video.")],
    server: _Server = None,
    key: _Key = None,
    data: _Data = None,
    model: _Model = None,
    language: _Language = None,
    diarize: Annotated[bool, typer.Option(help="Say who speaks.")] = True,
    speakers: Annotated[int, typer.Option(min=0, help="Number of speakers; 0: find out.")] = 0,
    separate: Annotated[
        bool, typer.Option("--separate-channels", help="Transcribe each channel by itself: each is a speaker.")
    ] = False,
    form: Annotated[TranscriptFormat, typer.Option("--format", help="What to print.")] = TranscriptFormat.TEXT,
    summarize: Annotated[
        SummaryStyle | None, typer.Option(metavar="STYLE", help=f"Sum it up, too: {', '.join(SummaryStyle)}.")
    ] = None,
) -> None:
    """Send a recording to a server and print the transcript with its speakers and times."""
    from services.cli import transcribe as command

    if summarize and form not in (TranscriptFormat.TEXT, TranscriptFormat.JSON):
        raise typer.BadParameter("subtitles have no place for a summary", param_hint="--summarize")
    style = summarize.value if summarize else None
    wish = command.Wish(file, model, language, diarize, speakers, form.value, style, separate)
    raise typer.Exit(command.run(wish, server=server, key=key, data=data, environ=os.environ))


@app.command()
def listen(
    file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A recording instead of the microphone.")
    ] = None,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Send the file as fast as it was spoken, not as fast as it is taken.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="Microphone, as FFmpeg calls it.", show_default="the usual")
    ] = None,
    server: _Server = None,
    key: _Key = None,
    data: _Data = None,
    model: _Model = None,
    language: _Language = None,
) -> None:
    """Show live captions of the microphone, or of a file, until it ends or Ctrl-C.

    What is final is printed; what may still change is dim, and shown on a terminal only.
    """
    from services.cli import listen as command

    if file is None and realtime:
        raise typer.BadParameter("only a file can be sent in real time; a microphone is", param_hint="--realtime")
    wish = command.Wish(file, device, realtime, model, language)
    raise typer.Exit(command.run(wish, server=server, key=key, data=data, environ=os.environ))


@app.command(context_settings=_GROUP)
def models(arguments: _Arguments = None) -> None:
    """Pull, list and verify the models (`models --help` tells more)."""
    from services.cli.models import app as models_app

    models_app(arguments or ["--help"], prog_name="speechmesh models")


@app.command(context_settings=_GROUP)
def accounts(arguments: _Arguments = None) -> None:
    """Make accounts, give them plans and credits, and see what they use (`accounts --help` tells more)."""
    from services.cli.accounts import app as accounts_app

    _leave_failures_to_main()
    accounts_app(arguments or ["--help"], prog_name="speechmesh accounts")


@app.command(context_settings=_GROUP)
def keys(arguments: _Arguments = None) -> None:
    """Make, list, revoke and rotate API keys (`keys --help` tells more)."""
    from services.cli.keys import app as keys_app

    _leave_failures_to_main()
    keys_app(arguments or ["--help"], prog_name="speechmesh keys")


@app.command(context_settings=_GROUP)
def ledger(arguments: _Arguments = None) -> None:
    """Prove that the books are right (`ledger --help` tells more)."""
    from services.cli.ledger import app as ledger_app

    _leave_failures_to_main()
    ledger_app(arguments or ["--help"], prog_name="speechmesh ledger")


@app.command(context_settings=_GROUP)
def db(arguments: _Arguments = None) -> None:
    """Upgrade the database of the accounts, and tell its state (`db --help` tells more)."""
    from services.cli.db import app as db_app

    _leave_failures_to_main()
    db_app(arguments or ["--help"], prog_name="speechmesh db")


@app.command("test", context_settings=_PASS_ON)
def run_tests(
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[PYTEST ARGS]...")] = None,
) -> None:
    """Run the tests, with whatever arguments pytest takes.

    Pulls the models that tests need first; leave those tests out with: test -m "not model".
    """
    from services.cli import checkout, suite

    checkout.require_checkout()
    raise typer.Exit(suite.run(arguments or []))


@app.command()
def check() -> None:
    """Check format, lint, types, layers, protos and generated code."""
    from services.cli import check as command
    from services.cli import checkout

    checkout.require_checkout()
    raise typer.Exit(command.run())


@app.command()
def protos(
    compare: Annotated[bool, typer.Option("--check", help="Only tell what differs from what is checked in.")] = False,
) -> None:
    """Generate the contract's code again, from protos/."""
    from services.cli import checkout
    from services.cli import protos as command

    checkout.require_checkout()
    raise typer.Exit(command.run(check=compare))


def _leave_failures_to_main() -> None:
    """Keep quiet about what goes wrong in the parts that services share: `main` says it in a sentence."""
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def main() -> None:
    """Run the command line; an expected failure is one sentence and exit code 1."""
    try:
        app(prog_name="speechmesh")
    except MeshError as error:
        sys.stderr.write(f"Error: {error.message}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
