"""What a command answers on stdout with `--json`: one object, and nothing else."""

import json
import math
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from distill.events import Source

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout at the end, and nothing else there.")
]


def emit(**values: object) -> None:
    """One JSON object on stdout; what is not a number becomes null, names that are not text are escaped.

    Of several processes, the first one's.
    """
    from distill.compute.processes import is_first

    if not is_first():
        return
    print(json.dumps(_plain(values), ensure_ascii=True, allow_nan=False), flush=True)


def spoken_source(source: "Source") -> dict[str, object]:
    """What a second of a sound is nearest to, for `--json`."""
    return {
        "at": source.begins,
        "ends": source.ends,
        "nearest": source.nearest,
        "seconds": source.nearest_seconds,
        "unexplained": source.unexplained,
        "p": source.p,
        "nearer_than_chance": source.nearer_than_chance,
    }


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
