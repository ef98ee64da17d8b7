#!/usr/bin/env python3
"""Make the weights that every model's synthesiser starts from, trained on sounds of the program's own making.

    python tools/pretrain_synthesiser.py [--sounds 1200] [--magnitude-epochs 9] [--epochs 25]
                                         [--out src/distill/weights/synthesiser.pt]

Renders sounds by `distill.audio.variety`, three in ten of them at a lower sample rate first, as recordings often are.
Learns magnitudes alone for a while, then what comes of them (as `distill train-synth` does), and keeps the weights in half
precision. An epoch is 25 steps of 16 crops: 10 and 26 CPU-seconds on one thread.
"""

import argparse
from pathlib import Path

import numpy as np
import soxr
import torch

from distill.audio.io import SAMPLE_RATE
from distill.audio.variety import random_sound
from distill.config import SpectrogramConfig, SynthesiserSettings
from distill.events import SynthesiserEpochMetrics
from distill.files import replacing
from distill.training.fit import Best, fit, launch_fabric
from distill.training.synthesiser import HeldOut, SynthesiserTask
from distill.training.waveforms import Samples, WaveformSource

LOWER_RATES = (8_000, 11_025, 16_000, 22_050, 32_000)
LOWER_RATE_SHARE = 0.3
JUDGED_SOUNDS = 24


def render(count: int, seed: int) -> list[Samples]:
    """`count` sounds of a generator that never repeats itself."""
    sounds = []
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        sound = random_sound(rng)
        if rng.random() < LOWER_RATE_SHARE:
            rate = int(rng.choice(LOWER_RATES))
            sound = soxr.resample(soxr.resample(sound, SAMPLE_RATE, rate), rate, SAMPLE_RATE)
        sounds.append(sound)
    return sounds


def learn(task: SynthesiserTask, bests: list[Best], seed: int) -> None:
    """Run a task that puts its best epochs into `bests`, and leave the best weights in it."""
    task.shipped_score = float("inf")
    for event in fit(task, launch_fabric("cpu", seed)):
        if isinstance(event, SynthesiserEpochMetrics):
            print(f"epoch {event.epoch}/{event.epochs}: loss {event.train_loss:.4f}, own sounds {event.val_mrstft:.4f}")
    task.objective.load_state_dict(bests[-1].state)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sounds", type=int, default=1200)
    parser.add_argument("--magnitude-epochs", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("src/distill/weights/synthesiser.pt"))
    given = parser.parse_args()
    config = SpectrogramConfig()
    source = WaveformSource(render(given.sounds, given.seed), config)
    held_out = HeldOut([torch.from_numpy(sound) for sound in render(JUDGED_SOUNDS, given.seed + 1)], config)
    begun = None
    for magnitudes_only, epochs in ((True, given.magnitude_epochs), (False, given.epochs)):
        settings = SynthesiserSettings(
            epochs=epochs,
            learning_rate=4e-4 if magnitudes_only else 3e-4,
            matrix_learning_rate=0.01 if magnitudes_only else 0.007,
            pretrained=False,
            seed=given.seed + epochs,
        )
        bests: list[Best] = []
        task = SynthesiserTask(source, held_out, settings, bests.append)
        if begun is not None:
            task.objective.load_state_dict(begun)
        task.objective.magnitudes_only = magnitudes_only
        learn(task, bests, given.seed)
        begun = task.objective.state_dict()
    with replacing(given.out) as stream:
        torch.save({name: tensor.half() for name, tensor in task.network.state_dict().items()}, stream)
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
