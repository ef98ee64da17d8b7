#!/usr/bin/env python3
"""Make the weights that every model's synthesiser starts from, trained on sounds of the program's own making.

    python tools/pretrain_synthesiser.py [--sounds 1200] [--magnitude-epochs 9] [--epochs 25] [--continued]
                                         [--out src/distill/weights/synthesiser.pt]

Renders sounds by `distill.synthetic.variety`. Learns magnitudes alone for a while, then what comes of them (as
`distill train-synth` does), and keeps the best weights so far in half precision. An epoch is 25 steps of 16 crops: 10 and
26 CPU-seconds on one thread. `--continued` goes on from the weights that are shipped (with another `--seed`: other sounds).
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from distill.compute.fabric import launch_fabric
from distill.events import SynthesiserEpochMetrics
from distill.files import replacing
from distill.settings.geometry import SpectrogramConfig
from distill.settings.synthesiser import SynthesiserSettings
from distill.synthetic.variety import random_recording
from distill.training.fit import fit
from distill.training.run import Best
from distill.training.synthesiser.task import HeldOut, SynthesiserTask
from distill.training.synthesiser.waveforms import Samples, WaveformSource

JUDGED_SOUNDS = 24


def render(count: int, seed: int) -> list[Samples]:
    """`count` sounds of a generator that never repeats itself."""
    return [random_recording(np.random.default_rng((seed, number))) for number in range(count)]


def keep(state: dict[str, torch.Tensor], out: Path) -> None:
    """Write the network of an objective's state, in half precision."""
    prefix = "network."
    network = {name.removeprefix(prefix): tensor.half() for name, tensor in state.items() if name.startswith(prefix)}
    with replacing(out) as stream:
        torch.save(network, stream)


def learn(task: SynthesiserTask, bests: list[Best], seed: int) -> None:
    """Run a task that puts its best epochs into `bests`, and leave the best weights in it."""
    task.shipped_score = float("inf")
    for event in fit(task, launch_fabric("cpu", seed)):
        if isinstance(event, SynthesiserEpochMetrics):
            print(
                f"epoch {event.epoch}/{event.epochs}: loss {event.train_loss:.4f}, own sounds {event.val_mrstft:.4f}",
                flush=True,
            )
    task.objective.load_state_dict(bests[-1].state)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sounds", type=int, default=1200)
    parser.add_argument("--magnitude-epochs", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--continued", action="store_true", help="go on from the shipped weights, samples only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("src/distill/weights/synthesiser.pt"))
    given = parser.parse_args()
    config = SpectrogramConfig()
    source = WaveformSource(render(given.sounds, given.seed), config)
    held_out = HeldOut([torch.from_numpy(sound) for sound in render(JUDGED_SOUNDS, given.seed + 1)], config)
    begun = None
    first = () if given.continued else ((True, given.magnitude_epochs),)
    for magnitudes_only, epochs in (*first, (False, given.epochs)):
        settings = SynthesiserSettings(
            epochs=epochs,
            learning_rate=4e-4 if magnitudes_only else 3e-4,
            matrix_learning_rate=0.01 if magnitudes_only else 0.007,
            pretrained=given.continued,
            seed=given.seed + epochs,
        )
        bests: list[Best] = []

        def better(best: Best, bests: list[Best] = bests) -> None:
            bests[:] = [best]
            keep(best.state, given.out)

        task = SynthesiserTask(source, held_out, settings, better)
        if begun is not None:
            task.objective.load_state_dict(begun)
        task.objective.magnitudes_only = magnitudes_only
        learn(task, bests, given.seed)
        begun = task.objective.state_dict()
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
