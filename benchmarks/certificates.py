#!/usr/bin/env python3
"""What a certificate costs: a pack with and without one in turn, and checking it.

    python benchmarks/certificates.py MODEL [--count 64] [--times 3] [--json] [--save NAME]

Each is the command line in a process of its own, so its start is in it: `generate --pack`, the same with `--certificate --zip`,
`verify` of the folder with the model in no library, `verify --model` of the archive, and that with `--again 4`. Printed: seconds
each, in brackets processor seconds, which other work on the machine touches less; medians; and what the certificate says.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from distill.library.models import find_model
from running import add_answer_options, give_answer, rounded


def spent(line: list[str], library: Path) -> tuple[float, float]:
    """Seconds and processor seconds of a command."""
    before, begun = os.times(), time.perf_counter()
    environment = {**os.environ, "DISTILL_LIBRARY": str(library)}
    subprocess.run([sys.executable, "-m", "distill", *line, "--json"], check=True, capture_output=True, env=environment)
    wall, after = time.perf_counter() - begun, os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--times", type=int, default=3)
    add_answer_options(parser)
    given = parser.parse_args()
    model = str(find_model(given.model).resolve())
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain, certified, archive = folder / "plain", folder / "certified", folder / "certified.zip"
        make = ["generate", model, "--count", str(given.count), "--seed", "0", "--overwrite", "--pack"]
        commands = {
            "pack": [*make, str(plain)],
            "certified": [*make, str(certified), "--certificate", "--zip"],
            "verify": ["verify", str(certified)],
            "verify_model": ["verify", str(archive), "--model", model],
            "verify_again": ["verify", str(archive), "--model", model, "--again", "4"],
        }
        for number in range(given.times):
            for what in list(commands) if number % 2 == 0 else ["certified", "pack", *list(commands)[2:]]:
                found.setdefault(what, []).append(spent(commands[what], folder / "library"))
                if not given.json:
                    wall, cpu = found[what][-1]
                    print(f"{what}: {wall:.1f} s ({cpu:.1f} s)", flush=True)
        said = json.loads((certified / "certificate.json").read_bytes())
        bytes_of_it = (certified / "certificate.json").stat().st_size
    answer: dict[str, Any] = {
        "sounds": len(said["sounds"]),
        "seconds": {what: statistics.median(wall for wall, _ in pairs) for what, pairs in found.items()},
        "cpu_seconds": {what: statistics.median(cpu for _, cpu in pairs) for what, pairs in found.items()},
        "certificate_bytes": bytes_of_it,
        "test": {
            name: said["test"][name] for name in ("verdict", "copied", "p_value", "coherence_z", "power", "recordings")
        },
    }
    if not given.json:
        print(rounded(answer))
    give_answer(given, answer)


if __name__ == "__main__":
    main()
