#!/usr/bin/env python3
"""Write docs/results/README.md: what benchmarks have kept there, as tables.

    python tools/results.py [--check]

A benchmark that is run with `--save NAME` writes docs/results/NAME.json: the answer, the commit, the date, the kind of
machine and the command. `--check` writes nothing and fails where the page is not what those files say.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from generated import write_or_check

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
HEAD = """# Results

Written by `python tools/results.py` from the JSON files beside it, which benchmarks write when they are run with
`--save NAME`; do not edit it by hand. Compare figures of one table; times belong to the machine that is named. A value
with brackets is the median and [lowest, highest]. What was measured before these files were kept is on the pages of the
[decisions](../decisions/README.md).
"""
SPREAD = {"median", "lowest", "highest"}


def page(folder: Path = RESULTS) -> str:
    """The whole page."""
    records = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    index = "\n".join(f"- [{name}](#{name}): {each['date']}, commit {each['commit']}" for name, each in records.items())
    sections = [HEAD, index or "Nothing has been kept yet.", *(_section(name, each) for name, each in records.items())]
    return "\n\n".join(part.strip("\n") for part in sections) + "\n"


def _section(name: str, record: Mapping[str, Any]) -> str:
    machine = record["machine"]
    where = [
        f"{machine['cores']} cores",
        machine["processor"],
        machine["accelerator"] or "no accelerator",
        {"bf16-mixed": "bfloat16"}.get(machine["precision"], "float32"),
        machine["system"],
        f"torch {machine['torch']}",
    ]
    parts = [
        f"## {name}",
        f"    {record['command']}",
        f"Commit {record['commit']}, {record['date']}, distill {record['version']}. {', '.join(where)}.",
        *_tables(record["answer"], ""),
    ]
    return "\n\n".join(parts)


def _tables(answer: Mapping[str, Any], title: str) -> Iterator[str]:
    """An answer as one table where its parts can be columns, else a table for each part."""
    parts = {name: _plain_dict(value) for name, value in answer.items()}
    rows = [dict(_rows(part)) for part in parts.values() if part is not None]
    if rows and None not in parts.values() and set.intersection(*(set(part) for part in rows)):
        names = list(dict.fromkeys(name for part in rows for name in part))
        body = [[_words(name), *(part.get(name, "") for part in rows)] for name in names]
        yield _titled(title, _table(["", *parts], body))
        return
    single = {name: value for name, value in answer.items() if parts[name] is None}
    if single:
        yield _titled(title, _table(["", ""], [[_words(name), value] for name, value in _rows(single)]))
    for name, part in parts.items():
        if part is not None:
            yield from _tables(part, f"{title} / {_words(name)}" if title else _words(name))


def _plain_dict(value: Any) -> Mapping[str, Any] | None:
    """A part that has rows of its own; None for a single value."""
    return value if isinstance(value, dict) and set(value) != SPREAD else None


def _rows(part: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Every single value of a part under its path."""
    for name, value in part.items():
        path = f"{before} / {name}" if before else name
        if isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
            value = {f"{number}": inner for number, inner in enumerate(value, start=1)}
        inner = _plain_dict(value)
        if inner is None:
            yield path, _shown(value)
        else:
            yield from _rows(inner, path)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return f"{_shown(value['median'])} [{_shown(value['lowest'])}, {_shown(value['highest'])}]"
    if isinstance(value, list):
        return ", ".join(_shown(inner) for inner in value)
    if value is None or isinstance(value, bool):
        return {None: "-", True: "yes", False: "no"}[value]
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _titled(title: str, table: str) -> str:
    return f"{title}:\n\n{table}" if title else table


def _table(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="fail where the page is not up to date")
    sys.exit(write_or_check(RESULTS / "README.md", page(), parser.parse_args().check, Path(__file__).name))


if __name__ == "__main__":
    main()
