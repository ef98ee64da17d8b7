#!/usr/bin/env python3
"""The codec on folders of real recordings: what it loses and where, what it costs, and how it compares with its first loop.

    python benchmarks/codec.py FOLDER... [--seeds N] [--only quality|autoencoder|rate|few|speed] [--preset NAME]
                               [--measure FILE] [--json] [--save NAME] [--work DIR]

quality      For every folder and seed: `train`, `evaluate` on the held-out files, `train-prior`, 64 generated sounds, all
             through the command line with default settings. Medians over seeds, [lowest, highest] beside them. dB figures
             are mean |difference| of log-mels at most 60 dB under the loudest cell, `mrstft` the multi-resolution STFT
             distance of waveforms, both against the original; `synthesis_*`: from the original's own mel.
             With --measure, a program that is called as `FILE recon ORIGINALS RECONSTRUCTIONS` and `FILE gen SOUNDS
             REFERENCE` and prints JSON: its figures of reconstructed held-out files, and its energy distances (view
             "audible") to the held-out files and to the whole folder, of training files, of their reconstructions, and of
             generated sounds.
autoencoder  `quantisation_cost`: the codec's held-out mel error over that of a plain autoencoder of the same size, start and
             training (seed 0); `encoder_...`: with the codes that the encoder gives at once.
rate         The codec's held-out mel error for other numbers of levels and codes (seed 0).
few          Utilisation of each level on the five shortest files of each folder.
speed        `throughput_ratio`: crops per CPU-second of the training loop over those of its first version (`first_codec.py`:
             wider layers that reach the same error, channels-first in float32, every crop read and analysed anew),
             interleaved, one thread, data included; `precision`: what the processor multiplies fastest; `data_share`: time
             the loop spends drawing crops; `profile`: where a step's time goes.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.compute.device import training_precision
from distill.compute.fabric import launch_fabric
from distill.compute.threads import threads
from distill.corpus.scan import scan
from distill.corpus.sounds import Corpus
from distill.settings.auto import codec_auto, resolve
from distill.settings.codec import CodecSettings
from distill.training.codec.crops import CropBatch
from distill.training.codec.task import CodecTask
from distill.training.run import Run
from first_codec import FirstLoop
from rate import keep_nothing, quantisation_cost, rate_curve
from running import add_answer_options, finished, rounded, save_result, spread

GENERATED = 64
REPETITIONS = 5
STEPS = 12
FEW = 5
EVALUATED = (
    "mel_l1_db", "mel_l1_db_unquantised", "wave_mel_l1_db", "wave_mrstft", "wave_onset_correlation",
    "synthesis_mel_l1_db", "synthesis_mrstft", "bits_per_second",
)  # fmt: skip
JOBS = ("quality", "autoencoder", "rate", "few", "speed")


def run(*line: str | Path) -> tuple[dict[str, Any], float]:
    """Run a program -> the JSON object it prints, and the CPU seconds it took (0 on Windows, which does not say)."""
    before = os.times()
    done = subprocess.run([str(part) for part in line], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return json.loads(done.stdout), cpu


def distill(*arguments: str | Path) -> tuple[dict[str, Any], float]:
    """Run a distill command."""
    return run(sys.executable, "-m", "distill", *arguments, "--json")


def trainings(folder: Path, model: Path, seed: int, preset: str) -> list[tuple[dict[str, Any], float]]:
    """Both stages and what they cost; with --work, trainings of an earlier call are taken as they are."""
    notes = model.with_suffix(".json")
    if not notes.exists():
        same = ("--seed", str(seed))
        codec = distill("train", folder, "--out", model, "--overwrite", "--preset", preset, *same)
        notes.write_text(json.dumps([codec, distill("train-prior", model, "--overwrite", *same)]))
    found: list[tuple[dict[str, Any], float]] = json.loads(notes.read_text())
    return found


def one_seed(folder: Path, seed: int, preset: str, measure: Path | None, work: Path) -> dict[str, Any]:
    """Train, evaluate and generate with one seed."""
    model = work / f"{folder.name}-{preset}-{seed}.distill"
    (trained, codec_seconds), (prior, prior_seconds) = trainings(folder, model, seed, preset)
    evaluated, _ = distill("evaluate", model)
    levels = trained["codebook_health"]["levels"]
    found = {
        "codec_cpu_seconds": codec_seconds,
        "prior_cpu_seconds": prior_seconds,
        **{name: evaluated[name] for name in EVALUATED},
        **{f"mel_l1_db_levels_1_to_{n}": error for n, error in enumerate(evaluated["mel_l1_db_per_levels"], start=1)},
        "least_utilisation": min(level["utilisation"] for level in levels),
        "bits_per_code": prior["bits_per_code"],
        "ngram_bits_per_code": prior["ngram_bits_per_code"],
    }
    generated = work / f"{model.stem}-generated"
    _, found["generation_cpu_seconds"] = distill(
        "generate", model, "--count", str(GENERATED), "--seed", "1", "--out", generated
    )
    return found if measure is None else found | measured(model, folder, generated, measure, work)


def measured(model: Path, folder: Path, generated: Path, measure: Path, work: Path) -> dict[str, float]:
    """The figures of another program, on the same sounds."""
    card, _ = distill("info", model)
    sides: dict[str, Path] = {}
    for split in ("train", "val"):
        sides[split] = work / f"{model.stem}-{split}"
        sides[split].mkdir(exist_ok=True)
        for file in card["corpus_manifest"]["files"]:
            if file["split"] == split:
                shutil.copy(folder / file["name"], sides[split] / Path(file["name"]).name)
        distill("reconstruct", model, *sorted(sides[split].iterdir()), "--out", work / f"{model.stem}-{split}-again")
    again = {split: work / f"{model.stem}-{split}-again" for split in sides}
    recon = run(sys.executable, measure, "recon", sides["val"], again["val"], "--no-files")[0]["metrics"]
    found = {
        f"measured_{name}": recon[name]["mean"] for name in ("logmel_l1_db_60", "mrstft", "mrstft_native", "onset_corr")
    }
    for name, sounds in (
        ("training_files", sides["train"]),
        ("reconstructions", again["train"]),
        ("generated", generated),
    ):
        for against, reference in (("held_out", sides["val"]), ("folder", folder)):
            view = run(sys.executable, measure, "gen", sounds, reference, "--boot", "50")[0]["audible"]
            found[f"energy_{name}_to_{against}"] = view["energy"]
            found[f"diversity_{name}_in_{against}"] = view["diversity_ratio"]
    return found


def quality(folder: Path, seeds: int, preset: str, measure: Path | None, work: Path) -> dict[str, Any]:
    """Medians over seeds."""
    runs = [one_seed(folder, seed, preset, measure, work) for seed in range(seeds)]
    found: dict[str, Any] = {}
    for name in runs[0]:
        values = sorted(float(each[name]) for each in runs if each[name] is not None)
        if values:
            found[name] = [statistics.median(values), values[0], values[-1]]
    return found


def few(folder: Path, preset: str, work: Path) -> dict[str, Any]:
    """Utilisation with the least sound that is allowed."""
    corpus: Corpus = finished(scan(folder))
    small = work / f"{folder.name}-few"
    small.mkdir(exist_ok=True)
    for file in sorted(corpus.manifest.files, key=lambda file: file.samples)[:FEW]:
        shutil.copy(folder / file.name, small / Path(file.name).name)
    trained, _ = distill(
        "train", small, "--out", work / f"{folder.name}-few.distill", "--overwrite", "--preset", preset
    )
    levels = trained["codebook_health"]["levels"]
    return {"utilisation": [level["utilisation"] for level in levels], "verdict": trained["codebook_health"]["verdict"]}


class Ours:
    """The training loop as it is, a step at a time."""

    def __init__(self, corpus: Corpus, settings: CodecSettings) -> None:
        self.task = CodecTask(corpus, settings, keep_nothing)
        self.fit = Run(self.task, launch_fabric("cpu", 0))
        self.task.before_epoch(self.task.first_quantised_epoch, torch.device("cpu"))

    def draw(self, rng: np.random.Generator) -> CropBatch:
        """A batch of crops."""
        return self.task.source.draw(self.task.settings.batch_size, rng)

    def step(self, batch: CropBatch) -> None:
        """Learn from it."""
        self.fit.train_step(batch)


def timed(loop: Ours | FirstLoop, seed: int) -> tuple[float, float]:
    """CPU seconds of drawing and of learning for `STEPS` steps."""
    rng = np.random.default_rng(seed)
    drawing = learning = 0.0
    for _ in range(STEPS):
        begun = time.process_time()
        batch = loop.draw(rng)
        drawn = time.process_time()
        loop.step(batch)
        drawing, learning = drawing + drawn - begun, learning + time.process_time() - drawn
    return drawing, learning


def speed(folder: Path) -> dict[str, Any]:
    """The loop against its first version."""
    corpus: Corpus = finished(scan(folder))
    overrides = {"preview_every": 0}
    settings = resolve(CodecSettings, codec_auto(corpus.manifest.facts(), overrides), overrides).settings
    ours, first = Ours(corpus, settings), FirstLoop(corpus, settings)
    timed(ours, 0), timed(first, 0)
    ratios, shares, rates = [], [], []
    for repetition in range(REPETITIONS):
        old, new = sum(timed(first, repetition)), timed(ours, repetition)
        ratios.append(old / sum(new))
        shares.append(new[0] / sum(new))
        rates.append(STEPS * settings.batch_size / sum(new))
    return {
        "throughput_ratio": statistics.median(ratios),
        "throughput_ratio_spread": [min(ratios), max(ratios)],
        "crops_per_cpu_second": statistics.median(rates),
        "precision": training_precision(torch.device("cpu")),
        "data_share": statistics.median(shares),
        "profile": profile(ours),
    }


def profile(loop: Ours) -> dict[str, float]:
    """Share of a step's own CPU time, by operation, the largest first."""
    batch = loop.draw(np.random.default_rng(0))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        for _ in range(STEPS):
            loop.step(batch)
    own = {event.key: event.self_cpu_time_total for event in found.key_averages()}
    total = sum(own.values())
    largest = sorted(own, key=own.__getitem__, reverse=True)[:12]
    return {name: own[name] / total for name in largest}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=JOBS)
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--measure", type=Path, help="another program's view of the same sounds")
    add_answer_options(parser)
    parser.add_argument("--work", type=Path, help="keep models and sounds here")
    given = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary, threads(1):
        work = given.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("DISTILL_CACHE", str(Path(temporary) / "cache"))
        for folder in given.folders:
            found = results[folder.name] = {}
            if given.only in (None, "speed"):
                found["speed"] = rounded(speed(folder))
            if given.only in (None, "few"):
                found["few"] = rounded(few(folder, given.preset, work))
            if given.only in (None, "autoencoder"):
                found["autoencoder"] = rounded(quantisation_cost(finished(scan(folder)), given.preset))
            if given.only in (None, "rate"):
                found["rate"] = rounded(rate_curve(finished(scan(folder)), given.preset))
            if given.only in (None, "quality"):
                found["quality"] = rounded(quality(folder, given.seeds, given.preset, given.measure, work))
            if not given.json:
                print(folder.name, json.dumps(found, indent=1), flush=True)
    if given.json:
        print(json.dumps(results))
    if given.save:
        for found in results.values():
            if "quality" in found:
                found["quality"] = {name: spread(*values) for name, values in found["quality"].items()}
        save_result(given.save, results)


if __name__ == "__main__":
    main()
