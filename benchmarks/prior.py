#!/usr/bin/env python3
"""The prior against the recipe it started from, a plain GPT, and itself without a cache: quality, time and memory.

    python benchmarks/prior.py [--codes FILE.npz] [--seeds N] [--only quality|train|sample|growth|size|holes] [--threads N]
                               [--json] [--save NAME]
    python benchmarks/prior.py MODEL... --only sides|time|long|wishes [--json] [--save NAME]

Compare the ratios, which come from one run; the absolute times belong to this machine. Every `NAME_ratio` is the median
of its repetitions and `NAME_ratio_spread` the [lowest, highest] of them.

quality  `bits_per_code`, `seconds`: trained through the library with the settings `train-prior` would choose, the size in
         a race (`settings`: of the last seed), each row of the file being one whole sound. Validation on codes
         1 .. S * Q - 1 of each row in flattened order (code 0 is left out), best epoch by validation.
         `reference_bits_per_code`, `reference_seconds`: the reference recipe (`reference_prior.py`), also at its best
         epoch by validation. Seconds include validation after every epoch.
train    `train_ratio`, `nanogpt_ratio`: tokens/s of training steps (forward, backward, clipping, optimiser) of our
         prior at 256 x 4 x 4, over `nn.TransformerEncoder` with a mask in float32, and over a GPT in the style of
         nanoGPT under the same autocast as ours. A row counts S * Q tokens for all three.
sample   `sampling_ratio_batch1`, `sampling_ratio_batch16`: tokens/s of `sample_codes` at 256 x 4 x 4, over running the
         same model on the whole sequence so far for every token; same drawing, same seeds, one thread for both.
size     (only where it is asked for; half an hour) `size_curve`: bits per code, gap and time of the sizes that race, for 1,
         5 and 20 minutes and two hours of sounds of the program's own making, by steps (`corpus_size.py`).
holes    (only where it is asked for) of each seed, at 64 x 2: bits per code in the order of time of a prior that fills no
         holes and of one that does; and of that the middle half second, given the past alone and both sides.
sides    of models: bits per code of the middle half second of held-out windows, given the past alone and both sides, and by
         counting with both sides (`sides.py`).
time     of models: the same, and all codes, of held-out loops that are brought in time with the columns (`sides.py`).
long     of models: a minute of sound: beat, drift of level and brightness, beside the recordings (`sides.py`).
wishes   of models: whether what is wished for comes out (`wishes.py`, which has further options).
growth   `growth_ratio`: time of an epoch of 10 times the codes over that of the codes; `peak_mib`: of own processes.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from corpus_size import curve
from distill.compute.device import training_precision
from distill.compute.fabric import launch_fabric
from distill.compute.threads import threads, training_threads
from distill.events import Event
from distill.models.filling import sample_codes
from distill.models.prior import BOS, CodePrior
from distill.models.sampling import Points, clip_generator, draw, uniform
from distill.models.stepping import Stepper
from distill.settings.auto import CorpusFacts, prior_auto, raced_sizes, resolve
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import BANDS, CROP_SAMPLES, SAMPLE_RATE
from distill.settings.prior import PriorSettings
from distill.training.fit import fit
from distill.training.prior.baselines import ngram_bits, unigram_bits
from distill.training.prior.codes import CodeSequences, CodeView
from distill.training.prior.race import race_sizes
from distill.training.prior.task import PriorTask, train_prior_epoch
from distill.training.run import GRADIENT_NORM, Run
from reference_prior import GptPrior, ReferencePrior, reference_optimizer, train_reference, train_step
from running import add_answer_options, finished, give_answer, rounded, save_result
from sides import held_out_windows, in_time, long, middle_bits, sides
from wishes import of_model

DEFAULT_CODES = Path(__file__).resolve().parents[2] / "shared" / "bench" / "reference_codes.npz"
BATCH = 32
REPETITIONS = 5
GROWTH = 10
EQUAL_SIZE = {"hidden_size": 256, "num_layers": 4, "num_heads": 4}
JOBS = ("ours", "ours_10x", "reference")


@dataclass(frozen=True)
class Codes:
    """A prior-training problem."""

    path: Path | None  # None: made here
    train: Tensor  # [N, S, Q] int64
    val: Tensor  # [N, S, Q] int64
    codebooks: Tensor  # [Q, K, D]
    files: int
    seconds: float  # of sound in `train`

    @property
    def codebook_size(self) -> int:
        return self.codebooks.shape[1]

    def repeated(self, times: int) -> "Codes":
        """The same codes several times over."""
        return replace(self, train=self.train.repeat(times, 1, 1), val=self.val.repeat(times, 1, 1))


def load_codes(path: Path | None) -> Codes:
    """Codes from a file of the shape of `reference_codes.npz`; where there is none, made ones."""
    if path is None and not DEFAULT_CODES.exists():
        return made_codes()
    path = path or DEFAULT_CODES
    with np.load(path) as found:
        arrays = {name: found[name] for name in found.files}
    train, val = (torch.from_numpy(arrays[name].astype(np.int64)) for name in ("train_codes", "val_codes"))
    positions, levels = train.shape[1:]
    size = 1 + int(max(train.max(), val.max()))
    codebooks = torch.from_numpy(arrays["codebooks"]).float() if "codebooks" in arrays else None
    if codebooks is None or codebooks.ndim != 3 or codebooks.shape[0] < levels or codebooks.shape[1] < size:
        print(f"{path.name}: no usable codebooks; the prior gets vectors of zeros.", file=sys.stderr)
        codebooks = torch.zeros(levels, size, 1)
    names = [arrays[name] for name in ("train_file", "val_file") if name in arrays]
    files = len(np.unique(np.concatenate(names))) if len(names) == 2 else len(train) + len(val)
    samples = arrays.get("train_samples")
    seconds = len(train) * positions / 48 if samples is None else float(samples.sum()) / SAMPLE_RATE
    return Codes(path, train, val, codebooks[:levels], files, seconds)


def made_codes(rows: int = 166, columns: int = 6, levels: int = 3, size: int = 128) -> Codes:
    """Rows that mostly repeat one of a few patterns, so that there is something to learn."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, size, (40, 2, BANDS, levels))
    order = (np.arange(columns) + rng.integers(0, 2, (rows, 1))) % 2
    codes = patterns[rng.integers(0, 40, (rows, 1)), order]
    codes = np.where(rng.random(codes.shape) < 0.3, rng.integers(0, size, codes.shape), codes)
    flat = torch.from_numpy(codes.reshape(rows, columns * BANDS, levels))
    codebooks = torch.nn.functional.normalize(torch.from_numpy(rng.standard_normal((levels, size, 32))).float(), dim=-1)
    train = rows * 5 // 7
    return Codes(None, flat[:train], flat[train:], codebooks, rows, train * CROP_SAMPLES / SAMPLE_RATE)


