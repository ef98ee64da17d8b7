#!/usr/bin/env python3
"""Write docs/api.md from the docstrings of what `import distill` offers.

    python tools/api_docs.py [--check]

With --check nothing is written: exit status 1 where the page is out of date.
"""

import argparse
import inspect
import itertools
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import distill
from distill import events
from distill.studio import calls
from generated import write_or_check

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"
NOTE = "Written by `python tools/api_docs.py` from the program's docstrings; do not edit it by hand."


def page() -> str:
    """The whole page."""
    title, _, rest = inspect.getdoc(calls).partition("\n")  # type: ignore[union-attr]
    lines = [f"# {title.rstrip('.')}", "", NOTE, "", rest.strip("\n"), ""]
    for name in sorted(name for name in distill.__all__ if not name.startswith("__")):
        lines += described(f"distill.{name}", getattr(distill, name))
    lines += ["## Events", "", "What trainings say while they run, all of `distill.events`.", ""]
    for name, each in inspect.getmembers(events, inspect.isclass):
        if issubclass(each, events.Event) and each is not events.Event:
            said = ", ".join(f"`{field.name}`" for field in fields(each))
            lines.append(f"- `{name}`: {first_line(each)} {said}".rstrip())
    return "\n".join(lines).rstrip() + "\n"


def described(name: str, thing: Any) -> Iterator[str]:
    """One thing: its signature, what its docstring says, and its public methods."""
    yield from (f"## {name}", "")
    if inspect.isclass(thing) and issubclass(thing, tuple):
        yield from (f"    {name.removeprefix('distill.')}({', '.join(thing._fields)})", "")  # type: ignore[attr-defined]
        yield from (inspect.getdoc(thing) or "", "")
        yield from fields_of(thing)
        return
    if not inspect.isclass(thing):
        yield from (signature(name, thing), "", text_of(thing), "")
        return
    yield from (text_of(thing), "")
    for method, member in vars(thing).items():
        if method.startswith("_"):
            continue
        if isinstance(member, property):
            yield from (f"**`{method}`**: {text_of(member)}", "")
        else:
            yield from (f"### {name.split('.')[-1]}.{method}", "", signature(method, member), "", text_of(member), "")


def fields_of(thing: Any) -> Iterator[str]:
    """The fields of a named tuple with the docstrings below them in its source."""
    lines = [line.strip() for line in inspect.getsource(thing).splitlines()]
    for line, after in itertools.pairwise(lines):
        if line.split(":")[0] in thing._fields and after.startswith('"""'):
            name, _, kind = line.partition(": ")
            yield f"- `{name}` ({kind}): {after.strip(chr(34))}"
    yield ""


def signature(name: str, function: Any) -> str:
    """How it is called, as a block of code; of several lines where it is long."""
    parameters = [str(each) for each in inspect.signature(function).parameters.values() if each.name != "self"]
    whole = f"    {name}({', '.join(parameters)})"
    return (
        whole if len(whole) < 100 else f"    {name}(\n" + "".join(f"        {each},\n" for each in parameters) + "    )"
    )


def text_of(thing: Any) -> str:
    """A docstring with its sections as lists."""
    lines = []
    for line in (inspect.getdoc(thing) or "").splitlines():
        inside = line.startswith("    ")
        if line in ("Args:", "Returns:", "Raises:"):
            lines += [f"{line.rstrip(':')}:", ""]
        elif inside and line[4:5] != " " and ": " in line and lines and "Returns:" not in lines[-2:]:
            name, _, said = line.strip().partition(": ")
            lines.append(f"- `{name}`: {said}")
        else:
            lines.append(line.strip())
    return "\n".join(lines)


def first_line(thing: Any) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def main() -> int:
    """Write or check the page -> the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is out of date")
    return write_or_check(PAGE, page(), parser.parse_args().check, "api_docs.py")


if __name__ == "__main__":
    sys.exit(main())
