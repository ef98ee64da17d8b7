"""The `distill` command: thin. Flags come from the settings, work from `studio`, rendering from `show`."""

import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import distill
from distill.cli.answer import emit
from distill.cli.commands.checkpoint import checkpoint
from distill.cli.commands.exporting import export
from distill.cli.commands.library import library_app
from distill.cli.commands.making import make
from distill.cli.commands.mapping import map_
from distill.cli.commands.novelty import attribute, novelty, where
from distill.cli.commands.recordings import consent, forget
from distill.cli.commands.sounds import demo, evaluate, generate, info, reconstruct
from distill.cli.commands.tags import again, what
from distill.cli.commands.training import train, train_prior, train_synth
from distill.cli.commands.verifying import verify
from distill.cli.running import hint
from distill.cli.words import help_where_nothing_was_said, take_paths
from distill.errors import DistillError, Stopped

app = typer.Typer(
    name="distill",
    help="Train a small generative model on your own recordings, and generate new sound from it.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = 130
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit code 1."""
    _survive_any_console()
    try:
        code = app(standalone_mode=False)
        print(end="", flush=True)
        if code == INTERRUPTED:  # Typer's word for Ctrl-C
            raise KeyboardInterrupt
    except Stopped as stopped:
        hint(str(stopped))
        sys.exit(INTERRUPTED)
    except DistillError as error:
        _fail(str(error))
    except USAGE_ERROR as error:
        message = error.format_message().rstrip(".").replace("Value error, ", "")  # type: ignore[attr-defined]
        end = "" if message.endswith("?") else "."
        _fail(f"{message}{end} `distill --help` lists the commands, `distill COMMAND --help` their options.")
    except (KeyboardInterrupt, typer.Abort):
        hint("Stopped.")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _survive_any_console() -> None:
    """What a console cannot print, such as a file's name in another script, is shown escaped instead of ending the work."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(sentence: str) -> None:
    hint(f"Error: {sentence}")
    sys.exit(1)


def _version(value: bool) -> None:
    if value:
        print(distill.__version__)
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback has answered
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    help_where_nothing_was_said(context)


def ui(
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on. 127.0.0.1: this machine alone can open the page.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", help="Port to listen on; 0: any that is free.", min=0, max=65535)
    ] = 7860,
    library: Annotated[
        Path | None, typer.Option("--library", help="Folder of models.", show_default="the user's library")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout as soon as the page is open.")
    ] = False,
) -> None:
    """Open the page: everything this program does, in the browser."""
    from distill.ui.page import serve

    if library is not None:
        os.environ["DISTILL_LIBRARY"] = str(library.resolve())

    def announce(address: str) -> None:
        hint(f"The page is open at {address}. Ctrl-C ends it.")
        if as_json:
            emit(page=address)

    serve(host, port, announce)


COMMANDS = (
    make, train, train_prior, train_synth, checkpoint, generate, reconstruct, evaluate, novelty, where, attribute, map_, what,
    again, verify, forget, consent, info, export, ui, demo,
)  # fmt: skip
for command in COMMANDS:
    app.command(command.__name__.strip("_").replace("_", "-"))(take_paths(command))
for registered in library_app.registered_commands:
    assert registered.callback is not None
    take_paths(registered.callback)
app.add_typer(library_app, name="library")
