#!/usr/bin/env python3
"""What `--max-copy-seconds` costs, and that it holds: every stretch of what is made, looked for in the recordings.

    python benchmarks/run_limit.py MODEL ... [--max-copy-seconds 0.5] [--seconds 10000] [--length 4]
        [--temperature 1] [--json] [--save NAME]

Codes are sampled with and without the limit in turn, in batches of 16, until `--seconds` of both are made. A violation is a
stretch of one position more than the limit that a recording has at the same bands, by comparing codes, not hashes; silence
alone is none. Printed: violations with and without the limit, and the ratio of the processor's times (median
of the batches, lowest and highest).
"""

import argparse
import math
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from distill.instrument.limiting import silent_codes
from distill.instrument.sampling import sample_pieces
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.models.sampling import clip_generator
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import BANDS, COLUMN_SECONDS
from running import add_answer_options, give_answer, spread

BATCH = 16
Stretch = tuple[int, tuple[int, ...]]


def stretches(codes: list[int], length: int, silent: list[set[int]]) -> set[Stretch]:
    """Every stretch of so many positions, with the band it begins in; silent ones left out."""
    found = set()
    for first in range(len(codes) - length + 1):
        part = tuple(codes[first : first + length])
        if any(code not in silent[(first + i) % BANDS] for i, code in enumerate(part)):
            found.add((first % BANDS, part))
    return found


def sampled(loaded: LoadedVQModel, first: int, settings: GenerationSettings) -> tuple[float, list[list[int]]]:
    """Seconds of processor time it took, and the coarsest codes of a batch."""
    assert loaded.prior is not None
    begun = time.process_time()
    generators = [clip_generator(first + number) for number in range(BATCH)]
    *_, (_, _, made) = sample_pieces(loaded.prior, generators, loaded, settings)
    return time.process_time() - begun, [each.codes[:, 0].tolist() for each in made]


def measure(path: Path, limit: float, seconds: float, free: GenerationSettings) -> dict[str, Any]:
    """One model."""
    loaded = load_model(path)
    silent = silent_codes(loaded)
    over = max(BANDS, math.floor(limit / COLUMN_SECONDS * BANDS + 1e-6)) + 1
    recordings: set[Stretch] = set()
    for codes in loaded.codes.values():
        recordings |= stretches(codes[:, 0].tolist(), over, silent)
    ways = {"free": free, "limited": free.model_copy(update={"max_copy_seconds": limit})}
    violations, positions, ratios, first = dict.fromkeys(ways, 0), 0, [], 0
    for settings in ways.values():  # tables are built once
        sampled(loaded, 0, settings)
    while positions < seconds / COLUMN_SECONDS * BANDS:
        taken = {}
        for way in ways if first % (2 * BATCH) else reversed(ways):
            taken[way], made = sampled(loaded, first, ways[way])
            violations[way] += sum(len(stretches(codes, over, silent) & recordings) for codes in made)
            positions += sum(map(len, made)) if way == "limited" else 0
        ratios.append(taken["limited"] / taken["free"])
        first += BATCH
    return {
        "seconds": positions * COLUMN_SECONDS / BANDS,
        "max_copy_seconds": limit,
        "violations": violations,
        "ratio": spread(statistics.median(ratios), min(ratios), max(ratios)),
    }


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--max-copy-seconds", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=10_000.0)
    parser.add_argument("--length", type=float, default=4.0)
    parser.add_argument("--temperature", type=float, default=1.0)
    add_answer_options(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    free = GenerationSettings(seconds=given.length, ending="exact", temperature=given.temperature)
    answer = {}
    for path in given.models:
        found = answer[path.stem] = measure(path, given.max_copy_seconds, given.seconds, free)
        if not given.json:
            violations, ratio = found["violations"], found["ratio"]
            print(f"{path.stem}: {violations['limited']} violations in {found['seconds']:.0f} s ({violations['free']} without "
                  f"the limit of {given.max_copy_seconds:g} s), time {ratio['median']:.3f} times "
                  f"[{ratio['lowest']:.2f}, {ratio['highest']:.2f}]")  # fmt: skip
    give_answer(given, answer)


if __name__ == "__main__":
    main()
