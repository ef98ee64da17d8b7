#!/usr/bin/env python3
"""How often the tempo of a recording is found, on loops whose tempo is known and on single sounds, which have none.

    python benchmarks/tempo.py LOOPS [SINGLE...] [--json] [--save NAME]

LOOPS is a folder with loops of whole beats, whose true tempo follows from their length and the number of beats in `BEATS`, and
with sounds that have none (all others). Of each loop: as it is; played at five other speeds; two and three times in a row; three
parts of 4 to 8 seconds of it, cut anywhere; six seconds with noise 20 dB under it. `right`: the share within 1 %, `octave`: the
same, or half or twice that; `none`: no tempo was found. `beats`: whole loops whose number of beats was found. SINGLE are folders
of single sounds: `found` is how many got a tempo.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from distill.audio.reading import read_planes
from distill.audio.tempo import find_grid
from distill.errors import DistillError
from distill.settings.geometry import SAMPLE_RATE
from running import add_answer_options, give_answer, rounded

BEATS = {
    "loop_amen": 4, "loop_breakbeat": 4, "loop_compus": 16, "loop_garzul": 16, "loop_industrial": 2, "loop_perc1": 4,
    "loop_safari": 16, "loop_tabla": 16,
}  # fmt: skip
SPEEDS = (0.85, 0.92, 1.07, 1.15, 1.25)

Sound = npt.NDArray[np.float32]


def ways(loop: Sound, beats: int, rng: np.random.Generator) -> Iterator[tuple[str, Sound, float, int | None]]:
    """A loop in other forms: what was done, the sound, its tempo, and its beats if it is still a loop."""
    bpm = 60.0 * beats * SAMPLE_RATE / len(loop)
    yield "as it is", loop, bpm, beats
    for speed in SPEEDS:
        yield "other speed", soxr.resample(loop, SAMPLE_RATE * speed, SAMPLE_RATE), bpm * speed, beats
    for times in (2, 3):
        yield "in a row", np.tile(loop, times), bpm, beats * times
    on_and_on = np.tile(loop, math.ceil(8 * SAMPLE_RATE / len(loop)) + 1)
    for _ in range(3):
        begin, length = int(rng.integers(len(loop))), int((4 + 4 * rng.random()) * SAMPLE_RATE)
        yield "cut anywhere", on_and_on[begin : begin + length], bpm, None
    part = on_and_on[: 6 * SAMPLE_RATE]
    noise = 0.1 * np.sqrt(np.mean(part**2)) * rng.standard_normal(len(part))
    yield "with noise", (part + noise).astype(np.float32), bpm, None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loops", type=Path)
    parser.add_argument("single", type=Path, nargs="*")
    add_answer_options(parser)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    found: dict[str, list[tuple[float, float | None, bool]]] = {}
    single: list[str] = []
    files = [path for folder in (given.loops, *given.single) for path in sorted(folder.iterdir())]
    sounds = 0
    for path in files:
        try:
            sound = read_planes(path)[0][0]
        except DistillError:
            continue
        if path.parent == given.loops and path.stem in BEATS:
            for name, way, bpm, beats in ways(sound, BEATS[path.stem], rng):
                grid = find_grid(way)
                heard = None if grid is None else grid.bpm / bpm
                found.setdefault(name, []).append((bpm, heard, grid is not None and grid.beats == beats))
                if name == "as it is" and not given.json:
                    print(f"{path.stem}: {bpm:.3f}, found {'none' if grid is None else f'{grid.bpm:.3f}'}")
        else:
            sounds += 1
            if find_grid(sound) is not None:
                single.append(path.name)
    answer: dict[str, Any] = {"single_sounds": sounds, "single_found": single}
    for name, each in found.items():
        near = [heard is not None and abs(heard - 1.0) < 0.01 for _, heard, _ in each]
        octave = [
            heard is not None and min(abs(heard * by - 1.0) for by in (0.5, 1.0, 2.0)) < 0.01 for _, heard, _ in each
        ]
        answer[name] = rounded({
            "sounds": len(each), "right": float(np.mean(near)), "octave": float(np.mean(octave)),
            "none": float(np.mean([heard is None for _, heard, _ in each])),
            "beats": float(np.mean([whole for _, _, whole in each])),
        })  # fmt: skip
    if not given.json:
        for name, value in answer.items():
            print(name, value)
    give_answer(given, answer)


if __name__ == "__main__":
    main()