def settings_for(codes: Codes, seed: int = 0, **overrides: Any) -> PriorSettings:
    """What `train-prior` would choose for these codes: every row is a crop."""
    positions, levels = codes.train.shape[1:]
    crops = round(len(codes.train) * max(1.0, positions / 48))
    fixed = {
        "codebook_size": codes.codebook_size,
        "codebook_dim": codes.codebooks.shape[2],
        "rvq_levels": levels,
        "seq_len": positions,
        "bands": math.gcd(positions, BANDS),
    }
    automatic = prior_auto(CorpusFacts(codes.files, codes.seconds, crops))
    return resolve(PriorSettings, automatic, {**overrides, "seed": seed}, fixed).settings


def task_for(codes: Codes, settings: PriorSettings) -> PriorTask:
    """The library's own training task on these codes."""
    sequences = CodeSequences(tuple((CodeView(row),) for row in codes.train), tuple(codes.val))
    return PriorTask(sequences, codes.codebooks, settings, lambda _best: [])


@torch.no_grad()
def bits_per_code(prior: CodePrior, codes: Tensor) -> float:
    """Mean bits of codes 1 .. S * Q - 1 of every row of `codes` [N, S, Q]."""
    prior.eval()
    parts = [prior(part, torch.full((len(part),), BOS))[:, :-1].log_softmax(-1) for part in codes.split(BATCH)]
    found = torch.cat(parts).gather(-1, codes[..., None])[..., 0]  # [N, S, Q]
    return -float(found.flatten(1)[:, 1:].double().mean()) / math.log(2.0)


def spread(name: str, ratios: Sequence[float]) -> dict[str, Any]:
    """A ratio under its name, and its lowest and highest repetition."""
    return {name: statistics.median(ratios), f"{name}_spread": [min(ratios), max(ratios)]}


