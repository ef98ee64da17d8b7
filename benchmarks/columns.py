#!/usr/bin/env python3
"""Columns of half the duration against more levels of codes: what the codec loses, what its codes cost the prior, what comes out.

    python benchmarks/columns.py FOLDER... [--variants 16x3 8x3 16x6 8x2] [--preset draft] [--seeds 1]
                                 [--measure FILE] [--python PATH] [--work DIR] [--json] [--save NAME]

A variant is FRAMESxLEVELS: spectrogram frames in a column (16: 0.17 s, as the program has them; 8: half) and levels of 256
codes. Its codec starts from nothing (there are start weights for one geometry only) and is trained as the preset has it, with
equal steps, on mono copies of the folders; its prior is 64 x 2 and is trained for as many CPU seconds as that of the first
variant: what a step costs is measured with all of them in turn (`prior_step`, times the first), and the epochs are set by it.
`other_columns.py` runs the program with each geometry.

kbits                    of all codes, of 8 bits each.
mel_l1_db                held-out files through their codes, without grain; `autoencoder`: latents as they are; `with_grain`.
codec_cpu, prior_cpu     CPU seconds of training steps, one thread.
bits_per_second          of held-out codes by the prior: bits per code times codes a second. More codes say more.
energy_*, diversity_*    of --measure (`FILE gen SOUNDS REFERENCE`, JSON), view "audible": energy distance of 64 generated
                         sounds, of three seeds, to the held-out files and to the whole folder, and their diversity.
z, nearer, copied        the copy test's, of those of the first seed, each with the variant's own codec.
codes_*, grain_*         what listeners say of held-out files (`ears.py`, where they are installed), from codes alone and with
                         grain (which has as many numbers a second in all variants).
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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import torch

from distill.compute.fabric import launch_fabric
from distill.compute.threads import threads
from distill.settings.geometry import BANDS, HOP_LENGTH, SAMPLE_RATE
from distill.settings.knobs import flag_name
from distill.settings.prior import PriorSettings, PriorSize
from distill.training.prior.codes import CodeSequences, CodeView
from distill.training.prior.task import PriorTask
from distill.training.run import Run
from ears import LISTENERS, heard, listeners
from running import add_answer_options, give_answer, rounded, spread

CODES = 256
SIZE = PriorSize(64, 2, 2)
GENERATED = 64
DRAWS = (1, 1001, 2001)
"""Seeds of the sounds that are generated."""
REPETITIONS, STEPS = 7, 2


class Variant(NamedTuple):
    """A geometry of codes."""

    frames: int
    levels: int

    @classmethod
    def of(cls, text: str) -> "Variant":
        """From its name."""
        frames, levels = map(int, text.split("x"))
        return cls(frames, levels)

    def __str__(self) -> str:
        return f"{self.frames}x{self.levels}"

    @property
    def codes_per_second(self) -> float:
        """Codes of all levels."""
        return SAMPLE_RATE / HOP_LENGTH / self.frames * BANDS * self.levels


class Ran(NamedTuple):
    """What a command answered, and the CPU seconds of the training steps in it."""

    answer: Any
    cpu: float


class Tools(NamedTuple):
    """A program that measures, and what runs it."""

    python: Path
    measure: Path | None

    def run(self, program: Path, *arguments: str | Path) -> str:
        """What it prints."""
        line = [str(part) for part in (self.python, program, *arguments)]
        own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(line, capture_output=True, text=True, check=False, env=own)
        return done.stdout if not done.returncode else sys.exit(done.stderr)


def distill(variant: Variant, *arguments: str | Path) -> Ran:
    """Run a command with the geometry of a variant."""
    script = Path(__file__).with_name("other_columns.py")
    with tempfile.TemporaryDirectory() as temporary:
        cpu = Path(temporary) / "cpu"
        more = () if arguments[0] == "decode" else ("--json",)
        line = (sys.executable, script, variant.frames, variant.levels, cpu, *arguments, *more)
        done = subprocess.run([str(part) for part in line], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        return Ran(json.loads(done.stdout or "null"), float(cpu.read_text()))


def prior_step(variant: Variant, seconds: float) -> Callable[[], float]:
    """A step of a variant's prior on made codes with windows of so many seconds -> its CPU seconds."""
    columns = round(seconds * SAMPLE_RATE / HOP_LENGTH / variant.frames)
    rng = np.random.default_rng(0)
    codes = torch.from_numpy(rng.integers(0, CODES, (40, columns * BANDS, variant.levels)))
    codebooks = torch.from_numpy(rng.standard_normal((variant.levels, CODES, 32))).float()
    settings = PriorSettings(
        **SIZE._asdict(), epochs=100, seq_len=columns * BANDS, codebook_size=CODES, rvq_levels=variant.levels,
        both_sides=True, traits=True,
    )  # fmt: skip
    sequences = CodeSequences(tuple((CodeView(row),) for row in codes[:32]), tuple(codes[32:]))
    task = PriorTask(sequences, codebooks, settings, lambda _best: [])
    run = Run(task, launch_fabric("cpu", 0))

    def step() -> float:
        batch = next(iter(task.batches(1)))
        begun = time.process_time()
        run.train_step(batch)
        return time.process_time() - begun

    return step


