#!/usr/bin/env python3
"""Corpora of the program's own making, for measures that want more recordings, or others, than there are at hand.

    python benchmarks/own_sounds.py FOLDER [--kind variety|drones] [--count 500] [--seed 0]

`variety`: sounds of all families, 0.2 to 2 seconds. `drones`: held chords of 8 to 12 seconds, by turns bowed, breath, choir,
organ and detuned saws. The same seed makes the same sounds; another one unseen sounds of the same kind. As 24 bit WAV.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from distill.settings.geometry import SAMPLE_RATE
from distill.synthetic.families import Samples, Sound, drone, faded, finish, scaled, wandering
from distill.synthetic.held import VOWELS_HZ, bowed, breath, choir, organ
from distill.synthetic.variety import log_uniform, random_sound

LONGEST_SECONDS = 2.0
DRONE_SECONDS = (8.0, 12.0)
Note = Callable[[float, float, np.random.Generator], Samples]
"""Of a pitch in Hz and a duration in seconds."""


def _choir(pitch_hz: float, seconds: float, rng: np.random.Generator) -> Samples:
    formants_hz = np.array([*VOWELS_HZ[int(rng.integers(len(VOWELS_HZ)))], 3500.0])
    return choir(pitch_hz, seconds, 6, rng.uniform(5.0, 20.0), formants_hz, rng)


def _organ(pitch_hz: float, seconds: float, rng: np.random.Generator) -> Samples:
    return organ(pitch_hz, seconds, rng.uniform(0.0, 1.0, 9) ** 2, rng.uniform(0.3, 3.0), rng)


NOTES: tuple[Note, ...] = (
    lambda hz, seconds, rng: bowed(hz, seconds, rng.uniform(0.0, 30.0), rng.uniform(0.02, 0.4), rng),
    lambda hz, seconds, rng: breath(2 * hz, seconds, rng.uniform(1.0, 20.0), rng.uniform(0.1, 0.8), rng),
    _choir,
    _organ,
    lambda hz, seconds, rng: drone([hz], seconds, rng.uniform(0.3, 1.5), rng),
)


def drone_sound(number: int, rng: np.random.Generator) -> Sound:
    """A chord of one to three notes, held: [N], mono 48 kHz."""
    seconds = rng.uniform(*DRONE_SECONDS)
    root_hz = log_uniform(rng, 55.0, 330.0)
    chord = [0, *rng.choice([3, 4, 5, 7, 10, 12, 14], int(rng.integers(0, 3)), replace=False)]
    notes = [scaled(NOTES[number % len(NOTES)](root_hz * 2.0 ** (step / 12), seconds, rng)) for step in chord]
    held = np.sum([wandering(0.3, 1.0, seconds, 0.5, rng) * note for note in notes], axis=0)
    return finish(faded(scaled(held), 0.5, 0.5), -3.0)


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kind", choices=("variety", "drones"), default="variety")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for number in range(given.count):
        rng = np.random.default_rng([given.seed, number])
        drones = given.kind == "drones"
        made = drone_sound(number, rng) if drones else random_sound(rng, log_uniform(rng, 0.2, LONGEST_SECONDS))
        soundfile.write(given.folder / f"{given.kind}-{number:03d}.wav", made, SAMPLE_RATE, subtype="PCM_24")


if __name__ == "__main__":
    main()
