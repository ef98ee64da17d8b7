#!/usr/bin/env python3
"""What a token, a crop and a pair of files cost on one thread: the figures that docs/scaling.md is made of.

    python benchmarks/cost.py [--json] [--save NAME]

CPU-seconds, so that what else runs on the machine counts little; codes and sounds are made here. `gflop_per_*` counts
multiplications and additions of matrix products, forward and backward.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch.utils.flop_counter import FlopCounterMode

from distill.compute.fabric import launch_fabric
from distill.corpus.fingerprint import distances_db, fingerprint, fingerprint_shape
from distill.corpus.scan import scan
from distill.corpus.sounds import Corpus
from distill.models.encoding import encode_codes, level_of
from distill.settings.auto import codec_auto, resolve
from distill.settings.codec import CodecSettings
from distill.training.codec.task import CodecTask
from distill.training.muon import orthogonalised
from distill.training.run import Run
from prior import made_codes, settings_for, task_for
from running import add_answer_options, finished, save_result

SIZES = ((64, 2, 2), (128, 2, 4), (256, 4, 4), (512, 6, 8))
REPETITIONS = 5
FILES = 500
SECONDS = 5.0
RATE = 48_000


def cpu_seconds(work: Callable[[], Any]) -> float:
    """The shortest of some calls."""
    taken = []
    work()
    for _ in range(REPETITIONS):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return min(taken)


def prior_cost() -> dict[str, Any]:
    """A training step on 32 windows of a second."""
    found = {}
    codes = made_codes()
    for width, layers, heads in SIZES:
        task = task_for(codes, settings_for(codes, hidden_size=width, num_layers=layers, num_heads=heads))
        run = Run(task, launch_fabric("cpu", 0))
        batch = next(iter(task.batches(1)))
        tokens = task.items(batch)
        with FlopCounterMode(display=False) as counter:
            task.objective(batch).backward()
        found[f"{width}x{layers}"] = {
            "parameters": sum(p.numel() for p in task.prior.parameters()),
            "tokens_per_cpu_second": tokens / cpu_seconds(lambda run=run, batch=batch: run.train_step(batch)),
            "gflop_per_token": counter.get_total_flops() / tokens / 1e9,
        }
    return found


def made_corpus(folder: Path) -> Corpus:
    """Noises that decay."""
    for number in range(6):
        rng = np.random.default_rng(number)
        fading = np.exp(-np.arange(round(SECONDS * RATE)) / (RATE * (0.3 + number)))
        soundfile.write(folder / f"{number}.wav", 0.5 * fading * rng.uniform(-1, 1, len(fading)), RATE)
    corpus: Corpus = finished(scan(folder))
    return corpus


def codec_cost(corpus: Corpus) -> dict[str, Any]:
    """A training step on a batch of crops, drawing it, and encoding a file."""
    settings = resolve(CodecSettings, codec_auto(corpus.manifest.facts()), {}).settings
    task = CodecTask(corpus, settings, print)
    task.objective.quantising = True
    run = Run(task, launch_fabric("cpu", 0))
    batch = next(iter(task.batches(1)))
    with FlopCounterMode(display=False) as counter:
        task.objective(batch).backward()
    mel = corpus.mel(corpus.manifest.files[0])
    level = level_of(mel)
    task.codec.eval()
    with torch.no_grad():
        encoding = cpu_seconds(lambda: encode_codes(task.codec, mel, level, torch.device("cpu")))
    crops = task.items(batch)
    rng = np.random.default_rng(0)
    return {
        "crops_per_cpu_second": crops / cpu_seconds(lambda: run.train_step(batch)),
        "crops_drawn_per_cpu_second": crops / cpu_seconds(lambda: task.source.draw(crops, rng)),
        "gflop_per_crop": counter.get_total_flops() / crops / 1e9,
        "sound_seconds_encoded_per_cpu_second": SECONDS / encoding,
    }


def orthogonalising_cost() -> dict[str, Any]:
    """Muon's matrices of a layer; and where units have died, so that what their momenta hold falls to nothing."""
    alive = torch.randn(8, 256, 768, generator=torch.Generator().manual_seed(0))
    dying = alive * torch.logspace(0, -45, 768, dtype=torch.float64).float()
    return {
        name: cpu_seconds(lambda matrices=matrices: orthogonalised(matrices))
        for name, matrices in (("alive_cpu_seconds", alive), ("dying_cpu_seconds", dying))
    }


def corpus_cost() -> dict[str, Any]:
    """Fingerprints, and comparing each with each."""
    rng = np.random.default_rng(0)
    prints = [(40 * rng.random(fingerprint_shape())).astype(np.float16) for _ in range(FILES)]
    sound = rng.uniform(-1, 1, round(SECONDS * RATE)).astype(np.float32)
    return {
        "fingerprint_bytes": prints[0].nbytes,
        "fingerprint_cpu_seconds": cpu_seconds(lambda: fingerprint(sound)),
        "pair_cpu_microseconds": 1e6 * cpu_seconds(lambda: distances_db(prints)) / FILES**2,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_answer_options(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        results = {
            "prior": prior_cost(),
            "codec": codec_cost(made_corpus(Path(folder))),
            "orthogonalising": orthogonalising_cost(),
            "corpus": corpus_cost(),
        }
    print(json.dumps(results, indent=None if given.json else 2))
    if given.save:
        save_result(given.save, results)


if __name__ == "__main__":
    main()