def timed(work: Callable[[], Any]) -> float:
    """Wall-clock seconds of one call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


@dataclass(frozen=True)
class TakenUp:
    """Where a training goes on from; nothing is put down."""

    state: dict[str, Any]

    def load(self) -> dict[str, Any]:
        return self.state

    def unfit(self) -> Exception:
        return RuntimeError("the state is of another training")

    def save(self, _state: Callable[[], dict[str, Any]]) -> Sequence[Event]:
        return []


def quality(codes: Codes, seeds: int) -> dict[str, Any]:
    """Bits per code of ours and of the reference recipe, and how long each took."""
    bits, seconds, epochs, last_bits, size = [], [], [], [], 0
    for seed in range(seeds):
        settings = settings_for(codes, seed)
        begun = time.monotonic()
        fabric = launch_fabric("cpu", seed)
        sizes = raced_sizes(codes.train[..., 0].numel(), settings.preset, {})
        raced = finished(race_sizes(sizes, settings, lambda settings: task_for(codes, settings), fabric))
        settings = raced.settings
        task = task_for(codes, settings)
        best = finished(fit(task, fabric, None, TakenUp(raced.state))).best
        seconds.append(time.monotonic() - begun)
        last_bits.append(bits_per_code(task.prior, codes.val))
        task.objective.load_state_dict(best.state)
        bits.append(bits_per_code(task.prior, codes.val))
        epochs.append(best.epoch)
        size = sum(p.numel() for p in task.prior.parameters())
    reference = train_reference(codes.train, codes.val, codes.codebook_size, seed=0)
    chosen = settings.model_dump(include={"hidden_size", "num_layers", "num_heads", "epochs", "learning_rate"})
    return {
        "bits_per_code": {"median": statistics.median(bits), "seeds": bits},
        "reference_bits_per_code": reference.bits,
        "unigram_bits_per_code": unigram_bits(list(codes.train), list(codes.val), codes.codebook_size, settings.bands),
        "ngram_bits_per_code": ngram_bits(list(codes.train), list(codes.val), codes.codebook_size, settings.bands),
        "seconds": statistics.median(seconds),
        "seconds_spread": [min(seconds), max(seconds)],
        "reference_seconds": reference.seconds,
        "epoch_taken": "the best by validation, ours and reference",
        "best_epoch": epochs,
        "last_epoch_bits_per_code": last_bits,
        "reference_best_epoch": reference.best_epoch,
        "reference_epochs": reference.epochs,
        "reference_last_epoch_bits_per_code": reference.last_bits,
        "settings": chosen,
        "parameters": size,
    }


def holes(codes: Codes, seeds: int) -> dict[str, Any]:
    """What filling holes costs in the order of time, and what both sides of a hole are worth."""
    found: dict[str, list[float]] = {"in_time_without": [], "in_time": [], "middle_past": [], "middle_both_sides": []}
    windows = held_out_windows(list(codes.val), codes.val.shape[1] // BANDS)
    for seed in range(seeds):
        for both_sides in (False, True):
            settings = settings_for(codes, seed, hidden_size=64, num_layers=2, num_heads=4)
            settings = settings.model_copy(update={"both_sides": both_sides})
            task = task_for(codes, settings)
            best = finished(fit(task, launch_fabric("cpu", seed))).best
            task.objective.load_state_dict(best.state)
            found["in_time" if both_sides else "in_time_without"].append(bits_per_code(task.prior, codes.val))
        for name, filled in (("past", False), ("both_sides", True)):
            found[f"middle_{name}"].append(statistics.fmean(middle_bits(task.prior, windows, filled)))
    saved = [
        100.0 * (1.0 - both / past) for past, both in zip(found["middle_past"], found["middle_both_sides"], strict=True)
    ]
    return {f"{name}_bits": bits for name, bits in found.items()} | {"saved_percent": saved}


def library_step(codes: Codes, fabric: Fabric) -> Callable[[], None]:
    """One training step of our prior as `fit` does it, on one fixed batch."""
    enough = codes.repeated(-(-BATCH // len(codes.train)))
    task = task_for(enough, settings_for(enough, batch_size=BATCH, dropout=0.2, **EQUAL_SIZE))
    batch = fabric.to_device(next(iter(task.batches(1))))
    task.objective.train()
    module, *optimizers = fabric.setup(task.objective, *task.optimizers())

    def step() -> None:
        fabric.backward(module(batch))
        nn.utils.clip_grad_norm_(task.objective.parameters(), GRADIENT_NORM)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    return step


def training_speed(codes: Codes) -> dict[str, Any]:
    """Training throughput at equal size, batch and sequence; the three take turns."""
    fabric = launch_fabric("cpu", 0)
    tokens = codes.repeated(-(-BATCH // len(codes.train))).train[:BATCH].flatten(1)
    positions, levels = codes.train.shape[1:]
    autocast = torch.bfloat16 if training_precision(fabric.device) == "bf16-mixed" else torch.float32
    reference = ReferencePrior(codes.codebook_size, positions, levels).train()
    reference_adam = reference_optimizer(reference)
    gpt = GptPrior(codes.codebook_size, positions * levels).train()
    gpt_adam = torch.optim.AdamW(gpt.parameters(), 1e-3, weight_decay=0.1, betas=(0.9, 0.95), fused=True)
    steps: dict[str, tuple[int, Callable[[], Any]]] = {
        "ours": (4, library_step(codes, fabric)),
        "nanogpt": (2, lambda: train_step(gpt, gpt_adam, tokens, autocast)),
        "reference": (1, lambda: train_step(reference, reference_adam, tokens, torch.float32)),
    }
    speeds: dict[str, list[float]] = {name: [] for name in steps}
    for repetition in range(REPETITIONS + 1):
        for name, (count, step) in steps.items():
            seconds = timed(lambda count=count, step=step: [step() for _ in range(count)])
            if repetition:  # the first is the warm-up
                speeds[name].append(count * tokens.numel() / seconds)
    ours = speeds["ours"]
    return {
        **spread("train_ratio", [a / b for a, b in zip(ours, speeds["reference"], strict=True)]),
        **spread("nanogpt_ratio", [a / b for a, b in zip(ours, speeds["nanogpt"], strict=True)]),
        "training_tokens_per_second": {name: statistics.median(values) for name, values in speeds.items()},
        "training_precision": {"ours": str(autocast), "nanogpt": str(autocast), "reference": "torch.float32"},
    }


@torch.inference_mode()
def sample_again_and_again(prior: CodePrior, batch: int, logits_out: list[Tensor]) -> Tensor:
    """Codes [B, S, Q], each drawn after running the whole sequence so far; EOS is never drawn."""
    config = prior.config
    generators = [clip_generator(seed) for seed in range(batch)]
    start = torch.full((batch,), BOS)
    codes = torch.zeros((batch, config.seq_len, config.rvq_levels), dtype=torch.long)
    for position in range(config.seq_len):
        for level in range(config.rvq_levels):
            whole = (position // config.bands + 1) * config.bands  # what is not drawn yet is 0, and not looked at
            logits = prior(codes[:, :whole], start)[:, position, level]
            logits_out.append(logits.clone())
            logits[:, prior.eos] = float("-inf")
            codes[:, position, level] = draw(
                logits, GenerationSettings(), Points.of(uniform(generators, 1)[:, 0])
            ).tokens
    return codes


def sample_with_cache(prior: CodePrior, batch: int, stepper: Stepper) -> Tensor:
    """The same by the library, which makes a stepper once for all that it draws from a model."""
    generators = [clip_generator(seed) for seed in range(batch)]
    columns = prior.config.seq_len // prior.config.bands
    drawn: list[Tensor] = []
    for drawn in sample_codes(prior, generators, columns, may_end=False, stepper=stepper):  # noqa: B007
        pass
    return torch.stack(drawn)


@torch.inference_mode()
def cached_logits(prior: CodePrior, codes: Tensor) -> list[Tensor]:
    """Logits [B, V] of every code in flattened order, by the cache, the codes [B, S, Q] being given."""
    state, stepper = prior.begin(torch.full((len(codes),), BOS), codes[:, :0]), Stepper(prior)
    found = []
    for position in range(codes.shape[1]):
        levels = stepper.step(state)
        found.append(next(levels).clone())
        for level in range(codes.shape[2]):
            logits = levels.send(codes[:, position, level])
            if level + 1 < codes.shape[2]:
                found.append(logits.clone())
    return found


def sampling_speed(codes: Codes, batch: int) -> dict[str, Any]:
    """Cached sampling against none; the two take turns."""
    torch.manual_seed(0)
    prior = CodePrior(settings_for(codes, **EQUAL_SIZE).architecture(), codes.codebooks).eval()
    stepper = Stepper(prior)
    logits: list[Tensor] = []
    plain = sample_again_and_again(prior, batch, logits)
    cached = cached_logits(prior, plain)
    infinite = all(torch.equal(a.isinf(), b.isinf()) for a, b in zip(logits, cached, strict=True))
    differences = [float((a - b)[a.isfinite()].abs().max()) for a, b in zip(logits, cached, strict=True)]
    same_codes = torch.equal(plain, sample_with_cache(prior, batch, stepper))
    cached_seconds, plain_seconds = [], []
    for _ in range(REPETITIONS):
        cached_seconds.append(timed(lambda: sample_with_cache(prior, batch, stepper)))
        plain_seconds.append(timed(lambda: sample_again_and_again(prior, batch, [])))
    name, tokens = f"batch{batch}", plain.numel()
    return {
        **spread(f"sampling_ratio_{name}", [b / a for a, b in zip(cached_seconds, plain_seconds, strict=True)]),
        f"sampling_tokens_per_second_{name}": {
            "cached": tokens / statistics.median(cached_seconds),
            "whole_sequence": tokens / statistics.median(plain_seconds),
        },
        f"sampling_same_codes_{name}": same_codes,
        f"sampling_largest_logit_difference_{name}": max(differences) if infinite else math.inf,
    }


def whole_epoch(task: PriorTask, run: Run) -> None:
    """One epoch as `fit` goes through it: its steps, and validation."""
    for _ in train_prior_epoch(run):
        pass
    task.validate(run.fabric.device)


def growth(codes: Codes, thread_count: int) -> dict[str, Any]:
    """Time of an epoch of the corpus and of ten times the corpus, side by side; peak memory in own processes."""
    fabric = launch_fabric("cpu", 0)
    long = 10 * REPETITIONS  # more epochs than are run: the learning rate does not matter here
    tasks = [task_for(codes.repeated(times), settings_for(codes, epochs=long)) for times in (1, GROWTH)]
    runs = [Run(task, fabric) for task in tasks]
    times: list[tuple[float, float]] = []
    with threads(training_threads()):
        for task, run in zip(tasks, runs, strict=True):
            whole_epoch(task, run)  # the warm-up
        for _ in range(REPETITIONS):
            few = timed(lambda: [whole_epoch(tasks[0], runs[0]) for _ in range(4)]) / 4
            times.append((few, timed(lambda: whole_epoch(tasks[1], runs[1]))))
    return {
        **spread("growth_ratio", [many / few for few, many in times]),
        "epoch_seconds": {"1x": statistics.median(a for a, _ in times), "10x": statistics.median(b for _, b in times)},
        "peak_mib": {job: peak_of(job, codes, thread_count) for job in JOBS},
    }


def peak_of(job: str, codes: Codes, thread_count: int) -> dict[str, float]:
    """Peak memory of two epochs of a training in its own process; `before` is what Python and the libraries take."""
    line = [sys.executable, __file__, "--job", job, "--threads", str(thread_count)]
    if codes.path:
        line += ["--codes", str(codes.path)]
    return json.loads(subprocess.run(line, capture_output=True, text=True, check=True).stdout)


def run_job(job: str, codes: Codes) -> dict[str, float]:
    """What `peak_of` starts."""
    before = peak_mib()
    if job == "reference":
        train_reference(codes.train, codes.val, codes.codebook_size, seed=0, epochs=2)
    else:
        grown = codes.repeated(GROWTH if job == "ours_10x" else 1)
        for _ in fit(task_for(grown, settings_for(codes, epochs=2)), launch_fabric("cpu", 0)):
            pass
    return {"before": before, "peak": peak_mib()}


def peak_mib() -> float:
    """Most memory this process has had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=Path, help="a file of the shape of reference_codes.npz")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of ours (the reference is trained once)")
    parser.add_argument(
        "--only", choices=("quality", "train", "sample", "growth", "size", "holes", "sides", "time", "long", "wishes")
    )
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL", help="of sides, time, long and wishes")
    parser.add_argument("--threads", type=int, help="of torch; sampling always takes one")
    add_answer_options(parser)
    parser.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    if given.only in ("sides", "time", "long", "wishes"):
        what = {"sides": sides, "time": in_time, "long": long, "wishes": of_model}[given.only]
        found = rounded({model.stem: what(model) for model in given.models})
        give_answer(given, found)
        if not given.json:
            print("\n".join(f"{name}: {value}" for name, value in found.items()))
        return
    codes = load_codes(given.codes)
    if given.job:
        print(json.dumps(run_job(given.job, codes)))
        return
    thread_count = torch.get_num_threads()
    results: dict[str, Any] = {
        "codes": codes.path.name if codes.path else "made by the benchmark",
        "train_shape": list(codes.train.shape),
        "val_shape": list(codes.val.shape),
        "codebook_size": codes.codebook_size,
        "threads": thread_count,
        "torch": torch.__version__,
    }
    if given.only in (None, "quality"):
        results |= quality(codes, given.seeds)
    if given.only in (None, "train"):
        results |= training_speed(codes)
    if given.only in (None, "sample"):
        with threads(1):
            for batch in (1, 16):
                results |= sampling_speed(codes, batch)
    if given.only == "holes":
        results |= holes(codes, given.seeds)
    if given.only == "size":
        results |= curve()
    if given.only in (None, "growth"):
        results |= growth(codes, thread_count)
    results = rounded(results)
    print(json.dumps(results) if given.json else "\n".join(f"{name}: {value}" for name, value in results.items()))
    if given.save:
        save_result(given.save, results)


if __name__ == "__main__":
    main()
