"""The `distill` command: thin. Flags come from the settings, work from `studio`, rendering from `show`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import distill
from distill.cli.commands.library import library_app
from distill.cli.commands.sounds import demo, evaluate, generate, info, reconstruct
from distill.cli.commands.training import train, train_prior, train_synth
from distill.cli.running import hint
from distill.errors import DistillError

app = typer.Typer(
    name="distill",
    help="Train a small generative model on your own recordings, and generate new sound from it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = 130
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit code 1."""
    try:
        code = app(standalone_mode=False)
    except DistillError as error:
        _fail(str(error))
    except USAGE_ERROR as error:
        message = error.format_message().rstrip(".").replace("Value error, ", "")  # type: ignore[attr-defined]
        _fail(f"{message}. `distill --help` lists the commands, `distill COMMAND --help` their options.")
    except (KeyboardInterrupt, typer.Abort):
        hint("Stopped.")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(sentence: str) -> None:
    from distill.cli.show import printable
    from distill.compute.processes import is_first

    if is_first():
        print(f"Error: {printable(sentence)}", file=sys.stderr)
    sys.exit(1)


def _version(value: bool) -> None:
    if value:
        print(distill.__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


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
) -> None:
    """Open the page: everything this program does, in the browser."""
    from distill.ui.page import serve

    if library is not None:
        os.environ["DISTILL_LIBRARY"] = str(library.expanduser().resolve())
    serve(host, port, lambda address: hint(f"The page is open at {address}. Ctrl-C ends it."))


for command in (train, train_prior, train_synth, generate, reconstruct, evaluate, info, ui, demo):
    app.command(command.__name__.replace("_", "-"))(command)
app.add_typer(library_app, name="library")
