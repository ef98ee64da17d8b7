#!/usr/bin/env python3
"""What each dependency costs: installed MB with what it alone brings, and seconds to import, as a Markdown table.

    python tools/dependencies.py

Measured in the environment that runs it: one with the program's own dependencies and nothing else says most. MB are of the
files that were installed, compiled Python left out. Seconds are medians of five imports in a new process, less a process
that imports nothing; what two of them share is counted for each.
"""

import re
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
MODULES = {"pillow": "PIL", "lightning-fabric": "lightning_fabric", "typing-extensions": "typing_extensions"}
TIMES = 5


def name_of(requirement: str) -> str:
    """`torch>=2.6,<3` -> `torch`."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def brought_by(names: Iterable[str]) -> set[str]:
    """Everything that is installed because of these, themselves included."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # for another system
        if name not in found:
            found.add(name)
            waiting += [name_of(need) for need in needs if "extra ==" not in need]
    return found


def megabytes(name: str) -> float:
    """Size of what a distribution installed."""
    files = metadata.files(name) or []
    sizes = [path.stat().st_size for file in files if file.suffix != ".pyc" and (path := Path(file.locate())).is_file()]
    return sum(sizes) / 1e6


def import_seconds(module: str) -> float:
    """Median time of importing a module in a new process."""
    taken = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {module}" if module else ""], check=True, capture_output=True)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def licence(name: str) -> str:
    """What the distribution says of its licence, in a few words."""
    found = metadata.metadata(name)
    said = found.get("License-Expression") or next(
        (c.split(" :: ")[-1] for c in found.get_all("Classifier") or [] if c.startswith("License ::")), ""
    )
    return said or (found.get("License") or "?").splitlines()[0][:40]


def main() -> None:
    """Print the table."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    names = [name_of(requirement) for requirement in project["dependencies"]]
    nothing = import_seconds("")
    print("| library | version | MB, with what it alone brings | seconds to import | licence |")
    print("|---|---|---|---|---|")
    for name in sorted(names):
        alone = {name} | brought_by([name]) - brought_by(other for other in names if other != name)
        seconds = import_seconds(MODULES.get(name, name.replace("-", "_"))) - nothing
        size = sum(map(megabytes, alone))
        print(f"| {name} | {metadata.version(name)} | {size:.0f} | {seconds:.2f} | {licence(name)} |")
    print(f"\nAll together {sum(map(megabytes, brought_by(names))):.0f} MB in {len(brought_by(names))} packages.")


if __name__ == "__main__":
    main()