def step_costs(variants: Sequence[Variant], seconds: float) -> list[dict[str, float]]:
    """What a step of each variant's prior costs, times the first one's; they take turns. Of each the least, since another
    program beside them adds and never takes away; and the [lowest, highest] ratio of a turn."""
    steps = [prior_step(variant, seconds) for variant in variants]
    spent = [[sum(step() for _ in range(STEPS)) for step in steps] for _ in range(REPETITIONS + 1)][1:]
    found = []
    for place in range(len(variants)):
        ratios = [row[place] / row[0] for row in spent]
        least = min(row[place] for row in spent) / min(row[0] for row in spent)
        found.append({"least": least, "lowest": min(ratios), "highest": max(ratios)})
    return found


def mono_copy(folder: Path, out: Path) -> Path:
    """The sounds of a folder with one channel."""
    if not out.exists():
        out.mkdir(parents=True)
        for file in sorted(folder.iterdir()):
            if file.suffix.lower() in (".wav", ".flac"):
                samples, rate = soundfile.read(file, always_2d=True)
                soundfile.write(out / f"{file.stem}.wav", samples.mean(1), rate, subtype="PCM_24")
    return out


def held_out_copies(variant: Variant, model: Path, folder: Path, out: Path) -> Path:
    """The files that the codec did not learn from, in a folder of their own."""
    out.mkdir(parents=True, exist_ok=True)
    for file in distill(variant, "info", model).answer["corpus_manifest"]["files"]:
        if file["split"] == "val":
            shutil.copy(folder / file["name"], out)
    return out


def codec_of(variant: Variant, folder: Path, model: Path, preset: str, seed: int) -> dict[str, float]:
    """Train a codec, and measure it."""
    trained = distill(
        variant, "train", folder, "--out", model, "--overwrite", "--no-pretrained", "--preset", preset,
        "--codebook-size", str(CODES), "--preview-every", "0", "--seed", str(seed), "--device", "cpu",
    )  # fmt: skip
    found = distill(variant, "evaluate", model).answer
    return {
        "kbits": variant.codes_per_second * 8 / 1000,
        "codec_cpu": trained.cpu,
        "mel_l1_db": found["mel_l1_db_per_levels"][-1],
        "autoencoder": found["mel_l1_db_unquantised"],
        "with_grain": found["mel_l1_db"],
        "grain_kbits": found["grain_bits_per_second"] / 1000,
    }


def prior_of(variant: Variant, model: Path, epochs: int | None, seed: int) -> dict[str, float]:
    """Train a prior; without epochs for as many as the program would."""
    sized = [part for name, value in SIZE._asdict().items() for part in (flag_name(name), str(value))]
    wanted = [] if epochs is None else ["--epochs", str(epochs)]
    trained = distill(
        variant, "train-prior", model, "--overwrite", "--no-novelty", "--seed", str(seed), "--device", "cpu",
        *sized, *wanted,
    )  # fmt: skip
    bits, settings = trained.answer["bits_per_code"], distill(variant, "info", model).answer["prior_training_config"]
    return {
        "prior_cpu": trained.cpu,
        "epochs": settings["epochs"],
        "window_seconds": settings["context_seconds"],
        "best_epoch": trained.answer["best_epoch"],
        "bits_per_code": bits,
        "bits_per_second": bits * variant.codes_per_second,
        "ngram_bits_per_second": trained.answer["ngram_bits_per_code"] * variant.codes_per_second,
    }


def made_by(variant: Variant, model: Path, seed: int) -> Path:
    """A folder of new sounds; one that is complete is taken as it is."""
    generated = model.parent / f"generated-{seed}"
    if not generated.exists() or len(list(generated.glob("*.wav"))) < GENERATED:
        shutil.rmtree(generated, ignore_errors=True)
        distill(variant, "generate", model, "--count", str(GENERATED), "--seed", str(seed), "--out", generated)
    return generated


def sounds_of(variant: Variant, folder: Path, model: Path, unseen: Path, tools: Tools) -> dict[str, Any]:
    """Generate sounds, and measure them."""
    drawn = [made_by(variant, model, seed) for seed in DRAWS]
    report = distill(variant, "novelty", model, "--files", drawn[0]).answer
    found: dict[str, Any] = {"z": report["coherence_z"], "copied": report["copy_rate"]}
    found["nearer"] = statistics.median(file["score"] for file in report["files"])
    if tools.measure is not None:
        for name, reference in (("held_out", unseen), ("folder", folder)):
            views = [json.loads(tools.run(tools.measure, "gen", each, reference, "--boot", "50")) for each in drawn]
            for ours, theirs in (("energy", "energy"), ("diversity", "diversity_ratio")):
                values = [view["audible"][theirs] for view in views]
                found[f"{ours}_{name}"] = spread(statistics.median(values), min(values), max(values))
    return found


