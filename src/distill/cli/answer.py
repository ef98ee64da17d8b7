"""What a command answers on stdout with `--json`: one object, and nothing else."""

import json
import math
from typing import Annotated

import typer

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


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
