#!/usr/bin/env python3
"""Write docs/cli.md from the program itself: one section for each command, with its arguments, options and defaults.

    python tools/cli_docs.py [--check]

`--check` writes nothing and fails where the file is not what the program would write. Imports no torch.
"""

import argparse
import inspect
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import typer
from typer.models import ArgumentInfo, ParameterInfo

from distill.cli.app import app
from generated import write_or_check

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
HEAD = """# The command line

Written by `python tools/cli_docs.py` from the program; do not edit it by hand. Every command has `--help`, which says
the same. A setting whose default is *auto* is decided from the recordings; the training says which value it took.
"""
PANEL = "Options"
WORDS: dict[Any, str] = {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}
"""What a value is called in a usage line."""


def page() -> str:
    """The whole page."""
    root = typer.main.get_command(app)
    sections = [HEAD]
    commands = list(_commands(root, "distill"))
    sections.append("\n".join(f"- [`{name}`](#{_anchor(name)}): {_first_sentence(each)}" for name, each in commands))
    sections += [_section(name, each) for name, each in commands]
    return "\n\n".join(part.strip("\n") for part in sections) + "\n"


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The program and every command below it, in the order of --help."""
    yield name, command
    for key, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{name} {key}")


def _section(name: str, command: Any) -> str:
    declared = _declared(command)
    shown = [each for each in command.params if not getattr(each, "hidden", False) and each.name in declared]
    arguments = [each for each in shown if isinstance(declared[each.name][1], ArgumentInfo)]
    options = [each for each in shown if each not in arguments]
    usage = [name, *(["[OPTIONS]"] if options else []), *(_in_usage(each) for each in arguments)]
    usage += ["COMMAND ..."] if hasattr(command, "commands") else []
    lines = [f"## {name}", "", _sentences(command), "", f"    {' '.join(usage)}"]
    for each in arguments:
        if each is arguments[0]:
            lines += ["", "| argument | |", "|---|---|"]
        lines.append(_row(f"`{_metavar(each)}`", each, declared[each.name][1]))
    panels: dict[str, list[Any]] = {}
    for each in options:
        panels.setdefault(declared[each.name][1].rich_help_panel or PANEL, []).append(each)
    for panel, members in panels.items():
        lines += ["", f"| {panel.lower()} | |", "|---|---|"]
        lines += [_row(_flags(each, declared[each.name][0]), each, declared[each.name][1]) for each in members]
    return "\n".join(lines)


def _declared(command: Any) -> dict[str, tuple[Any, ParameterInfo]]:
    """The parameters of a command's function by name: their type, and what they declare for the command line."""
    if command.callback is None:
        return {}
    found = {}
    for name, parameter in inspect.signature(command.callback, eval_str=True).parameters.items():
        if parameter.annotation is typer.Context:
            continue
        kind, *metadata = get_args(parameter.annotation)
        found[name] = (kind, next(each for each in metadata if isinstance(each, ParameterInfo)))
    return found


def _row(name: str, parameter: Any, info: ParameterInfo) -> str:
    text = " ".join(filter(None, [info.help, _bounds(info), _default(parameter, info)]))
    return f"| {name} | {text.replace('|', chr(92) + '|')} |"


def _flags(option: Any, kind: Any) -> str:
    names = " / ".join(f"`{flag}`" for flag in (*option.opts, *option.secondary_opts))
    words = (option.metavar or "").strip("[]").split("|")
    value = _value(Literal[*words]) if len(words) > 1 else _value(kind)
    return names if value is None else f"{names} {value}"


def _value(kind: Any) -> str | None:
    """What is given to an option of this type; None for a switch."""
    if get_origin(kind) in (UnionType, Union):
        kind = next(each for each in get_args(kind) if each is not type(None))
    if kind is bool:
        return None
    if get_origin(kind) is Literal:
        return " \\| ".join(f"`{each}`" for each in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " \\| ".join(f"`{each.value}`" for each in kind)
    return WORDS.get(get_args(kind)[0] if get_origin(kind) in (list, tuple) else kind, "TEXT")


def _bounds(info: ParameterInfo) -> str:
    if info.min is None and info.max is None:
        return ""
    low, high = (None if each is None else _number(each) for each in (info.min, info.max))
    return f"[at least {low}]" if high is None else f"[at most {high}]" if low is None else f"[{low} to {high}]"


def _default(parameter: Any, info: ParameterInfo) -> str:
    if isinstance(info.show_default, str):
        words = {"True": "on", "False": "off"}.get(info.show_default, info.show_default)
        return f"Default: {words}."
    default = parameter.default
    if parameter.required or not info.show_default or default is None:
        return ""
    if isinstance(default, bool):
        return "Default: on." if default and parameter.secondary_opts else ""
    plain = default.value if isinstance(default, Enum) else default
    return f"Default: {_number(plain)}." if isinstance(plain, int | float) else f"Default: `{plain}`."


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value}"


def _in_usage(argument: Any) -> str:
    many = _metavar(argument) + ("..." if argument.nargs == -1 else "")
    return many if argument.required else f"[{many}]"


def _metavar(argument: Any) -> str:
    return str(argument.metavar or argument.name).upper()


def _sentences(command: Any) -> str:
    return inspect.cleandoc(command.help or "").replace("\f", "").strip()


def _first_sentence(command: Any) -> str:
    return _sentences(command).splitlines()[0]


def _anchor(heading: str) -> str:
    return heading.replace(" ", "-")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="fail where the file is not up to date")
    sys.exit(write_or_check(PAGE, page(), parser.parse_args().check, Path(__file__).name))


if __name__ == "__main__":
    main()