def ears_of(variant: Variant, model: Path, unseen: Path) -> dict[str, float]:
    """Decode the held-out files, and listen to them."""
    codes, grain = model.parent / "codes", model.parent / "grain"
    for each in (codes, grain):
        shutil.rmtree(each, ignore_errors=True)
    distill(variant, "decode", model, unseen, codes)
    distill(variant, "reconstruct", model, *sorted(unseen.iterdir()), "--out", grain)
    found: dict[str, float] = {}
    for room in (codes, grain):
        made = {path.stem: path for path in room.iterdir()}
        pairs = [(file, made[file.stem]) for file in sorted(unseen.iterdir())]
        found |= {f"{room.name}_{who}": score for who, score in heard(pairs).items()}
    return found


class Bench:
    """All variants on one folder with one seed; what is in the room already is taken from there."""

    def __init__(self, given: argparse.Namespace, folder: Path, seed: int, work: Path) -> None:
        self.given, self.seed = given, seed
        self.tools = Tools(given.python, given.measure)
        self.folder = mono_copy(folder, work / "mono" / folder.name)
        self.room = work / f"{folder.name}-{given.preset}-{seed}"

    def kept(self, name: str, work: Callable[[], Any]) -> Any:
        """What `work` finds, once."""
        path = self.room / f"{name}.json"
        if not path.exists():
            found = work()
            path.write_text(json.dumps(found))
        return json.loads(path.read_text())

    def run(self) -> dict[str, dict[str, float]]:
        """Every variant's figures."""
        variants: list[Variant] = self.given.variants
        models = [self.room / str(variant) / "model.distill" for variant in variants]
        found: list[dict[str, float]] = []
        for variant, model in zip(variants, models, strict=True):
            model.parent.mkdir(parents=True, exist_ok=True)
            work = (variant, self.folder, model, self.given.preset, self.seed)
            found.append(self.kept(f"{variant}/codec", lambda work=work: codec_of(*work)))
        prior = self.kept(f"{variants[0]}/prior", lambda: prior_of(variants[0], models[0], None, self.seed))
        names = "-".join(map(str, variants))
        costs = self.kept(f"costs-{names}", lambda: step_costs(variants, prior["window_seconds"]))
        unseen = held_out_copies(variants[0], models[0], self.folder, self.room / "unseen")
        for variant, model, cost, row in zip(variants, models, costs, found, strict=True):
            epochs = max(2, round(prior["epochs"] / cost["least"]))
            own = self.kept(f"{variant}/prior", lambda v=variant, m=model, e=epochs: prior_of(v, m, e, self.seed))
            work = (variant, self.folder, model, unseen, self.tools)
            row |= {
                "prior_step": cost["least"],
                **own,
                **self.kept(f"{variant}/sounds", lambda work=work: sounds_of(*work)),
            }
            if LISTENERS:
                row |= self.kept(f"{variant}/ears", lambda v=variant, m=model: ears_of(v, m, unseen))
        return {str(variant): row for variant, row in zip(variants, found, strict=True)}


def middle(value: float | dict[str, float]) -> float:
    """A figure, or the median of its draws."""
    return value["median"] if isinstance(value, dict) else value


def over_seeds(runs: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Medians and ranges, where there are several seeds."""
    if len(runs) == 1:
        return runs[0]
    return {
        variant: {
            name: spread(statistics.median(values), min(values), max(values))
            for name in runs[0][variant]
            if (values := [middle(run[variant][name]) for run in runs])
        }
        for variant in runs[0]
    }


def main() -> None:
    """Measure and answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    default = list(map(Variant.of, ("16x3", "8x3", "16x6", "8x2")))
    parser.add_argument("--variants", nargs="+", type=Variant.of, default=default, help="the first sets the time")
    parser.add_argument("--preset", default="draft", help="of the codec")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--measure", type=Path, help="a program that measures distances of sets of sounds")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="runs that program")
    parser.add_argument("--work", type=Path, help="keep models and sounds here, and use what is here")
    add_answer_options(parser)
    given = parser.parse_args()
    LISTENERS.update(listeners())
    answer: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary, threads(1):
        os.environ["OMP_NUM_THREADS"] = "1"
        for folder in given.folders:
            benches = [Bench(given, folder, seed, given.work or Path(temporary)) for seed in range(given.seeds)]
            answer[folder.name] = rounded(over_seeds([bench.run() for bench in benches]))
            if not given.json:
                print(folder.name)
                for name in next(iter(answer[folder.name].values())):
                    print(f"  {name:22}", *(row[name] for row in answer[folder.name].values()), flush=True)
    give_answer(given, answer)


if __name__ == "__main__":
    main()
