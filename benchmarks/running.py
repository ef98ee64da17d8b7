"""What benchmarks share: running a generator of events for what it returns, and keeping what was measured."""

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PureWindowsPath
from typing import Any

import distill

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
SIGNIFICANT_DIGITS = 4


def finished(events: Generator[Any, None, Any]) -> Any:
    """Run a generator to its end and return what it returns."""
    while True:
        try:
            next(events)
        except StopIteration as done:
            return done.value


def rounded(value: Any) -> Any:
    """Plain values with their floats to four significant digits."""
    if isinstance(value, Mapping):
        return {name: rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if isinstance(value, float) else value


def spread(median: float, lowest: float, highest: float) -> dict[str, float]:
    """A median as the tables of kept results show it."""
    return {"median": median, "lowest": lowest, "highest": highest}


def add_answer_options(parser: argparse.ArgumentParser) -> None:
    """What every benchmark does with its answer."""
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--save", metavar="NAME", type=result_name, help="keep the answer as docs/results/NAME.json")


def give_answer(given: argparse.Namespace, answer: Mapping[str, Any]) -> None:
    """Print it as JSON and keep it, as `add_answer_options` has it; for people it is printed before."""
    if given.json:
        print(json.dumps(answer))
    if given.save:
        save_result(given.save, answer)


def result_name(text: str) -> str:
    """A name that is a file's and a heading's too."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text):
        raise argparse.ArgumentTypeError(f"{text!r}: small letters, digits and hyphens, such as codec-standard")
    return text


def save_result(name: str, answer: Mapping[str, Any], folder: Path = RESULTS) -> Path:
    """Keep an answer with everything that says where it comes from, for `tools/results.py` -> the file.

    No names of machines and no paths are kept: of a path in the command, its last part.
    """
    record = {
        "benchmark": Path(sys.argv[0]).stem,
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "version": distill.__version__,
        "machine": machine(),
        "command": shlex.join(
            ["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments_without_paths(sys.argv[1:])]
        ),
        "answer": rounded(answer),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"Kept in {path.parent.name}/{path.name}; `make docs` makes the tables.", file=sys.stderr)
    return path


def arguments_without_paths(given: Sequence[str]) -> list[str]:
    """What a benchmark was called with: of paths the last part, and not where the answer was kept."""
    kept: list[str] = []
    for before, each in zip(["", *given], given, strict=False):
        if before == "--save" or each.split("=")[0] == "--save":
            continue
        option, equals, value = each.rpartition("=") if each.startswith("-") else ("", "", each)
        kept.append(option + equals + PureWindowsPath(value).name)  # which knows both kinds of slashes
    return kept


def commit() -> str:
    """The commit that was measured, "+ changes" where the program has others."""
    try:
        short = git("rev-parse", "--short=7", "HEAD")
        return f"{short} + changes" if git("status", "--porcelain", "--", "src", "benchmarks") else short
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def git(*arguments: str) -> str:
    """What git answers about this checkout."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def machine() -> dict[str, Any]:
    """The kind of machine, not which one."""
    import torch

    from distill.compute.device import training_precision

    return {
        "system": platform.system(),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "cores": os.cpu_count(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "precision": training_precision(torch.device("cpu")),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
