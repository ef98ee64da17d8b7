"""What is between the words of a command line and a command: paths, and a command that was left out."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import typer

from distill.places import given_path

CommandT = TypeVar("CommandT", bound=Callable[..., None])


def take_paths(command: CommandT) -> CommandT:
    """Let every path that a command takes be read by `given_path`: all of them alike, whoever declares one."""
    for parameter in inspect.signature(command).parameters.values():
        declared = get_args(parameter.annotation)  # of Annotated[kind, option]
        if declared and Path in kinds_in(declared[0]):
            for option in declared[1:]:
                option.parser = path
    return command


def kinds_in(annotation: Any) -> set[Any]:
    """The plain types that an annotation is made of: of `tuple[Path, Path] | None` Path and None."""
    inner = get_args(annotation)
    return set().union(*map(kinds_in, inner)) if inner else {annotation}


def path(given: Any) -> Path:
    """One path of a command line. (Help shows this function's name as the kind of value.)"""
    if given == "":
        raise ValueError("there is nothing in it; give a path")
    return given_path(given)


def help_where_nothing_was_said(context: typer.Context) -> None:
    """For a group of commands of which none was given: its help, and the exit code of a mistake."""
    if context.invoked_subcommand is None:
        text = context.get_help()
        if text:  # Rich has printed it already
            typer.echo(text)
        raise typer.Exit(1)
